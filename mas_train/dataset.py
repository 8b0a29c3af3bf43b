"""Clips streamed from shards: a map-style data set, the order of a whole run, and its loader.

Notes
-----
Workers are spawned, never forked: HDF5 and OpenCV do not survive a fork. One iterator serves the whole run,
so workers start once and no epoch begins with an empty queue.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mas_labels.errors import ConfigError, DatasetError, MasError, TrainingError
from mas_labels.schema import LABELS
from mas_labels.shard import ShardSet
from mas_train.subset import clip_rows

LABEL_BLOCK_CLIPS: Final = 256
"""Clips whose labels are read at a time for statistics over all of them."""


class ClipBatch(NamedTuple):
    """What a worker hands over; views are drawn later, on the device."""

    frames: Tensor
    """Shape (B, 16, 128, 171, 3), uint8 RGB."""
    view_labels: Tensor
    """Shape (B, V, 27), uint8: the labels of every view."""
    clip_indices: Tensor
    """Shape (B,), int64: numbers of the clips in the set of shards."""


class ClipDataset(Dataset[ClipBatch]):
    """Clips of a set of shards, by number.

    Parameters
    ----------
    shards
        Shards with labels.

    Raises
    ------
    DatasetError
        If the shards hold no clips, or no labels.
    """

    def __init__(self, shards: ShardSet) -> None:
        if len(shards) == 0:
            raise DatasetError(f"no clips in the {len(shards.paths)} shards: see what `mas-labels make` said")
        if not shards.has_labels:
            raise DatasetError(
                f"{shards.paths[0]} holds frames without labels: pre-train on shards that "
                f"`mas-labels make` made without --frames-only"
            )
        self.shards = shards

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> ClipBatch:
        """Read one clip: a `ClipBatch` without its first axis."""
        frames = torch.from_numpy(self.shards.read_frames(index))
        labels = torch.from_numpy(self.shards.read_labels(index))
        return ClipBatch(frames, labels, torch.tensor(index))


def label_blocks(shards: ShardSet) -> Iterator[NDArray[np.uint8]]:
    """Read all labels of all views, a block at a time.

    Yields
    ------
    ndarray, shape (n, V, 27), uint8
    """
    for number in range(len(shards.paths)):
        rows = clip_rows(shards, number)
        for start in range(0, len(rows), LABEL_BLOCK_CLIPS):
            block = rows[start : start + LABEL_BLOCK_CLIPS]
            labels = shards.shard(number).read("clips/labels", slice(block[0], block[-1] + 1))
            yield labels[block - block[0]].reshape(-1, len(shards.views), LABELS)


def epoch_order(seed: int, epoch: int, clips: int) -> NDArray[np.int64]:
    """Order of the clips in one epoch, a function of its arguments alone.

    Returns
    -------
    ndarray, shape (clips,), int64
        Each clip once.
    """
    return np.random.default_rng([seed, epoch]).permutation(clips)


class RunOrder(Sampler[list[int]]):
    """The batches of a run from some step on.

    Each clip comes once an epoch; the last batch of an epoch may be smaller than the others.

    Parameters
    ----------
    clips
        Number of clips.
    batch_size, seed, epochs
        As in `mas_train.presets.Recipe`.
    start_step
        First step to yield; steps are counted from 0 over all epochs.
    max_steps
        Stop before this step, None for the end of the last epoch.

    Raises
    ------
    ConfigError
        If there are fewer clips than one batch takes.
    """

    def __init__(
        self,
        clips: int,
        batch_size: int,
        seed: int,
        epochs: int,
        start_step: int = 0,
        max_steps: int | None = None,
    ) -> None:
        if batch_size > clips:
            raise ConfigError(
                f"a batch of {batch_size} is larger than the data ({clips} clips): "
                f"give --batch-size {clips} or less, or more shards"
            )
        self.clips = clips
        self.batch_size = batch_size
        self.seed = seed
        self.start_step = start_step
        self.steps_per_epoch = -(-clips // batch_size)
        whole_run = epochs * self.steps_per_epoch
        self.end_step = max(start_step, whole_run if max_steps is None else min(max_steps, whole_run))

    def __len__(self) -> int:
        return self.end_step - self.start_step

    def __iter__(self) -> Iterator[list[int]]:
        drawn_epoch = -1
        for step in range(self.start_step, self.end_step):
            epoch, batch = divmod(step, self.steps_per_epoch)
            if epoch != drawn_epoch:
                order, drawn_epoch = epoch_order(self.seed, epoch, self.clips), epoch
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()


SIGNALS_OF_PARENT: Final = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C and a scheduler's SIGTERM reach the whole process group, but the parent stops its workers itself."""


def _leave_signals_to_parent(worker: int) -> None:
    """In a worker: torch has set handlers of its own by now; ignore the signals again."""
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


def load_batches(
    dataset: ClipDataset, order: RunOrder, workers: int, device: torch.device
) -> Iterator[ClipBatch]:
    """Read the batches of `order`, ahead of their use if there are workers.

    Parameters
    ----------
    dataset, order
        What to read, and in which order.
    workers
        Processes that read; 0 reads in this one.
    device
        Where batches go next; memory is pinned for CUDA only.

    Raises
    ------
    ShardError
        If a shard went bad; the message names it.
    TrainingError
        If a worker died.
    """
    options: dict[str, Any] = {}
    if workers:
        options = {"multiprocessing_context": "spawn", "worker_init_fn": _leave_signals_to_parent}
    loader: DataLoader[ClipBatch] = DataLoader(
        dataset,
        batch_sampler=order,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator().manual_seed(0),  # of its own: the global one belongs to dropout
        **options,
    )
    others = set(multiprocessing.active_children())
    with _signals_for_children():
        batches = iter(loader)
    atexit.register(_kill_left_over, set(multiprocessing.active_children()) - others)
    return _one_line_errors(batches)


def _one_line_errors(batches: Iterator[ClipBatch]) -> Iterator[ClipBatch]:
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
