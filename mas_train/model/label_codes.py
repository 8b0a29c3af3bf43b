"""Coding of labels: a table of the numbers that stand for each value of a label, or classes.

Notes
-----
- An orientation is the middle of its bin, a triangle the direction of its middle from the view's centre.
- A label of 0 (a motionless grid under the convention ``authors``) counts as 1, the rule of the convention
  ``paper``, except as a ``number``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.schema import COLOURS, LABEL_NAMES, LABELS, ORIENTATIONS
from mas_train.codings import LABEL_CODINGS, label_kind
from mas_train.model.branch_code import BranchCode


def label_numbers(label: str, code: str, geometry: Geometry) -> Tensor:
    """Return the numbers of each value of a label.

    Parameters
    ----------
    label
        One of `mas_labels.schema.LABEL_NAMES`.
    code
        ``"number"``: the value. ``"row-column"``: of a block of the grid, from 0. ``"sin-cos"``: of an
        orientation's or a triangle's direction. ``"axis"``: of twice an orientation, so that opposite
        directions are the same. ``"channels"``: of a colour, 1 where R, G and B are 128 or more, else 0
        (convention ``paper``).
    geometry
        That of the clips.

    Returns
    -------
    Tensor, shape (values, numbers), float32
        Row: the value, from 0 to the largest of any label; beyond the label's own largest it is repeated.
    """
    values, kind = torch.arange(max(geometry.label_max) + 1), label_kind(label)
    if code == "number":
        return values[:, None].float()
    places = values.clamp(1, {"orientation": ORIENTATIONS, "colour": COLOURS, **geometry.blocks}[kind]) - 1
    if code == "row-column":
        columns = geometry.view_size // geometry.grid_block
        return torch.stack([places // columns, places % columns], dim=1).float()
    if code == "channels":
        return torch.stack([places >> 2 & 1, places >> 1 & 1, places & 1], dim=1).float()
    if code == "axis":
        return _sin_cos((places % (ORIENTATIONS // 2) + 0.5) * (4 * math.pi / ORIENTATIONS))
    if kind == "triangles":  # 1 to 4 from left to right above the centre, 5 to 8 below; always eight
        places = torch.where(places < 4, 3 - places, places)
    return _sin_cos((places + 0.5) * (2 * math.pi / ORIENTATIONS))


def _sin_cos(angles: Tensor) -> Tensor:
    return torch.stack([angles.sin(), angles.cos()], dim=1)


def _lowest_values(table: Tensor) -> Tensor:
    """Return for each value the lowest one from 1 on with the same numbers; 0 for a 0 with its own."""
    is_same = (table[:, None] == table).all(dim=2)[:, 1:]
    return torch.where(is_same.any(dim=1), is_same.int().argmax(dim=1) + 1, 0)


class LabelCode(BranchCode):
    """Coding of the labels of one branch.

    Parameters
    ----------
    names
        The branch's labels, a subset of `mas_labels.schema.LABEL_NAMES` in that order; may be empty.
    coding
        One of `mas_train.codings.LABEL_CODINGS`.
    geometry
        That of the clips, from which the labels' largest values follow.
    """

    def __init__(
        self, names: Sequence[str], coding: str = "number", geometry: Geometry = DEFAULT_GEOMETRY
    ) -> None:
        codes = [LABEL_CODINGS[coding].get(label_kind(name), "number") for name in names]
        is_class = [code == "classes" for code in codes]
        tables = [
            label_numbers(name, "number" if code == "classes" else code, geometry)
            for name, code in zip(names, codes, strict=True)
        ]
        sizes = [0 if alone else table.shape[1] for table, alone in zip(tables, is_class, strict=True)]
        super().__init__(names, sizes, [LABEL_NAMES.index(name) for name in names])
        values = torch.arange(max(geometry.label_max) + 1)
        layout = zip(self.owner.tolist(), self.part.tolist(), strict=True)
        numbers = [tables[owner][:, part] for owner, part in layout]
        lowest = [_lowest_values(table) for table in tables]
        empty = values[:, None][:, :0]
        self.table: Tensor
        self.lowest: Tensor
        self.largest: Tensor
        self.register_buffer("table", torch.stack(numbers, dim=1) if numbers else empty, persistent=False)
        self.register_buffer("lowest", torch.stack(lowest, dim=1) if lowest else empty, persistent=False)
        largest = torch.tensor(geometry.label_max)[self.columns]
        self.register_buffer("largest", largest, persistent=False)

    def raw_numbers(self, targets: Tensor) -> Tensor:
        """Look the numbers of labels (B, 27) up: (B, regressed), float32."""
        return self.table.gather(0, targets[:, self.columns[self.owner]].long()).float()

    def weigh(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """Return each value for all labels, and its share of the counts."""
        counts = statistics.to(self.mean.device)
        values = torch.arange(len(counts), device=counts.device)[:, None].expand(-1, LABELS)
        return values, (counts.double() / counts.sum(dim=0))[:, self.columns]

    def are_known(self, targets: Tensor) -> Tensor:
        """Return whether each label is not 0."""
        return targets[:, self.columns] != 0

    def hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return 1 where the code of the nearest label is that of the label."""
        return (self.decode(outputs) == self._lowest(targets)).float()

    def agree(self, targets: Tensor, others: Tensor) -> Tensor:
        """Return 1 where labels have the same code as others."""
        return (self._lowest(targets) == self._lowest(others)).float()

    def commonest(self, statistics: Tensor, others: Tensor) -> Tensor:
        """Return the share in other counts of the value that is the commonest, values of one code as one."""
        counts, other_counts = (
            torch.zeros_like(self.lowest).scatter_add_(0, self.lowest, each[:, self.columns])
            for each in (statistics, others)
        )
        commonest = counts.argmax(dim=0, keepdim=True)
        return other_counts.gather(0, commonest)[0].double() / other_counts.sum(dim=0)

    def decode(self, outputs: Tensor) -> Tensor:
        """Decode predictions to the nearest labels; of several with the same code, the lowest.

        Parameters
        ----------
        outputs : Tensor, shape (B, outputs)

        Returns
        -------
        Tensor, shape (B, n), int64
            In the order of `names`, from 1 to the label's largest value.
        """
        outputs = outputs.float()
        numbers = outputs[:, : self.regressed] * self.deviation + self.mean
        distances = (numbers[:, None] - self.table).square()  # (B, values, regressed)
        of_labels = distances.new_zeros((*distances.shape[:2], len(self.names)))
        of_labels.index_add_(2, self.owner, distances)
        values = torch.arange(len(self.table), device=outputs.device)[:, None]
        is_label = (values >= 1) & (values <= self.largest)
        labels = of_labels.masked_fill(~is_label, torch.inf).argmin(dim=1)  # (B, n)
        labels[:, self.classified] = self._scores(outputs).argmax(dim=1) + 1
        return labels

    def _lowest(self, labels: Tensor) -> Tensor:
        """Return for labels (B, 27) the lowest ones of the same codes, (B, n)."""
        return self.lowest.gather(0, labels[:, self.columns].long())

    def _scores(self, outputs: Tensor) -> Tensor:
        """Return the class scores among the outputs, (B, 8, classified)."""
        scores = outputs[:, self.regressed :]
        return scores.reshape(len(outputs), len(self.classified), ORIENTATIONS).transpose(1, 2)

    def _class_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropies of classes, (B, classified)."""
        columns = self.columns[self.order[len(self.names) - len(self.classified) :]]
        bins = targets[:, columns].long().clamp(1, ORIENTATIONS) - 1
        return functional.cross_entropy(self._scores(outputs), bins, reduction="none")

    def best_constant(self, statistics: Tensor) -> Tensor:
        """Return means of regressed numbers, logarithms of class frequencies: (outputs,)."""
        counts = statistics[:, self.columns[self.classified].cpu()].double()  # (values, classified)
        bins = torch.cat([counts[:2].sum(dim=0, keepdim=True), counts[2 : ORIENTATIONS + 1]])  # 0 counts as 1
        scores = (bins / bins.sum(dim=0)).clamp(min=1e-12).log()  # (8, classified)
        means = super().best_constant(statistics)
        return torch.cat([means, scores.T.flatten().to(means)])
