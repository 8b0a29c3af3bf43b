"""Batches read by worker processes, ahead of their use.

Workers are spawned, never forked: HDF5 and OpenCV do not survive a fork. One iterator serves the whole
run, so workers start once and no epoch begins with an empty queue. They write into a ring of slots of shared
memory that is used again and again: new memory would cost more than reading a raw clip does.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from mas_labels.errors import ConfigError, MasError, TrainingError, reason_of, unavailable
from mas_labels.shards import ShardSet
from mas_labels.system.process import guard_streams, require_semaphores
from mas_train.data.clips import ClipBatch, FrameDataset
from mas_train.data.order import Batches, ListedBatches
from mas_train.data.prefetch import AHEAD, DeviceCopy, run_ahead

BATCHES_A_WORKER: Final = 2
"""Batches that a worker is told to read, ahead of their use."""
FILES_A_WORKER: Final = 12
"""Pipes to a worker, and what starting it takes besides."""
SHARED_MEMORY: Final = Path("/dev/shm")


class Task(NamedTuple):
    """What a worker is told to read, and where to put it."""

    slot: int
    clips: list[int]


class SlotReader(Dataset[tuple[int, int]]):
    """Reads a task's clips into its slot: what each worker runs.

    Parameters
    ----------
    dataset
        Where clips come from.
    slots
        One batch's memory for each slot, shared by all processes.
    """

    def __init__(self, dataset: FrameDataset, slots: list[ClipBatch]) -> None:
        self.dataset, self.slots = dataset, slots

    def __getitem__(self, task: Task) -> tuple[int, int]:
        """Read; return the slot and how many clips are in it."""
        self.dataset.read_into(self.slots[task.slot], task.clips)
        return task.slot, len(task.clips)


class Tasks:
    """The batches of an order as tasks; slots take turns."""

    def __init__(self, order: Batches, slots: int) -> None:
        self.order, self.slots = order, slots

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Task]:
        return (Task(number % self.slots, clips) for number, clips in enumerate(self.order))


def load_batches(
    dataset: FrameDataset, order: Batches, workers: int, device: torch.device
) -> Iterator[ClipBatch]:
    """Read the batches of `order` and bring them to the device, ahead of their use if there are workers.

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
        On the CPU its memory is used again: it holds until the next batch is asked for.

    Raises
    ------
    ShardError
        If a shard went bad; the message names it.
    ConfigError
        If there is no shared memory for the workers, or too little.
    UnavailableError
        If a shard cannot be read now, or no process can be started.
    TrainingError
        If a worker died.
    """
    # written or waiting in workers; one in the hands of the thread, the waiting ones, one of the user
    count = workers * BATCHES_A_WORKER + AHEAD + 2 if workers else 1
    slots = [dataset.empty_batch(order.largest_part) for _ in range(count)]
    if workers:
        require_semaphores("give --workers 0")
        _share(slots)
    try:
        batches = _read(SlotReader(dataset, slots), Tasks(order, count), workers)
    except OSError as error:
        raise unavailable(None, error) from error
    if device.type != "cuda":  # nothing is gained by copying beside the work, and MPS does not bear it
        return (batch for batch, _ in _to_device(run_ahead(batches) if workers else batches, device))
    copies = _to_device(batches, device)
    return (_arrived(*item) for item in (run_ahead(copies) if workers else copies))


def _share(slots: list[ClipBatch]) -> None:
    """Move the slots into shared memory."""
    _require_shared_memory(slots)
    try:
        for tensor in (tensor for slot in slots for tensor in slot):
            tensor.share_memory_()
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"the workers get no shared memory ({reason_of(error)}): give fewer --workers, or 0"
        ) from error


def _require_shared_memory(slots: list[ClipBatch]) -> None:
    """Refuse what would end in a bus error."""
    needed = sum(tensor.nbytes for slot in slots for tensor in slot)
    needed *= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's processes share it
    if not SHARED_MEMORY.is_dir():
        return
    status = os.statvfs(SHARED_MEMORY)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        raise ConfigError(
            f"the workers need {needed >> 20} MB of shared memory, {SHARED_MEMORY} has {free >> 20} MB: "
            "give fewer --workers, a smaller --batch-size, or more room (docker run --shm-size=2g)"
        )


def _read(reader: SlotReader, tasks: Tasks, workers: int) -> Iterator[ClipBatch]:
    """Have the tasks done; start the workers now, in the main thread."""
    options: dict[str, Any] = {}
    if workers:
        options = {
            "multiprocessing_context": "spawn",
            "worker_init_fn": _leave_signals_to_parent,
            "prefetch_factor": BATCHES_A_WORKER,
        }
    loader: DataLoader[tuple[int, int]] = DataLoader(
        reader,
        batch_size=None,
        sampler=tasks,
        num_workers=workers,
        generator=torch.Generator().manual_seed(0),  # of its own: the global one belongs to dropout
        **options,
    )
    _require_files(workers)
    others = set(multiprocessing.active_children())
    try:
        with _signals_for_children():
            done = iter(loader)
    except BaseException:  # such as too many open files, after the first of them
        _kill_left_over(set(multiprocessing.active_children()) - others)
        raise
    atexit.register(_kill_left_over, set(multiprocessing.active_children()) - others)
    filled = _one_line_errors(done)
    return (ClipBatch(*(tensor[:clips] for tensor in reader.slots[slot])) for slot, clips in filled)


def _require_files(workers: int) -> None:
    """Open and close as many files as workers take; raise `OSError` if there are not so many.

    A loader that is half built when they run out cannot be taken down without a traceback.
    """
    opened: list[int] = []
    try:
        for _ in range(workers * FILES_A_WORKER):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _to_device(batches: Iterator[ClipBatch], device: torch.device) -> Iterator[tuple[ClipBatch, Any]]:
    """Begin to copy each batch to the device; what follows it says when it has arrived."""
    copy = DeviceCopy(device)
    for batch in batches:
        (frames, labels), wait = copy.begin((batch.frames, batch.view_labels))
        indices = batch.clip_indices.clone()
        yield ClipBatch(frames, labels, indices), wait


def _arrived(batch: ClipBatch, wait: Any) -> ClipBatch:
    """Wait for a batch."""
    wait()
    return batch


SIGNALS_OF_PARENT: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Ctrl-C and a scheduler's signals reach the whole process group, but the parent stops its workers itself."""


def _leave_signals_to_parent(worker: int) -> None:
    """In a worker: torch has set handlers of its own by now; ignore the signals again."""
    guard_streams()
    for number in SIGNALS_OF_PARENT:
        signal.signal(number, signal.SIG_IGN)


def _kill_left_over(workers: Iterable[BaseProcess]) -> None:
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


def _one_line_errors(batches: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Take the traceback out of errors that come from a worker: the message is the last of its lines."""
    try:
        yield from batches
        return
    except MasError as error:
        kind, text = type(error), str(error)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = f"a process that reads clips died ({error}), often for want of memory"
        kind, text = TrainingError, f"{reason}: go on with --resume and fewer --workers"
    del batches  # and, outside of `except`, the traceback that holds them too: workers end here
    raise kind(text.strip().rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2])


def load_frames(
    shards: ShardSet, batches: Sequence[Sequence[int]], workers: int, device: torch.device
) -> Iterator[ClipBatch]:
    """Read batches of clips, each a sequence of clips' numbers, ahead of their use if there are workers.

    The batches have no labels, and on the CPU each holds until the next one is asked for.

    Raises
    ------
    DatasetError
        If there are no clips.
    ShardError
        If a shard went bad.
    """
    return load_batches(FrameDataset(shards), ListedBatches(batches), workers, device)
