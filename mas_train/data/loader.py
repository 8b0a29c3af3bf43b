"""Loading of batches: worker processes read clips ahead of their use.

A batch is read in parts of a few clips, straight into the memory that the step takes it from; that memory is
allocated once and used again, since new memory for each batch would cost more than reading raw clips does.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Final

import torch
from torch.utils.data import Sampler
from tqdm import tqdm

from mas_labels.shards import ShardSet
from mas_train.data.auto_workers import AutoWorkers
from mas_train.data.clips import ClipBatch, FrameDataset, as_batch
from mas_train.data.prefetch import arrivals, copy_to_device, prefetch
from mas_train.data.read_ahead import ReadingProcesses

MIN_PART_CLIPS: Final = 4
"""Fewest clips that a worker reads at a time; each reads its share of a batch, if that is more."""
SPARE_BATCHES: Final = 2
"""Batches that are read ahead, in addition to as many as all workers read at a time."""

Order = Sampler[list[int]] | Sequence[Sequence[int]]
"""Batches in the order of their use, each the numbers of its clips."""


def print_note(line: str) -> None:
    """Print a line to stderr, above a progress bar if there is one."""
    tqdm.write(line, file=sys.stderr)


def load_batches(
    dataset: FrameDataset,
    order: Order,
    workers: int | None,
    device: torch.device,
    say: Callable[[str], None] = print_note,
) -> Iterator[ClipBatch]:
    """Load the batches of an order onto a device; worker processes read them ahead.

    Batches and their order do not depend on the number of workers.

    Parameters
    ----------
    dataset, order
        The clips, and the batches in which they are read.
    workers
        Number of processes that read; 0 reads each batch in this process when it is needed. None: this
        process reads the first batches, then as many processes as these turn out to need (`AutoWorkers`).
    device
        Device of frames and labels; the clips' numbers stay on the CPU.
    say
        Called with a line about the number of processes that was chosen.

    Yields
    ------
    ClipBatch
        On the CPU its memory is reused: it holds until the next batch is taken.

    Raises
    ------
    ShardError
        If a shard is damaged; the message names it.
    UnavailableError
        If a shard cannot be read now, or the machine gives no more processes, files or memory.
    TrainingError
        If a worker process died.
    """
    batches = len(order)  # type: ignore[arg-type]
    if not batches:
        return
    largest, numbers = _largest_batch(order), iter(order)
    if workers is None:
        auto = AutoWorkers(batches)
        first = _read_measured(dataset, numbers, largest, device, auto)
        yield from arrivals(copy_to_device(first, device))
        workers = auto.workers
        if auto.line:
            say(auto.line)
    if workers:
        copies = copy_to_device(_read_ahead(dataset, numbers, largest, workers), device)
        # copies overlap with computation on CUDA; MPS does not allow that from another thread
        copies = prefetch(copies) if device.type == "cuda" else copies
    else:
        copies = copy_to_device(_read_in_turn(dataset, numbers, largest), device)
    yield from arrivals(copies)


def load_frames(
    shards: ShardSet, order: Sequence[Sequence[int]], workers: int | None, device: torch.device
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


def _rows(memory: ClipBatch, start: int, stop: int) -> ClipBatch:
    return ClipBatch(*(tensor[start:stop] for tensor in memory))


def _read_in_turn(
    dataset: FrameDataset, numbers: Iterator[Sequence[int]], largest: int
) -> Iterator[ClipBatch]:
    """Read each batch when it is asked for."""
    memory = dataset.empty_batch(largest)
    for clips in numbers:
        dataset.read_into(memory, clips)
        yield _rows(memory, 0, len(clips))


def _read_measured(
    dataset: FrameDataset,
    numbers: Iterator[Sequence[int]],
    largest: int,
    device: torch.device,
    auto: AutoWorkers,
) -> Iterator[ClipBatch]:
    """Read batches when they are asked for, until the number of workers is chosen from their times."""
    batches = _read_in_turn(dataset, numbers, largest)
    while not auto.is_chosen:
        began = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        read = time.perf_counter()
        yield batch
        if device.type != "cpu":
            torch.accelerator.synchronize(device)  # the step has been queued, perhaps not computed
        auto.add(len(batch.frames), read - began, time.perf_counter() - read)


def _read_ahead(
    dataset: FrameDataset, numbers: Iterator[Sequence[int]], largest: int, workers: int
) -> Iterator[ClipBatch]:
    """Read batches with processes; the memory of one is read into again when the next one is asked for."""
    part = max(MIN_PART_CLIPS, -(-largest // workers))
    slots = 1 + SPARE_BATCHES + -(-workers * part // largest)
    free = deque(range(0, slots * largest, largest))  # by their first rows
    begun, unread = deque[tuple[int, Sequence[int]]](), Counter[int]()
    errors: dict[int, Exception] = {}
    with closing(ReadingProcesses(dataset.reader, slots * largest, workers)) as processes:
        while True:
            for clips in itertools.islice(numbers, len(free)):
                first = free.popleft()
                for start in range(0, len(clips), part):
                    processes.begin(first + start, clips[start : start + part])
                    unread[first] += 1
                begun.append((first, clips))
            if not begun:
                return
            first, clips = begun.popleft()
            while unread[first]:
                for row, error in processes.wait():
                    unread[row - row % largest] -= 1
                    if error is not None:
                        errors[row - row % largest] = error
            if first in errors:
                raise errors[first]
            yield as_batch(processes.memory.rows(first, first + len(clips)), torch.tensor(clips))
            free.append(first)
