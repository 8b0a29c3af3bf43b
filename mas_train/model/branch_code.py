"""Targets of one branch as its outputs: their layout, scale and loss, whatever they are.

A target is one or several regressed numbers, or a class. It counts as one, however many numbers it has: its
loss is their mean. Outputs are in this order: targets of one number; targets of two numbers, first all first
numbers, then all second ones; and so on; then the scores of classes.

A batch of targets is a tensor of one row per view: labels, or the numbers of
`mas_train.model.dense.BlockStatistics`. Their *statistics*, from which means and baselines follow, are counts
of labels (`mas_train.model.targets.count_label_values`), or a sample of dense targets.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mas_labels.schema import ORIENTATIONS


class BranchCode(nn.Module):
    """Coding of the targets of one branch; of labels and of dense targets there are kinds of their own.

    Parameters
    ----------
    names
        The branch's targets; may be empty.
    sizes
        Regressed numbers of each; 0 for one that is predicted as classes.
    columns
        Index of each among the targets of both branches.

    Attributes
    ----------
    names, columns
        As given; columns as a tensor, shape (n,), int64.
    regressed, outputs : int
        Number of regressed numbers, and of all outputs of the branch.
    owner, part : Tensor, shape (regressed,), int64
        Of each regressed number the target, as an index of `names`, and its place among the target's numbers.
    mean, deviation : Tensor, shape (regressed,)
        Mean and standard deviation of each regressed number; 0 and 1 for raw targets.
    """

    def __init__(self, names: Sequence[str], sizes: Sequence[int], columns: Sequence[int]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.groups = {k: [place for place, size in enumerate(sizes) if size == k] for k in sorted({*sizes})}
        self.classified = self.groups.pop(0, [])
        layout = [
            (place, part) for size, places in self.groups.items() for part in range(size) for place in places
        ]
        owner, part = torch.tensor(layout, dtype=torch.int64).reshape(-1, 2).unbind(dim=1)
        order = [place for places in (*self.groups.values(), self.classified) for place in places]
        self.regressed = len(layout)
        self.outputs = self.regressed + ORIENTATIONS * len(self.classified)
        self.columns: Tensor
        self.owner: Tensor
        self.part: Tensor
        self.order: Tensor
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("columns", torch.tensor(columns, dtype=torch.int64), persistent=False)
        self.register_buffer("owner", owner, persistent=False)
        self.register_buffer("part", part, persistent=False)
        self.register_buffer("order", torch.tensor(order, dtype=torch.int64), persistent=False)
        self.register_buffer("mean", torch.zeros(self.regressed))
        self.register_buffer("deviation", torch.ones(self.regressed))

    def raw_numbers(self, targets: Tensor) -> Tensor:
        """Return the regressed numbers of a batch of targets before scaling, (B, regressed), float32."""
        raise NotImplementedError

    def scale(self, variance: Tensor) -> Tensor:
        """Return the variance by which each regressed number is standardised, given its own, (regressed,)."""
        return variance

    def weigh(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """Return targets that stand for all, a batch of m, and their shares, (m, n), float64."""
        raise NotImplementedError

    def are_known(self, targets: Tensor) -> Tensor:
        """Return whether each target of a batch is known, (B, n), bool."""
        raise NotImplementedError

    def hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return 1 where a prediction is nearest to its target, else 0, (B, n); NaN for dense targets."""
        raise NotImplementedError

    def agree(self, targets: Tensor, others: Tensor) -> Tensor:
        """Return 1 where targets have the same code as others, else 0, (B, n); NaN for dense targets."""
        raise NotImplementedError

    def commonest(self, statistics: Tensor, others: Tensor) -> Tensor:
        """Return the share of the commonest value of some statistics in others, (n,), float64; or NaN."""
        raise NotImplementedError

    def standardise(self, statistics: Tensor) -> None:
        """Set mean and deviation of the regressed numbers from the statistics of training targets.

        The deviation of a number that never changes is 1.
        """
        targets, shares = self.weigh(statistics)
        shares = shares[:, self.owner]  # (m, regressed)
        numbers = self.raw_numbers(targets).double()
        mean = (shares * numbers).sum(dim=0)
        variance = self.scale((shares * (numbers - mean).square()).sum(dim=0))
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(variance > 0, variance.sqrt(), 1.0))

    def encode(self, targets: Tensor) -> Tensor:
        """Encode targets as regressed numbers, (B, regressed), float32."""
        return (self.raw_numbers(targets) - self.mean) / self.deviation

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss of each clip and each target.

        Mean over its numbers of their squared errors; cross-entropy (nats) of classes.

        Parameters
        ----------
        outputs : Tensor, shape (B, outputs)
        targets : Tensor
            A batch of targets, such as labels (B, 27), any real dtype.

        Returns
        -------
        Tensor, shape (B, n), float32
            In the order of `names`.
        """
        outputs = outputs.float()  # under autocast they may have 16 bits; targets need more
        squares = (outputs[:, : self.regressed] - self.encode(targets)).square()
        return self._of_targets(squares, self._class_losses(outputs, targets))

    def distances(self, targets: Tensor, others: Tensor) -> Tensor:
        """Return the losses (B, n) that other targets would have as predictions; NaN for classes."""
        squares = (self.encode(others) - self.encode(targets)).square()
        return self._of_targets(squares, squares.new_full((len(squares), len(self.classified)), torch.nan))

    def _of_targets(self, squares: Tensor, of_classes: Tensor) -> Tensor:
        """Average squares (B, regressed) over the numbers of each target; with those of classes, (B, n)."""
        parts, start = [squares[:, :0]], 0
        for size, places in self.groups.items():
            stop = start + size * len(places)
            parts.append(squares[:, start:stop].reshape(-1, size, len(places)).mean(dim=1))
            start = stop
        return torch.cat([*parts, of_classes], dim=1)[:, torch.argsort(self.order)]

    def _class_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the losses of the targets that are classes, (B, classified)."""
        return outputs[:, :0]

    def best_constant(self, statistics: Tensor) -> Tensor:
        """Return the constant outputs with the smallest loss on targets with these statistics, (outputs,).

        Means of regressed numbers, logarithms of class frequencies.
        """
        targets, shares = self.weigh(statistics)
        return (shares[:, self.owner] * self.encode(targets).double()).sum(dim=0).float()
