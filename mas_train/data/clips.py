"""The clips of a set of shards, by number, and all their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mas_labels.errors import DatasetError
from mas_labels.schema import CLIP_FRAMES, FRAME_COLS, FRAME_ROWS, LABELS
from mas_labels.shards import ShardSet

LABEL_BLOCK_CLIPS: Final = 256
"""Clips whose labels are read at a time for statistics over all of them."""


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
