"""The loss of both branches (paper, section 3.4) and what predicting the mean label would give.

With raw targets, as in the paper, a label's mean squared error weighs with the square of its range: block
numbers of the grid (1 to 16) count more than those of the rings (1 to 4). `mas_train.model.targets` has the
other ways to code a label.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mas_labels.schema import LABELS
from mas_train.model.heads import Predictions
from mas_train.model.targets import VALUES, BranchCode, TargetCode


class Losses(NamedTuple):
    """Means over clips and labels; each a scalar. Squared label units, if targets are raw numbers.

    A kind of label of which none is trained has the loss 0.
    """

    motion: Tensor
    appearance: Tensor
    total: Tensor
    """Weighted sum of the two."""


def pretext_loss(
    predictions: Predictions,
    labels: Tensor,
    code: TargetCode,
    motion_weight: float = 1.0,
    appearance_weight: float = 1.0,
) -> Losses:
    """Mean squared error of both branches (of classes: cross-entropy).

    Parameters
    ----------
    predictions
        Shapes (B, 14) and (B, 13), or as many outputs as `code` says.
    labels : Tensor, shape (B, 27), any real dtype
        Labels of the views drawn.
    code
        Which labels are trained, and as what.
    motion_weight, appearance_weight
        Weights in the total.

    Returns
    -------
    Losses
    """
    motion = _mean(code.motion.losses(predictions.motion, labels))
    appearance = _mean(code.appearance.losses(predictions.appearance, labels))
    return Losses(motion, appearance, motion_weight * motion + appearance_weight * appearance)


def _mean(losses: Tensor) -> Tensor:
    """Mean of all elements, 0 if there are none."""
    return losses.sum() / max(losses.numel(), 1)


def constant_losses(branch: BranchCode, constant: Tensor, counts: Tensor) -> Tensor:
    """Loss of each label if every clip were given the same outputs.

    Parameters
    ----------
    branch
        Code of the labels.
    constant : Tensor, shape (outputs,)
        What is predicted, such as `BranchCode.best_constant` of the training labels.
    counts : Tensor, shape (17, 27), int64
        The labels it is compared with (`mas_train.model.targets.count_label_values`).

    Returns
    -------
    Tensor, shape (n,), float64, on the CPU
    """
    values = torch.arange(VALUES, device=constant.device)[:, None].expand(VALUES, LABELS)
    table = branch.losses(constant.expand(VALUES, -1), values).double().cpu()  # (17, n): of each value
    shares = counts.double() / counts.sum(dim=0)
    return (shares[:, branch.columns.cpu()] * table).sum(dim=0)


def mean_label_losses(
    code: TargetCode, counts: Tensor, motion_weight: float = 1.0, appearance_weight: float = 1.0
) -> Losses:
    """Losses of the best constant prediction: the mean of each label over all clips and all their views.

    A network that has learnt anything from its input is below these.

    Parameters
    ----------
    code
        Which labels are trained, and as what.
    counts : Tensor, shape (17, 27), int64
        `mas_train.model.targets.count_label_values` of the training clips.
    motion_weight, appearance_weight
        As in `pretext_loss`.

    Returns
    -------
    Losses
        Of float64. For raw numbers: the labels' variances, averaged over labels.
    """
    motion, appearance = (
        _mean(constant_losses(branch, branch.best_constant(counts), counts))
        for branch in (code.motion, code.appearance)
    )
    return Losses(motion, appearance, motion_weight * motion + appearance_weight * appearance)
