"""Loading of batches with torch's `DataLoader`: worker processes read clips ahead of their use.

Workers are spawned, never forked: HDF5 and OpenCV do not survive a fork. One iterator serves the whole run,
so workers start once and no epoch begins with an empty queue. They read into a ring of slots in shared memory
that is reused: new shared memory for each batch would cost more than reading a raw clip does.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from mas_labels.errors import ConfigError, MasError, TrainingError, reason_of, unavailable
from mas_labels.shards import ShardSet
from mas_labels.system.process import guard_streams, require_semaphores
from mas_labels.system.signals import SAVE_SIGNAL, SIGNALS
from mas_train.data.clips import ClipBatch, FrameDataset
from mas_train.data.prefetch import AHEAD, arrivals, copy_to_device, prefetch

PREFETCHED_BATCHES: Final = 2
"""Batches prefetched per worker."""
FILES_PER_WORKER: Final = 12
"""Open files per worker in this process: its pipes, and those of its start."""
DYING_SECONDS: Final = 1.0
"""Time for a killed process to be gone after its pipe broke."""
SHARED_MEMORY: Final = Path("/dev/shm")

Order = Sampler[list[int]] | Sequence[Sequence[int]]
"""Batches in the order of their use, each the numbers of its clips."""


class SlotReader(Dataset[tuple[int, int]]):
    """Reads batches into their slots: the work of each worker.

    Parameters
    ----------
    dataset
        The clips.
    slots
        Memory of one batch each, shared by all processes.
    """

    def __init__(self, dataset: FrameDataset, slots: list[ClipBatch]) -> None:
        self.dataset, self.slots = dataset, slots

    def __getitem__(self, task: tuple[int, Sequence[int]]) -> tuple[int, int]:
        """Read clips into a slot; return the number of the slot and of the clips in it."""
        slot, clips = task
        self.dataset.read_into(self.slots[slot], clips)
        return slot, len(clips)


class SlotOrder:
    """The batches of an order, each with its slot; slots are assigned round-robin."""

    def __init__(self, order: Order, slots: int) -> None:
        self.order, self.slots = order, slots

    def __len__(self) -> int:
        return len(self.order)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[tuple[int, Sequence[int]]]:
        return ((number % self.slots, clips) for number, clips in enumerate(self.order))


def load_batches(
    dataset: FrameDataset, order: Order, workers: int, device: torch.device
) -> Iterator[ClipBatch]:
    """Load the batches of an order onto a device; worker processes prefetch them.

    Parameters
    ----------
    dataset, order
        The clips, and the batches in which they are read.
    workers
        Number of worker processes; 0 reads each batch in this process when it is needed.
    device
        Device of frames and labels; the clips' numbers stay on the CPU.

    Yields
    ------
    ClipBatch
        On the CPU its memory is reused: it holds until the next batch is taken.

    Raises
    ------
    ShardError
        If a shard is damaged; the message names it.
    ConfigError
        If there is not enough shared memory for the workers.
    UnavailableError
        If a shard cannot be read now, or no process can be started.
    TrainingError
        If a worker process died.
    """
    # batches being read or waiting at the workers; in the prefetching thread, waiting there, in use
    n_slots = workers * PREFETCHED_BATCHES + AHEAD + 2 if workers else 1
    slots = [dataset.empty_batch(_largest_batch(order)) for _ in range(n_slots)]
    if workers:
        require_semaphores("give --workers 0")
        _share(slots)
    try:
        batches = _start_loader(SlotReader(dataset, slots), SlotOrder(order, n_slots), workers)
    except OSError as error:
        raise unavailable(None, error) from error
    if not workers:
        return arrivals(copy_to_device(batches, device))
    if device.type == "cuda":  # copies overlap with computation; MPS does not allow that from another thread
        return arrivals(prefetch(copy_to_device(batches, device)))
    return arrivals(copy_to_device(prefetch(batches), device))


def load_frames(
    shards: ShardSet, order: Sequence[Sequence[int]], workers: int, device: torch.device
) -> Iterator[ClipBatch]:
    """Load batches of clips without their labels; see `load_batches`.

    Raises
    ------
    DatasetError
        If there are no clips.
    """
    return load_batches(FrameDataset(shards), order, workers, device)


def _largest_batch(order: Order) -> int:
    """Return the number of clips of the largest batch; in a sampler only the last of an epoch is smaller."""
    batches = order if isinstance(order, Sequence) else itertools.islice(order, 2)
    return max(map(len, batches), default=0)


def _share(slots: list[ClipBatch]) -> None:
    """Move the slots into shared memory, if it has room for them; else a bus error would follow."""
    needed = sum(tensor.nbytes for slot in slots for tensor in slot)
    needed *= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's processes share it
    if SHARED_MEMORY.is_dir():
        _require_shared_memory(needed)
    try:
        for tensor in (tensor for slot in slots for tensor in slot):
            tensor.share_memory_()
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"the workers get no shared memory ({reason_of(error)}): give fewer --workers, or 0"
        ) from error


def _require_shared_memory(needed: int) -> None:
    """Check that so many bytes of shared memory are free."""
    status = os.statvfs(SHARED_MEMORY)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        raise ConfigError(
            f"the workers need {needed >> 20} MB of shared memory, {SHARED_MEMORY} has {free >> 20} MB: "
            "give fewer --workers, a smaller --batch-size, or more room (docker run --shm-size=2g)"
        )


def _start_loader(reader: SlotReader, order: SlotOrder, workers: int) -> Iterator[ClipBatch]:
    """Start the workers, in the main thread; return an iterator over the slots that they have filled."""
    worker_options: dict[str, Any] = {}
    if workers:
        worker_options = {
            "multiprocessing_context": "spawn",
            "worker_init_fn": _ignore_signals,
            "prefetch_factor": PREFETCHED_BATCHES,
        }
    loader: DataLoader[tuple[int, int]] = DataLoader(
        reader,
        batch_size=None,
        sampler=order,
        num_workers=workers,
        generator=torch.Generator().manual_seed(0),  # the global generator belongs to dropout
        **worker_options,
    )
    _require_files(workers)
    others = set(multiprocessing.active_children())
    try:
        with _ignored_signals():
            numbers = iter(loader)
    except BaseException:  # such as too many open files, after some workers have started
        _kill_workers(set(multiprocessing.active_children()) - others)
        raise
    processes = set(multiprocessing.active_children()) - others
    atexit.register(_kill_workers, processes)
    filled = _one_line_errors(numbers, processes)
    return (ClipBatch(*(tensor[:clips] for tensor in reader.slots[slot])) for slot, clips in filled)


def _require_files(workers: int) -> None:
    """Check that as many files can be opened as the workers need; raise `OSError` otherwise.

    A loader that runs out of files while its workers start cannot be closed without a traceback.
    """
    opened: list[int] = []
    try:
        for _ in range(workers * FILES_PER_WORKER):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in opened:
            os.close(descriptor)


IGNORED_SIGNALS: Final = (*SIGNALS, SAVE_SIGNAL)
"""They reach the whole process group, but the parent stops its workers itself."""


def _ignore_signals(worker: int) -> None:
    """Ignore the signals in a worker again, after torch has set its own handlers."""
    guard_streams()
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _kill_workers(workers: Iterable[BaseProcess]) -> None:
    """Kill workers at exit: Python would send SIGTERM, which they ignore, and wait for them forever."""
    for worker in workers:
        worker.kill()


@contextlib.contextmanager
def _ignored_signals() -> Iterator[None]:
    """Ignore the signals while workers start: they inherit that, so it holds while they still import.

    Torch's handler of SIGCHLD is removed as well: it raises when a worker dies, wherever the main thread is,
    even inside a step or a checkpoint. Without it, waiting for the next batch raises.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    previous = {signal.SIGCHLD: signal.getsignal(signal.SIGCHLD)}
    previous |= {number: signal.signal(number, signal.SIG_IGN) for number in IGNORED_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _one_died(workers: Iterable[BaseProcess]) -> bool:
    """Return whether a worker is dead, or is within a second."""
    return bool(wait([worker.sentinel for worker in workers], DYING_SECONDS))


def _one_line_errors(
    filled: Iterator[tuple[int, int]], workers: Iterable[BaseProcess]
) -> Iterator[tuple[int, int]]:
    """Re-raise errors of workers without the traceback that torch puts into their message."""
    try:
        yield from filled
        return
    except MasError as error:
        kind, text = type(error), str(error.args[0])  # as torch wrote it, with its lines
        traceback.clear_frames(error.__traceback__)  # a cycle would keep the iterator and its workers
    except (RuntimeError, EOFError, OSError) as error:
        # the pipe of a dying worker may break before torch sees that the worker is dead
        is_of_pipe = isinstance(error, EOFError | OSError)
        if not (_one_died(workers) if is_of_pipe else "DataLoader worker" in str(error)):
            raise
        cause = "its pipe broke" if is_of_pipe else str(error)
        reason = f"a process that reads clips died ({cause}), often because memory ran out"
        kind, text = TrainingError, f"{reason}: run again with fewer --workers, training with --resume"
    del filled  # outside of `except`, where the traceback would still hold it: the workers end here
    raise kind(text.strip().rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2])
