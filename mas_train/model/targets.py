"""Coding of labels as prediction targets, the loss of predictions, and decoding of predictions to labels.

In the paper each label is one regressed number. Here an orientation may also be coded as two numbers (sine
and cosine of the middle of its bin) or as eight class scores, and every regressed number may be
standardised.

Notes
-----
- The paper regresses raw numbers, orientations among them, though bins 8 and 1 are neighbours on the circle;
  ``number`` and ``raw`` are that, and the presets' choice. The other codings are not in the paper.
- An orientation of 0 (a motionless grid under the convention ``authors``) counts as bin 1 in ``sin-cos`` and
  ``classes``: the rule of the convention ``paper`` for motionless clips.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mas_labels.errors import DatasetError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.schema import LABEL_NAMES, LABELS, MOTION_NAMES, ORIENTATION_NAMES, ORIENTATIONS
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


class BranchCode(nn.Module):
    """Coding of the labels of one branch.

    A branch's outputs are, in this order: regressed numbers, sines, cosines, scores of classes.

    Parameters
    ----------
    names
        The branch's labels, a subset of `mas_labels.schema.LABEL_NAMES` in that order; may be empty.
    orientation
        One of `mas_train.recipe.ORIENTATION_CODES`.
    geometry
        That of the clips, from which the labels' largest values follow.

    Attributes
    ----------
    names : tuple of str
    columns : Tensor, shape (n,), int64
        Their indices among the 27 labels.
    outputs : int
        Number of outputs of the branch.
    mean, deviation : Tensor, shape (regressed outputs,)
        Mean and standard deviation of each regressed number; 0 and 1 for raw targets.
    """

    def __init__(
        self, names: Sequence[str], orientation: str = "number", geometry: Geometry = DEFAULT_GEOMETRY
    ) -> None:
        super().__init__()
        self.names = tuple(names)
        coded = [name in ORIENTATION_NAMES and orientation != "number" for name in names]
        plain = [place for place, is_coded in enumerate(coded) if not is_coded]
        circular = [place for place, is_coded in enumerate(coded) if is_coded]
        self.numbers = len(plain)
        self.pairs = len(circular) if orientation == "sin-cos" else 0
        self.classified = len(circular) if orientation == "classes" else 0
        self.regressed = self.numbers + 2 * self.pairs
        self.outputs = self.regressed + ORIENTATIONS * self.classified
        columns = torch.tensor([LABEL_NAMES.index(name) for name in names], dtype=torch.int64)
        self.columns: Tensor
        self.largest: Tensor
        self.mean: Tensor
        self.deviation: Tensor
        self.coded_order: Tensor
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("largest", torch.tensor(geometry.label_max)[columns], persistent=False)
        self.register_buffer(
            "coded_order", torch.tensor(plain + circular, dtype=torch.int64), persistent=False
        )
        self.register_buffer("mean", torch.zeros(self.regressed))
        self.register_buffer("deviation", torch.ones(self.regressed))

    def standardise(self, counts: Tensor) -> None:
        """Set mean and deviation of the regressed numbers from the table of `count_label_values`.

        The deviation of a number that never changes is 1.
        """
        values = torch.arange(len(counts))[:, None].expand(-1, LABELS)
        shares = self._regressed_shares(counts)  # (values, regressed)
        targets = self._raw_targets(values).double()  # (values, regressed)
        mean = (shares * targets).sum(dim=0)
        variance = (shares * (targets - mean).square()).sum(dim=0)
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(variance > 0, variance.sqrt(), 1.0))

    def _regressed_shares(self, counts: Tensor) -> Tensor:
        """Return the distribution of the label behind each regressed number, (values, regressed), float64."""
        shares = counts.double() / counts.sum(dim=0)
        coded = self._in_coded_order(shares)  # (values, n)
        paired = coded[:, self.numbers : self.numbers + self.pairs]
        return torch.cat([coded[:, : self.numbers], paired, paired], dim=1)

    def _in_coded_order(self, labels: Tensor) -> Tensor:
        """Select the columns of the branch's labels, plain numbers first: (B, 27) to (B, n)."""
        return labels[:, self.columns[self.coded_order]]

    def _raw_targets(self, labels: Tensor) -> Tensor:
        """Return the regressed numbers of labels (B, 27) before scaling, (B, regressed), float32."""
        coded = self._in_coded_order(labels).float()
        paired = coded[:, self.numbers : self.numbers + self.pairs]
        angles = (paired.clamp(1, ORIENTATIONS) - 0.5) * (2 * math.pi / ORIENTATIONS)
        return torch.cat([coded[:, : self.numbers], angles.sin(), angles.cos()], dim=1)

    def encode(self, labels: Tensor) -> Tensor:
        """Encode labels as the targets of the regressed numbers.

        Parameters
        ----------
        labels : Tensor, shape (B, 27), any real dtype

        Returns
        -------
        Tensor, shape (B, regressed), float32
        """
        return (self._raw_targets(labels) - self.mean) / self.deviation

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of each clip and each label.

        Squared error of a number; mean of two for sine and cosine; cross-entropy (nats) of classes.

        Parameters
        ----------
        outputs : Tensor, shape (B, outputs)
        labels : Tensor, shape (B, 27), any real dtype

        Returns
        -------
        Tensor, shape (B, n), float32
            In the order of `names`.
        """
        outputs = outputs.float()  # under autocast they may have 16 bits; targets need more
        squares = (outputs[:, : self.regressed] - self.encode(labels)).square()
        pairs = squares[:, self.numbers :].reshape(len(outputs), 2, self.pairs).mean(dim=1)  # (B, pairs)
        bins = self._in_coded_order(labels)[:, self.numbers + self.pairs :].long().clamp(1, ORIENTATIONS) - 1
        entropies = functional.cross_entropy(self._scores(outputs), bins, reduction="none")
        return self._in_order_of_names(squares[:, : self.numbers], pairs, entropies)

    def decode(self, outputs: Tensor) -> Tensor:
        """Decode predictions to the nearest labels.

        Parameters
        ----------
        outputs : Tensor, shape (B, outputs)

        Returns
        -------
        Tensor, shape (B, n), int64
            In the order of `names`, from 1 to the label's largest value.
        """
        outputs = outputs.float()
        regressed = outputs[:, : self.regressed] * self.deviation + self.mean
        sines, cosines = regressed[:, self.numbers :].reshape(len(outputs), 2, self.pairs).unbind(dim=1)
        turns = torch.atan2(sines, cosines) / (2 * math.pi)  # (B, pairs), -1/2 to 1/2
        bins = (turns.remainder(1) * ORIENTATIONS).long() + 1
        classes = self._scores(outputs).argmax(dim=1) + 1
        labels = self._in_order_of_names(regressed[:, : self.numbers].round().long(), bins, classes)
        return torch.minimum(labels.clamp(min=1), self.largest)

    def _scores(self, outputs: Tensor) -> Tensor:
        """Return the class scores among the outputs, (B, 8, classified)."""
        scores = outputs[:, self.regressed :]
        return scores.reshape(len(outputs), self.classified, ORIENTATIONS).transpose(1, 2)

    def _in_order_of_names(self, *parts: Tensor) -> Tensor:
        """Concatenate numbers, pairs and classes, and undo `_in_coded_order`: (B, n)."""
        return torch.cat(parts, dim=1)[:, torch.argsort(self.coded_order)]

    def best_constant(self, counts: Tensor) -> Tensor:
        """Return the constant outputs with the smallest loss on labels with these counts.

        Means of regressed numbers, logarithms of class frequencies.

        Returns
        -------
        Tensor, shape (outputs,), float32
        """
        values = torch.arange(len(counts), device=self.mean.device)[:, None].expand(-1, LABELS)
        counts = counts.to(self.mean.device)
        means = (self._regressed_shares(counts) * self.encode(values).double()).sum(dim=0)
        coded = self._in_coded_order(counts)[:, self.numbers + self.pairs :].double()  # (values, n)
        bins = torch.cat([coded[:2].sum(dim=0, keepdim=True), coded[2 : ORIENTATIONS + 1]])  # 0 counts as 1
        scores = (bins / bins.sum(dim=0)).clamp(min=1e-12).log()  # (8, n)
        return torch.cat([means, scores.T.flatten()]).float()


class TargetCode(nn.Module):
    """Codings of the two branches; part of a checkpoint.

    Parameters
    ----------
    recipe
        Its `targets`, `target_scale` and `orientation`.
    counts : Tensor, shape (values, 27), int64
        Counts for `standardise`, which may also be called later.
    geometry
        That of the clips whose labels are predicted.
    """

    def __init__(
        self, recipe: Recipe, counts: Tensor | None = None, geometry: Geometry = DEFAULT_GEOMETRY
    ) -> None:
        super().__init__()
        motion = [name for name in TARGETS[recipe.targets] if name in MOTION_NAMES]
        appearance = [name for name in TARGETS[recipe.targets] if name not in MOTION_NAMES]
        self.geometry = geometry
        self.motion = BranchCode(motion, recipe.orientation, geometry)
        self.appearance = BranchCode(appearance, recipe.orientation, geometry)
        self.is_standard = recipe.target_scale == "standard"
        if counts is not None:
            self.standardise(counts)

    def standardise(self, counts: Tensor) -> None:
        """Set means and deviations from the counts of the training labels, unless targets are raw."""
        for branch in self.branches if self.is_standard else ():
            branch.standardise(counts)

    @property
    def branches(self) -> tuple[BranchCode, BranchCode]:
        """The motion and the appearance branch, in the order of `mas_train.model.heads.Predictions`."""
        return self.motion, self.appearance
