"""Loading of batches: threads read clips ahead of their use.

Threads, not processes: reading a file, comparing its checksum and decoding a JPEG release Python's lock, and
nothing has to be passed between processes. On two cores two threads read a fifth (JPEG) to a tenth (raw)
fewer clips per second than two processes did (`benchmarks/README.md`). Each reads a few clips at a time,
straight into the memory of their batch. That is allocated once and used again, since new memory for each
batch would cost more than reading raw clips does; for CUDA it is pinned.
"""

from __future__ import annotations

import errno
import itertools
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import torch
from torch.utils.data import Sampler
from tqdm import tqdm

from mas_labels.errors import unavailable
from mas_labels.shards import ShardSet
from mas_train.data.auto_workers import AutoWorkers
from mas_train.data.clips import ClipBatch, FrameDataset
from mas_train.data.prefetch import arrivals, copy_to_device, prefetch

PART_CLIPS: Final = 4
"""Clips that a thread reads at a time."""
SPARE_BATCHES: Final = 2
"""Batches that are read ahead, in addition to as many as all threads read at a time."""

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
    """Load the batches of an order onto a device; threads read them ahead.

    Batches and their order do not depend on the number of threads.

    Parameters
    ----------
    dataset, order
        The clips, and the batches in which they are read.
    workers
        Number of threads that read; 0 reads each batch in this thread when it is needed. None: one a core,
        then as many of these as the first steps turn out to need (`AutoWorkers`).
    device
        Device of frames and labels; the clips' numbers stay on the CPU.
    say
        Called with a line about the number of threads that was chosen.

    Yields
    ------
    ClipBatch
        On the CPU its memory is reused: it holds until the next batch is taken.

    Raises
    ------
    ShardError
        If a shard is damaged; the message names it.
    UnavailableError
        If a shard cannot be read now, or no thread can be started.
    """
    is_pinned = device.type == "cuda"
    if workers == 0:
        batches = _read_in_turn(dataset, order, is_pinned)
    else:
        batches = _read_ahead(dataset, order, workers or AutoWorkers(), is_pinned, say)
    copies = copy_to_device(batches, device)
    # copies overlap with computation on CUDA; MPS does not allow that from another thread
    return arrivals(prefetch(copies) if is_pinned and workers != 0 else copies)


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


def _make_slot(dataset: FrameDataset, clips: int, is_pinned: bool) -> ClipBatch:
    """Allocate the memory of a batch."""
    slot = dataset.empty_batch(clips)
    return ClipBatch(*(tensor.pin_memory() for tensor in slot)) if is_pinned else slot


def _rows(slot: ClipBatch, start: int, stop: int) -> ClipBatch:
    return ClipBatch(*(tensor[start:stop] for tensor in slot))


def _read_in_turn(dataset: FrameDataset, order: Order, is_pinned: bool) -> Iterator[ClipBatch]:
    """Read each batch when it is asked for."""
    slot = _make_slot(dataset, _largest_batch(order), is_pinned)
    for clips in order:
        dataset.read_into(slot, clips)
        yield _rows(slot, 0, len(clips))


class _Reading(NamedTuple):
    """A batch that threads read: its memory, its number of clips, and the seconds of each of its parts."""

    slot: ClipBatch
    clips: int
    parts: list[Future[float]]


def _read_ahead(
    dataset: FrameDataset,
    order: Order,
    workers: int | AutoWorkers,
    is_pinned: bool,
    say: Callable[[str], None],
) -> Iterator[ClipBatch]:
    """Read batches with threads; the memory of one is read into again when the next one is asked for."""
    auto = None if isinstance(workers, int) else workers
    threads = workers if isinstance(workers, int) else workers.workers
    largest, numbers = _largest_batch(order), iter(order)
    slots = 1 + SPARE_BATCHES + -(-threads * PART_CLIPS // max(1, largest))
    free = [_make_slot(dataset, largest, is_pinned) for _ in range(slots)]
    pool, begun = ThreadPoolExecutor(threads, "reader"), deque[_Reading]()
    try:
        while True:
            for clips in itertools.islice(numbers, len(free)):
                slot = free.pop()
                begun.append(_Reading(slot, len(clips), _submit(pool, dataset, slot, clips)))
            if not begun:
                return
            batch = begun.popleft()
            asked = time.perf_counter()
            seconds = sum(part.result() for part in batch.parts)
            ready = time.perf_counter()
            yield _rows(batch.slot, 0, batch.clips)
            free.append(batch.slot)
            step = time.perf_counter() - ready
            if auto is not None and (line := auto.add(batch.clips, seconds, ready - asked, step)):
                pool.shutdown(wait=False)  # its threads end when they have read what they were given
                pool, auto = ThreadPoolExecutor(auto.workers, "reader"), None
                say(line)
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(
    pool: ThreadPoolExecutor, dataset: FrameDataset, slot: ClipBatch, clips: Sequence[int]
) -> list[Future[float]]:
    """Have the clips of a batch read into its first rows, part by part."""
    parts = [(start, clips[start : start + PART_CLIPS]) for start in range(0, len(clips), PART_CLIPS)]
    try:
        return [
            pool.submit(_read_part, dataset, _rows(slot, start, start + len(part)), part)
            for start, part in parts
        ]
    except RuntimeError as error:  # no more threads can be started
        raise unavailable(None, BlockingIOError(errno.EAGAIN, str(error))) from error


def _read_part(dataset: FrameDataset, rows: ClipBatch, clips: Sequence[int]) -> float:
    """Read clips into some rows of a batch; return the seconds that it took."""
    began = time.perf_counter()
    dataset.read_into(rows, clips)
    return time.perf_counter() - began
