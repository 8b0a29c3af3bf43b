"""The clips of a set of shards with their labels, and the order in which a run reads them.

The order is a function of seed and epoch alone, however many workers or processes read the clips, so that a
run that was interrupted reads the rest of what one run would have read.
`mas_train.data.loader.load_batches` reads the batches of an order with worker processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.schema import LABELS
from mas_labels.shards import ShardSet
from mas_train.data.read_ahead import ClipArrays, ClipReader
from mas_train.recipe import Recipe

BOUNDARIES: Final = ("clips/mu", "clips/mv")
"""Data sets of a shard that hold Mu and Mv."""


class ClipBatch(NamedTuple):
    """Clips as they are stored; a view of each is drawn later, on the device (`mas_train.data.views`).

    As an item of a dataset: one clip, without the dimension B.
    """

    frames: Tensor
    """Shape (B, frames, rows, cols, 3), uint8, RGB; of the paper's geometry (B, 16, 128, 171, 3)."""
    view_labels: Tensor
    """Shape (B, V, 27), uint8: the labels of all views."""
    clip_indices: Tensor
    """Shape (B,), int64: number of each clip in the set of shards."""
    boundaries: Tensor
    """Shape (B, 2, rows, cols, 2), float16: Mu and Mv; (B, 0, rows, cols, 2) where they are not needed."""


class FrameDataset(Dataset[ClipBatch]):
    """Frames of the clips of a set of shards; labels are neither needed nor read (V is 0).

    Raises
    ------
    DatasetError
        If the shards hold no clips.
    """

    def __init__(self, shards: ShardSet) -> None:
        if len(shards) == 0:
            raise DatasetError(
                f"no clips in the {len(shards.paths)} shards: see the output of `mas-labels make`"
            )
        self.shards = shards
        self.reader = ClipReader(shards)

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, clip: int) -> ClipBatch:
        """Read one clip; errors are those of `read_into`."""
        batch = self.empty_batch(1)
        self.read_into(batch, [clip])
        return ClipBatch(*(tensor[0] for tensor in batch))

    def empty_batch(self, clips: int) -> ClipBatch:
        """Allocate memory for a batch of that many clips."""
        return as_batch(self.reader.map_clips(clips), torch.empty(clips, dtype=torch.int64))

    def read_into(self, batch: ClipBatch, clips: Sequence[int]) -> None:
        """Read clips into the first rows of a batch on the CPU; raises as `ClipReader.read_into` does."""
        arrays = (tensor.numpy() for tensor in (batch.frames, batch.view_labels, batch.boundaries))
        self.reader.read_into(ClipArrays(*arrays), clips)
        batch.clip_indices[: len(clips)] = torch.tensor(clips)


class ClipDataset(FrameDataset):
    """Clips of a set of shards with the labels of all their views.

    Parameters
    ----------
    shards
        Labelled clips.
    label_sources : sequence of int, optional
        For each clip the number of the clip whose labels it gets; by default its own.
    with_boundaries
        Whether Mu and Mv are read as well.

    Raises
    ------
    DatasetError
        If the shards hold no clips, or no labels.
    """

    def __init__(
        self, shards: ShardSet, label_sources: Sequence[int] | None = None, with_boundaries: bool = False
    ) -> None:
        super().__init__(shards)
        if not shards.has_labels:
            raise DatasetError(
                f"{shards.paths[0]} holds frames without labels: pre-train on shards that "
                f"`mas-labels make` made without --frames-only"
            )
        boundaries = BOUNDARIES if with_boundaries else ()
        self.reader = ClipReader(shards, len(shards.views), label_sources, boundaries)


def as_batch(arrays: ClipArrays, clip_indices: Tensor) -> ClipBatch:
    """Return the batch whose memory is that of the arrays."""
    frames, view_labels, boundaries = map(torch.from_numpy, arrays)
    return ClipBatch(frames, view_labels, clip_indices, boundaries)


def shuffled_clips(clips: int, seed: int) -> NDArray[np.int64]:
    """Draw the label sources of ``--shuffle-labels``: a permutation of the clips, shape (clips,)."""
    return np.random.default_rng([seed, clips]).permutation(clips)


def epoch_order(
    seed: int, epoch: int, lengths: Sequence[int], window_shards: int | None = None
) -> NDArray[np.int64]:
    """Draw the order of the clips in one epoch; it depends on the arguments alone.

    Parameters
    ----------
    seed, epoch
        Not negative.
    lengths
        Clips in each shard.
    window_shards
        None shuffles all clips, for disks with cheap random access. With a number the shards are put in
        random order and the clips of that many shards at a time are shuffled: only these shards need to be
        open, and each is read within a short time, which suits network file systems.

    Returns
    -------
    ndarray, shape (sum of lengths,), int64
        Each clip once.
    """
    generator = np.random.default_rng([seed, epoch])
    if window_shards is None:
        return generator.permutation(sum(lengths))
    ends = np.cumsum(lengths)
    clips = [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    shards = generator.permutation(len(lengths))
    windows = [shards[at : at + window_shards] for at in range(0, len(shards), window_shards)]
    return np.concatenate([generator.permutation(np.concatenate([clips[s] for s in w])) for w in windows])


class RunOrder(Sampler[list[int]]):
    """The batches of a run from some step on.

    Each epoch has each clip once; its last batch may be smaller than the others. Several processes (ranks)
    split every batch among themselves, so that together they see what one process would.

    Parameters
    ----------
    lengths
        Clips in each shard.
    recipe
        Its `batch_size`, `seed`, `epochs`, `shuffle` and `shuffle_window`.
    start_step
        First step of the order; steps are counted from 0 over all epochs.
    max_steps
        Stop before this step, None for the end of the last epoch.
    rank, ranks
        Rank of this process, and number of processes.

    Raises
    ------
    ConfigError
        If a batch is larger than the data, or smaller than the number of processes.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        recipe: Recipe,
        start_step: int = 0,
        max_steps: int | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        clips = sum(lengths)
        if recipe.batch_size > clips:
            raise ConfigError(
                f"a batch of {recipe.batch_size} is larger than the data ({clips} clips): "
                f"give --batch-size {clips} or less, or more shards"
            )
        if ranks > recipe.batch_size:
            raise ConfigError(
                f"a batch of {recipe.batch_size} is too small for {ranks} processes, which share it: "
                f"give --batch-size {ranks} or more, or fewer processes"
            )
        self.lengths = list(lengths)
        self.recipe = recipe
        self.start_step = start_step
        self.rank, self.ranks = rank, ranks
        self.steps_per_epoch = -(-clips // recipe.batch_size)
        whole_run = recipe.epochs * self.steps_per_epoch
        self.end_step = max(start_step, whole_run if max_steps is None else min(max_steps, whole_run))
        self._drawn: dict[int, NDArray[np.int64]] = {}

    def batch(self, step: int) -> list[int]:
        """Return the clips of a step, over all processes."""
        epoch, number = divmod(step, self.steps_per_epoch)
        drawn = self._drawn.get(epoch)
        if drawn is None:
            window = self.recipe.shuffle_window if self.recipe.shuffle == "window" else None
            drawn = epoch_order(self.recipe.seed, epoch, self.lengths, window)
            # with its neighbours: the next is read, perhaps by a thread, while steps of this one are taken
            near = {other: clips for other, clips in self._drawn.items() if abs(other - epoch) == 1}
            self._drawn = {**near, epoch: drawn}
        return drawn[number * self.recipe.batch_size :][: self.recipe.batch_size].tolist()

    def part(self, step: int) -> tuple[list[int], float]:
        """Return this process's part of the clips of a step.

        Returns
        -------
        clips
            At least one: if the last batch of an epoch has fewer clips than there are processes, the first
            clip is repeated.
        weight
            The part's share of the batch; 0 for a repeated clip, which another process counts.
        """
        batch = self.batch(step)
        part = np.array_split(batch, self.ranks)[self.rank].tolist()
        return part or batch[:1], len(part) / len(batch)

    def __len__(self) -> int:
        return self.end_step - self.start_step

    def __iter__(self) -> Iterator[list[int]]:
        return (self.part(step)[0] for step in range(self.start_step, self.end_step))


LABEL_BLOCK_CLIPS: Final = 256
"""Clips per block of `label_blocks`."""


def label_blocks(shards: ShardSet) -> Iterator[NDArray[np.uint8]]:
    """Read all labels of all views, block by block, for statistics over all of them.

    Yields
    ------
    ndarray, shape (n, V, 27), uint8
    """
    for number, shard in shards.each_shard():
        rows = shards.rows(number)
        for start in range(0, len(rows), LABEL_BLOCK_CLIPS):
            block = rows[start : start + LABEL_BLOCK_CLIPS]
            labels = shard.read("clips/labels", slice(block[0], block[-1] + 1))
            yield labels[block - block[0]].reshape(-1, len(shards.views), LABELS)
