"""The regression loss (paper, section 3.4) and what predicting the mean label would give.

Targets are the raw label values, as in the paper. A label's mean squared error therefore weighs with the
square of its range: block numbers of the grid (1 to 16) count more than those of the rings (1 to 4).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mas_labels.errors import DatasetError
from mas_labels.schema import LABELS, MOTION_NAMES
from mas_train.heads import Predictions

MOTION_LABELS = len(MOTION_NAMES)


class Losses(NamedTuple):
    """Mean squared errors over clips and labels, in squared label units; each a scalar."""

    motion: Tensor
    appearance: Tensor
    total: Tensor
    """Weighted sum of the two."""


def pretext_loss(
    predictions: Predictions, labels: Tensor, motion_weight: float = 1.0, appearance_weight: float = 1.0
) -> Losses:
    """Mean squared error of both branches.

    Parameters
    ----------
    predictions
        Shapes (B, 14) and (B, 13).
    labels : Tensor, shape (B, 27), any real dtype
        Raw label values of the views drawn.
    motion_weight, appearance_weight
        Weights in the total.

    Returns
    -------
    Losses
    """
    targets = labels.to(predictions.motion.dtype)
    motion = functional.mse_loss(predictions.motion, targets[:, :MOTION_LABELS])
    appearance = functional.mse_loss(predictions.appearance, targets[:, MOTION_LABELS:])
    return Losses(motion, appearance, motion_weight * motion + appearance_weight * appearance)


def mean_label_losses(
    view_labels: Iterable[NDArray[np.uint8]], motion_weight: float = 1.0, appearance_weight: float = 1.0
) -> Losses:
    """Losses of the best constant prediction: the mean of each label over all clips and all their views.

    A network that has learnt anything from its input is below these.

    Parameters
    ----------
    view_labels : iterable of ndarray, shape (V, 27) or (n, V, 27), uint8
        Labels of every view, read once and not kept.
    motion_weight, appearance_weight
        As in `pretext_loss`.

    Returns
    -------
    Losses
        Of float64; motion and appearance are the labels' variances, averaged over labels.

    Raises
    ------
    DatasetError
        If there are no labels.
    """
    count = 0
    sums = np.zeros(LABELS, np.int64)
    squares = np.zeros(LABELS, np.int64)  # whole numbers: exact, whatever the order and the number of clips
    for labels in view_labels:
        rows = labels.reshape(-1, LABELS).astype(np.int64)
        count += len(rows)
        sums += rows.sum(axis=0)
        squares += np.square(rows).sum(axis=0)
    if count == 0:
        raise DatasetError("no labels to take a mean of: the shards hold no clips")
    variances = torch.from_numpy(squares / count - np.square(sums / count))
    motion, appearance = variances[:MOTION_LABELS].mean(), variances[MOTION_LABELS:].mean()
    return Losses(motion, appearance, motion_weight * motion + appearance_weight * appearance)
