"""Targets of both branches under a recipe's coding, from the views of a batch; statistics of labels.

In the paper each label is one regressed number; `mas_train.codings` has the other codings. Every regressed
number may be standardised.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mas_labels.errors import DatasetError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.schema import LABEL_NAMES, LABELS, MOTION_NAMES
from mas_train.codings import DENSE_CODINGS, MOTION_STATISTICS, dense_names
from mas_train.data.clips import ClipBatch
from mas_train.data.views import take_boundaries, take_labels
from mas_train.model.branch_code import BranchCode
from mas_train.model.dense import BlockStatistics, DenseCode
from mas_train.model.label_codes import LabelCode
from mas_train.model.pace import PaceCode, PaceReader
from mas_train.recipe import TARGETS, Recipe


def count_label_values(
    view_labels: Iterable[NDArray[np.uint8]], geometry: Geometry = DEFAULT_GEOMETRY
) -> Tensor:
    """Count the values of each label over all clips and views.

    Parameters
    ----------
    view_labels : iterable of ndarray, shape (V, 27) or (n, V, 27), uint8
        Blocks of labels; iterated once.
    geometry
        That of the clips, from which the labels' ranges follow.

    Returns
    -------
    Tensor, shape (values, 27), int64
        Row: the value, 0 to 16 in the paper's geometry; column: the label.

    Raises
    ------
    DatasetError
        If there are no labels, or one is out of range.
    """
    values, largest = max(geometry.label_max) + 1, np.array(geometry.label_max)
    counts = np.zeros(values * LABELS, np.int64)
    for labels in view_labels:
        rows = labels.reshape(-1, LABELS)
        if np.any(rows > largest):
            name = LABEL_NAMES[int(np.argmax((rows > largest).any(axis=0)))]
            raise DatasetError(f"a label {name} is out of range: label the videos again")
        cells = rows.astype(np.int64) * LABELS + np.arange(LABELS)
        counts += np.bincount(cells.ravel(), minlength=values * LABELS)
    if not counts.any():
        raise DatasetError("no labels to train on: the shards hold no clips")
    return torch.from_numpy(counts.reshape(values, LABELS))


class TargetCode(nn.Module):
    """Codings of the two branches; part of a checkpoint.

    Parameters
    ----------
    recipe
        Its `targets`, `target_scale`, `coding` and, for dense targets, `pixel_mean`.
    statistics : Tensor
        For `standardise`, which may also be called later: counts of labels, shape (values, 27), int64, or a
        sample of dense targets, shape (n, numbers), float32.
    geometry
        That of the clips whose targets are predicted.

    Attributes
    ----------
    motion, appearance : BranchCode
    pace : PaceReader or None
        Reads clips at a pace, if that is the target; its branch is in the place of motion's.
    is_dense : bool
        Whether targets are computed from Mu, Mv and pixels, rather than labels.
    """

    def __init__(
        self, recipe: Recipe, statistics: Tensor | None = None, geometry: Geometry = DEFAULT_GEOMETRY
    ) -> None:
        super().__init__()
        labels = TARGETS[recipe.targets]
        self.geometry = geometry
        self.is_dense = recipe.coding in DENSE_CODINGS
        names = dense_names(recipe.coding, labels) if self.is_dense else labels
        motion = [name for name in names if name in MOTION_NAMES or name.endswith(MOTION_STATISTICS)]
        parts = motion, [name for name in names if name not in motion]
        self.motion: BranchCode
        self.appearance: BranchCode
        self.pace = PaceReader(recipe, geometry) if recipe.targets == "pace" else None
        if self.pace is not None:
            self.motion, self.appearance = PaceCode(labels, self.pace.paces), PaceCode((), 0)
        elif self.is_dense:
            self.blocks = BlockStatistics(names, geometry, recipe.pixel_mean)
            self.motion, self.appearance = (DenseCode(part, self.blocks) for part in parts)
        else:
            self.motion, self.appearance = (LabelCode(part, recipe.coding, geometry) for part in parts)
        self.is_standard = recipe.target_scale == "standard"
        if statistics is not None:
            self.standardise(statistics)

    def standardise(self, statistics: Tensor) -> None:
        """Set means and deviations from the statistics of the training targets, unless targets are raw."""
        for branch in self.branches if self.is_standard else ():
            branch.standardise(statistics)

    @property
    def input_geometry(self) -> Geometry:
        """Geometry of the clips that the network sees."""
        return self.geometry if self.pace is None else self.pace.geometry

    def read(self, batch: ClipBatch, epoch: int, label_sources: Sequence[int] | None) -> ClipBatch:
        """Return the batch as the network is to see it in an epoch: as it is, or read at drawn paces."""
        return batch if self.pace is None else self.pace.draw(batch, epoch, label_sources)

    def targets(self, batch: ClipBatch, rows: Tensor, views: Tensor, clips: Tensor) -> Tensor:
        """Return the targets of the views drawn: labels (B, 27), dense targets (B, numbers), or paces (B, 1).

        Parameters
        ----------
        batch
            Clips.
        rows : Tensor, shape (B,), int64
            Row of the table of views for each.
        views : Tensor, shape (B, 3)
            These views.
        clips : Tensor, shape (B, 3, frames, view_size, view_size), float32
            Their pixels, less the recipe's mean.
        """
        if self.pace is not None:
            return batch.view_labels[:, 0]
        if not self.is_dense:
            return take_labels(batch.view_labels, rows)
        return self.blocks(take_boundaries(batch.boundaries, views, self.geometry), clips)

    def statistics(self, targets: Tensor) -> Tensor:
        """Return the statistics of a batch of targets on the CPU."""
        if self.is_dense or self.pace is not None:
            return targets
        return count_label_values([targets.numpy()], self.geometry)

    @property
    def branches(self) -> tuple[BranchCode, BranchCode]:
        """The motion and the appearance branch, in the order of `mas_train.model.heads.Predictions`."""
        return self.motion, self.appearance
