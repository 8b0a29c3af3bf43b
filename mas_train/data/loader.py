"""Batches of clips, read by worker processes ahead of their use (torch's `DataLoader`).

Workers are spawned, never forked: HDF5 and OpenCV do not survive a fork. One iterator serves the whole run,
so workers start once and no epoch begins with an empty queue.
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
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import torch
from torch.utils.data import DataLoader, Sampler

from mas_labels.errors import ConfigError, MasError, TrainingError, unavailable
from mas_labels.shards import ShardSet
from mas_labels.system.process import guard_streams, require_semaphores
from mas_train.data.clips import ClipBatch, FrameDataset

PREFETCHED_BATCHES: Final = 2
"""Batches prefetched per worker."""
FILES_PER_WORKER: Final = 18
"""Files that are open for a worker: its pipes, what starting it takes, and the memory of its batches."""
SHARED_MEMORY: Final = Path("/dev/shm")

Order = Sampler[list[int]] | Sequence[Sequence[int]]
"""Batches in the order of their use, each the numbers of its clips."""


def load_frames(
    shards: ShardSet, order: Sequence[Sequence[int]], workers: int, device: torch.device
) -> Iterator[ClipBatch]:
    """Read batches of clips without their labels; see `load_batches`.

    Raises
    ------
    DatasetError
        If there are no clips.
    """
    return load_batches(FrameDataset(shards), order, workers, device)


def load_batches(
    dataset: FrameDataset, order: Order, workers: int, device: torch.device
) -> Iterator[ClipBatch]:
    """Read the batches of `order` and bring them to the device, prefetched if there are workers.

    Parameters
    ----------
    dataset, order
        What to read, and in which order.
    workers
        Processes that read; 0 reads in this one, when a batch is asked for.
    device
        Where frames and labels go; the clips' numbers stay on the CPU.

    Yields
    ------
    ClipBatch

    Raises
    ------
    ShardError
        If a shard is damaged; the message names it.
    ConfigError
        If there is no shared memory for the workers, or too little.
    UnavailableError
        If a shard cannot be read now, or no process can be started.
    TrainingError
        If a worker died.
    """
    if workers:
        require_semaphores("give --workers 0")
        _require_shared_memory(dataset, order, workers)
    try:
        batches = _start_loader(dataset, order, workers, device)
    except OSError as error:
        raise unavailable(None, error) from error
    return (_to_device(batch, device) for batch in batches)


def _require_shared_memory(dataset: FrameDataset, order: Order, workers: int) -> None:
    """Refuse what would end in a bus error: the prefetched batches, and one in use, lie in shared memory."""
    if not SHARED_MEMORY.is_dir():
        return
    clips = max(map(len, itertools.islice(order, 2)), default=0)  # the last one of an epoch may be smaller
    bytes_per_clip = sum(tensor.nbytes for tensor in dataset[0])
    needed = (workers * PREFETCHED_BATCHES + 1) * clips * bytes_per_clip
    needed *= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's processes share it
    status = os.statvfs(SHARED_MEMORY)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        raise ConfigError(
            f"the workers need {needed >> 20} MB of shared memory, {SHARED_MEMORY} has {free >> 20} MB: "
            "give fewer --workers, a smaller --batch-size, or more room (docker run --shm-size=2g)"
        )


def _start_loader(
    dataset: FrameDataset, order: Order, workers: int, device: torch.device
) -> Iterator[ClipBatch]:
    """Start the workers now, in the main thread; return the iterator over their batches."""
    worker_options: dict[str, Any] = {}
    if workers:
        worker_options = {
            "multiprocessing_context": "spawn",
            "worker_init_fn": _leave_signals_to_parent,
            "prefetch_factor": PREFETCHED_BATCHES,
        }
    loader: DataLoader[ClipBatch] = DataLoader(
        dataset,
        batch_sampler=order,  # type: ignore[arg-type]
        num_workers=workers,
        pin_memory=device.type == "cuda",  # from there the device copies while it computes
        generator=torch.Generator().manual_seed(0),  # the global one belongs to dropout
        **worker_options,
    )
    _require_files(workers)
    others = set(multiprocessing.active_children())
    try:
        with _signals_for_children():
            batches = iter(loader)
    except BaseException:  # such as too many open files, after the first of them
        _kill_workers(set(multiprocessing.active_children()) - others)
        raise
    atexit.register(_kill_workers, set(multiprocessing.active_children()) - others)
    return _one_line_errors(batches)


def _require_files(workers: int) -> None:
    """Open and close as many files as workers take; raise `OSError` if there are not so many.

    A loader that is half built when they run out cannot be taken down without a traceback.
    """
    opened: list[int] = []
    try:
        for _ in range(workers * FILES_PER_WORKER):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _to_device(batch: ClipBatch, device: torch.device) -> ClipBatch:
    """Bring frames and labels to the device; the host does not wait for a copy from pinned memory."""
    frames, labels = (
        tensor.to(device, non_blocking=device.type == "cuda") for tensor in (batch.frames, batch.view_labels)
    )
    return ClipBatch(frames, labels, batch.clip_indices)


SIGNALS_OF_PARENT: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Ctrl-C and a scheduler's signals reach the whole process group, but the parent stops its workers itself."""


def _leave_signals_to_parent(worker: int) -> None:
    """In a worker: torch has set handlers of its own by now; ignore the signals again."""
    guard_streams()
    for number in SIGNALS_OF_PARENT:
        signal.signal(number, signal.SIG_IGN)


def _kill_workers(workers: Iterable[BaseProcess]) -> None:
    """At exit: Python would send SIGTERM, which they ignore, and then wait for them for ever."""
    for worker in workers:
        worker.kill()


@contextlib.contextmanager
def _signals_for_children() -> Iterator[None]:
    """Processes started inside are born ignoring the signals, so also while they still import.

    Torch's handler of SIGCHLD goes as well: when a worker dies it would raise anywhere, amid a step or a
    checkpoint. Without it the next batch that is waited for raises.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    previous = {signal.SIGCHLD: signal.getsignal(signal.SIGCHLD)}
    previous |= {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS_OF_PARENT}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _one_line_errors(batches: Iterator[ClipBatch]) -> Iterator[ClipBatch]:
    """Take the traceback out of errors that come from a worker: the message is the last of its lines."""
    try:
        yield from batches
        return
    except MasError as error:
        kind, text = type(error), str(error)
        traceback.clear_frames(error.__traceback__)  # torch's hold the error itself, and so the iterator
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = f"a process that reads clips died ({error}), often for want of memory"
        kind, text = TrainingError, f"{reason}: go on with --resume and fewer --workers"
    del batches  # and, outside of `except`, the traceback that holds them too: workers end here
    raise kind(text.strip().rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2])
