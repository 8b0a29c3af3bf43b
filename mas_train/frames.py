"""Frames of clips without their labels: what fine-tuning and evaluation read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mas_labels.schema import FRAME_COLS, FRAME_ROWS, VIEW_SIZE
from mas_labels.shard import ShardSet
from mas_train.dataset import ClipBatch, FrameDataset
from mas_train.loading import load_batches
from mas_train.order import ListedBatches
from mas_train.views import draw_views

CENTRE_VIEW: Final = ((FRAME_ROWS - VIEW_SIZE) // 2, (FRAME_COLS - VIEW_SIZE) // 2, 0)
"""Top, left, mirrored of the view that tests use."""
CROP_ROWS: Final = FRAME_ROWS - VIEW_SIZE + 1
CROP_COLS: Final = FRAME_COLS - VIEW_SIZE + 1


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


def draw_crops(seed: int, epoch: int, clip_indices: Tensor) -> Tensor:
    """Draw any crop, mirrored or not, for each clip: without labels no table of views is needed.

    Returns
    -------
    Tensor, shape (B, 3), int64
        Top, left, mirrored.
    """
    drawn = draw_views(seed, epoch, clip_indices, CROP_ROWS * CROP_COLS * 2)
    place = drawn // 2
    return torch.stack([place // CROP_COLS, place % CROP_COLS, drawn % 2], dim=1)


def clip_videos(shards: ShardSet) -> NDArray[np.int64]:
    """Return the number of each clip's video in `shards.videos`, (N,) int64."""
    numbers, before = [], 0
    for number in range(len(shards.paths)):
        shard = shards.shard(number)
        numbers.append(shard.read("clips/video").astype(np.int64) + before)
        before += len(shard.read("videos/path"))
    return np.concatenate(numbers)
