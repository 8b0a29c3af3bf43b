"""The clips of a set of shards, by number, and all their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.schema import CLIP_FRAMES, FRAME_COLS, FRAME_ROWS, LABELS
from mas_labels.shards import ShardSet
from mas_train.recipe import Recipe


class ClipBatch(NamedTuple):
    """Clips as they are stored; a view of each is drawn later, on the device.

    An item of a dataset is one clip, without the dimension B.
    """

    frames: Tensor
    """Shape (B, 16, 128, 171, 3), uint8, RGB."""
    view_labels: Tensor
    """Shape (B, V, 27), uint8: the labels of all views."""
    clip_indices: Tensor
    """Shape (B,), int64: number of each clip in the set of shards."""


class FrameDataset(Dataset[ClipBatch]):
    """Frames of the clips of a set of shards; labels are neither needed nor read (V is 0).

    Raises
    ------
    DatasetError
        If the shards hold no clips.
    """

    def __init__(self, shards: ShardSet) -> None:
        if len(shards) == 0:
            raise DatasetError(f"no clips in the {len(shards.paths)} shards: see what `mas-labels make` said")
        self.shards = shards

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, clip: int) -> ClipBatch:
        """Read one clip.

        Raises
        ------
        ShardError
            If its shard is damaged.
        """
        labels = self._read_labels(clip)  # first: reading frames displaces all else from the cache
        frames = np.empty((CLIP_FRAMES, FRAME_ROWS, FRAME_COLS, 3), np.uint8)
        self.shards.read_frames_into(clip, frames)
        return ClipBatch(torch.from_numpy(frames), torch.tensor(labels), torch.tensor(clip))

    def _read_labels(self, clip: int) -> NDArray[np.uint8]:
        return np.empty((0, LABELS), np.uint8)


class ClipDataset(FrameDataset):
    """Clips of a set of shards with the labels of all their views.

    Parameters
    ----------
    shards
        Labelled clips.
    label_sources : sequence of int, optional
        For each clip the number of the clip whose labels it is given; by default its own.

    Raises
    ------
    DatasetError
        If the shards hold no clips, or no labels.
    """

    def __init__(self, shards: ShardSet, label_sources: Sequence[int] | None = None) -> None:
        super().__init__(shards)
        self.label_sources = label_sources
        if not shards.has_labels:
            raise DatasetError(
                f"{shards.paths[0]} holds frames without labels: pre-train on shards that "
                f"`mas-labels make` made without --frames-only"
            )

    def _read_labels(self, clip: int) -> NDArray[np.uint8]:
        return self.shards.read_labels(clip if self.label_sources is None else self.label_sources[clip])


def shuffled_clips(clips: int, seed: int) -> NDArray[np.int64]:
    """Draw a permutation of the clips, shape (clips,): whose labels each is given by ``--shuffle-labels``."""
    return np.random.default_rng([seed, clips]).permutation(clips)


def epoch_order(
    seed: int, epoch: int, lengths: Sequence[int], window_shards: int | None = None
) -> NDArray[np.int64]:
    """Order of the clips in one epoch, a function of its arguments alone.

    Parameters
    ----------
    seed, epoch
        Not negative.
    lengths
        Clips in each shard.
    window_shards
        None draws from all clips: for disks that jump cheaply. A number puts the shards in random order,
        takes so many at a time, and shuffles their clips: then only these need to be open, and each is read
        within a short time, as network file systems like it.

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

    Each clip comes once an epoch; the last batch of an epoch may be smaller than the others. With several
    processes each takes a part of every batch, in the order of their ranks, so that together they see what
    one process would.

    Parameters
    ----------
    lengths
        Clips in each shard.
    recipe
        Its batch size, seed, epochs and way to shuffle.
    start_step
        First step to yield; steps are counted from 0 over all epochs.
    max_steps
        Stop before this step, None for the end of the last epoch.
    rank, ranks
        Which process this is, of how many.

    Raises
    ------
    ConfigError
        If there are fewer clips than one batch takes, or fewer in a batch than processes.
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
        self._drawn: tuple[int, NDArray[np.int64]] | None = None

    def batch(self, step: int) -> list[int]:
        """The whole batch of a step, of all processes."""
        epoch, number = divmod(step, self.steps_per_epoch)
        if self._drawn is None or self._drawn[0] != epoch:
            window = self.recipe.shuffle_window if self.recipe.shuffle == "window" else None
            self._drawn = epoch, epoch_order(self.recipe.seed, epoch, self.lengths, window)
        size = self.recipe.batch_size
        return self._drawn[1][number * size : (number + 1) * size].tolist()

    def part(self, step: int) -> tuple[list[int], float]:
        """What this process takes of a step's batch.

        Returns
        -------
        clips
            At least one: where an epoch's last batch has fewer clips than there are processes, some take its
            first clip a second time.
        weight
            The part's share of the batch; 0 for a clip that another process counts.
        """
        batch = self.batch(step)
        own = np.array_split(batch, self.ranks)[self.rank].tolist()
        return own or batch[:1], len(own) / len(batch)

    def __len__(self) -> int:
        return self.end_step - self.start_step

    def __iter__(self) -> Iterator[list[int]]:
        return (self.part(step)[0] for step in range(self.start_step, self.end_step))


LABEL_BLOCK_CLIPS: Final = 256
"""Clips whose labels are read at a time for statistics over all of them."""


def label_blocks(shards: ShardSet) -> Iterator[NDArray[np.uint8]]:
    """Read all labels of all views, a block at a time.

    Yields
    ------
    ndarray, shape (n, V, 27), uint8
    """
    for number in range(len(shards.paths)):
        rows = shards.rows(number)
        for start in range(0, len(rows), LABEL_BLOCK_CLIPS):
            block = rows[start : start + LABEL_BLOCK_CLIPS]
            labels = shards.shard(number).read("clips/labels", slice(block[0], block[-1] + 1))
            yield labels[block - block[0]].reshape(-1, len(shards.views), LABELS)
