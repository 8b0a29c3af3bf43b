"""The loss of both branches (paper, section 3.4), and its baseline: always predicting the mean label.

The loss is the mean over clips and labels of what `BranchCode.losses` gives for each: by default, as in the
paper, the squared error of the raw label. A label then counts with the square of its range: block numbers of
the grid (1 to 16) weigh more than those of the rings (1 to 4). `mas_train.model.targets` has alternatives:
standardised numbers, and sine and cosine or classes for orientations.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mas_labels.schema import LABELS
from mas_train.model.heads import Predictions
from mas_train.model.targets import BranchCode, TargetCode


class Losses(NamedTuple):
    """Mean losses over clips and labels, each a scalar; in squared label units if targets are raw.

    The loss of a branch without labels is 0.
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
    """Compute the loss of both branches and their weighted sum.

    Parameters
    ----------
    predictions
        Shapes (B, 14) and (B, 13), or as many outputs as the branches of `code` have.
    labels : Tensor, shape (B, 27), any real dtype
        Labels of the views drawn.
    code
        The trained labels and their coding.
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
    """Return the mean of all elements, 0 if there are none."""
    return losses.sum() / max(losses.numel(), 1)


def constant_losses(branch: BranchCode, constant: Tensor, counts: Tensor) -> Tensor:
    """Compute the loss of each label for a constant prediction.

    Parameters
    ----------
    branch
        Code of the labels.
    constant : Tensor, shape (outputs,)
        The prediction, such as `BranchCode.best_constant` of the training labels.
    counts : Tensor, shape (values, 27), int64
        Counts of the labels it is compared with (`mas_train.model.targets.count_label_values`).

    Returns
    -------
    Tensor, shape (n,), float64, on the CPU
    """
    values = torch.arange(len(counts), device=constant.device)[:, None].expand(-1, LABELS)
    table = branch.losses(constant.expand(len(counts), -1), values).double().cpu()  # (values, n)
    shares = counts.double() / counts.sum(dim=0)
    return (shares[:, branch.columns.cpu()] * table).sum(dim=0)


def mean_label_losses(
    code: TargetCode, counts: Tensor, motion_weight: float = 1.0, appearance_weight: float = 1.0
) -> Losses:
    """Compute the losses of the best constant prediction, the baseline of pre-training.

    For raw targets it is the mean of each label over all clips and views. A network that has learnt anything
    from its input is below these losses.

    Parameters
    ----------
    code
        The trained labels and their coding.
    counts : Tensor, shape (values, 27), int64
        Label counts of the training clips (`mas_train.model.targets.count_label_values`).
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
