"""Statistics of targets: of training clips, for their scale and baseline; of held-out clips, for their noise.

Notes
-----
- Labels of all views of all training clips are counted. Dense targets take more time to compute than to
  predict, so theirs are of at most `SAMPLED_CLIPS` clips, spread evenly, with the views of the first epoch.
- The noise ceiling of a target is the score that the target of a moved view of the same clip has as a
  prediction of the centre view's. The views whose labels shards hold decide how far that view is moved
  (by default 3 pixels), and dense targets are computed for the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mas_labels.shards import Clip, spread_evenly
from mas_train.data.clips import BOUNDARIES, ClipBatch, ClipDataset, label_blocks
from mas_train.data.views import draw_views, take_views
from mas_train.model.targets import TargetCode, count_label_values
from mas_train.recipe import Recipe

SAMPLED_CLIPS: Final = 512
"""Most training clips whose dense targets are computed before the first step."""
MOVED_PIXELS: Final = 2
"""The moved view is, of those that there are, the one whose offset is nearest to this."""


def training_statistics(code: TargetCode, dataset: ClipDataset, recipe: Recipe) -> Tensor:
    """Return the statistics of training targets for `TargetCode.standardise`; on the CPU.

    Raises
    ------
    DatasetError
        If there are no labels, or one is out of range.
    ShardError
        If a shard is damaged.
    """
    shards = dataset.shards
    if code.pace is not None:
        return torch.arange(1, code.pace.paces + 1)[:, None]
    if not code.is_dense:
        return count_label_values(label_blocks(shards), shards.geometry)
    table, sample = torch.from_numpy(shards.views.astype(np.int64)), []
    clips = spread_evenly(len(shards), SAMPLED_CLIPS)
    for start in range(0, len(clips), recipe.batch_size):
        part = list(clips[start : start + recipe.batch_size])
        batch = dataset.empty_batch(len(part))
        dataset.read_into(batch, part)
        rows = draw_views(recipe.seed, 0, batch.clip_indices, len(table))
        pixels = take_views(batch.frames, table[rows], recipe.pixel_mean, code.geometry)
        sample.append(code.targets(batch, rows, table[rows], pixels))
    return torch.cat(sample)


class HeldOutTargets(NamedTuple):
    """Targets of some clips, on the CPU."""

    centre: Tensor
    """Of the centre views."""
    moved: Tensor
    """Of the moved views; of no clips where shards hold no other views."""
    moved_pixels: int
    """Their distance from these, along rows or columns."""


def heldout_targets(clips: Sequence[Clip], code: TargetCode, recipe: Recipe) -> HeldOutTargets:
    """Return the targets of clips, whose shards may differ in their views.

    Raises
    ------
    ShardError
        If a shard is damaged.
    """
    if code.pace is not None:
        paces = torch.arange(len(clips))[:, None] % code.pace.paces + 1
        return HeldOutTargets(paces, paces[:0], 0)
    tables = {id(clip.shards): clip.views for clip in clips}
    moved = {key: moved_view(table) for key, table in tables.items()}
    rows = [moved[id(clip.shards)][0] for clip in clips]
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for start in range(0, len(clips), recipe.batch_size):
        part = clips[start : start + recipe.batch_size]
        pairs = np.array([[0, row] for row in rows[start : start + recipe.batch_size]])  # (B, 2)
        batch = _stack_clips(part, pairs, code.is_dense)
        views = np.stack([clip.views[pair] for clip, pair in zip(part, pairs, strict=True)])
        for number, targets in enumerate(parts):
            drawn = torch.from_numpy(views[:, number].astype(np.int64))
            of_each = torch.full((len(part),), number)
            pixels = batch.frames
            if code.is_dense:
                pixels = take_views(batch.frames, drawn, recipe.pixel_mean, code.geometry)
            targets.append(code.targets(batch, of_each, drawn, pixels))
    centre, others = (torch.cat(targets) for targets in parts)
    return HeldOutTargets(centre, others if all(rows) else others[:0], max(n for _, n in moved.values()))


def moved_view(views: NDArray[np.int16]) -> tuple[int, int]:
    """Return the row of the moved view, and how far it lies from the centre view; 0, 0 without any."""
    offsets = np.abs(views[:, :2].astype(int) - views[0, :2]).max(axis=1)
    others = np.flatnonzero((offsets > 0) & (views[:, 2] == views[0, 2]))
    if not others.size:
        return 0, 0
    row = int(others[np.argmin(np.abs(offsets[others] - MOVED_PIXELS))])
    return row, int(offsets[row])


def _stack_clips(clips: Sequence[Clip], rows: NDArray[np.int64], is_dense: bool) -> ClipBatch:
    """Read the labels of two views of clips; for dense targets also frames, Mu and Mv."""
    labels = torch.from_numpy(np.stack([c.view_labels[pair] for c, pair in zip(clips, rows, strict=True)]))
    numbers = torch.arange(len(clips))
    if not is_dense:
        return ClipBatch(labels[:, :0], labels, numbers, labels[:, :0])
    frames = np.stack([clip.frames for clip in clips])
    places = [clip.shards.locate(clip.index) for clip in clips]
    boundaries = np.stack([[shard.read(path, row) for path in BOUNDARIES] for shard, row in places])
    return ClipBatch(torch.from_numpy(frames), labels, numbers, torch.from_numpy(boundaries))
