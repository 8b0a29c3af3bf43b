"""The loss of both branches (paper, section 3.4), and its baseline: always predicting the mean label.

The loss is the mean over clips and targets of what `BranchCode.losses` gives for each: by default, as in the
paper, the squared error of the raw label. A label then counts with the square of its range: block numbers of
the grid (1 to 16) weigh more than those of the rings (1 to 4). Alternatives are standardised numbers, and the
other codings (`mas_train.codings`).

`PretextLoss` is all of it as one module, for training loops and networks of one's own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mas_labels.errors import ConfigError, InputError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.schema import LABELS
from mas_train.codings import DENSE_CODINGS, LABEL_CODINGS
from mas_train.data.clips import ClipDataset, label_blocks
from mas_train.data.training_shards import require_coded
from mas_train.data.view_dataset import ClipsOfShards, open_clips
from mas_train.model.branch_code import BranchCode
from mas_train.model.heads import Predictions
from mas_train.model.label_codes import LabelCode
from mas_train.model.targets import TargetCode, count_label_values
from mas_train.recipe import Recipe, make_recipe


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
    targets: Tensor,
    code: TargetCode,
    motion_weight: float = 1.0,
    appearance_weight: float = 1.0,
) -> Losses:
    """Compute the loss of both branches and their weighted sum.

    Parameters
    ----------
    predictions
        Shapes (B, 14) and (B, 13), or as many outputs as the branches of `code` have.
    targets : Tensor
        Targets of the views drawn (`TargetCode.targets`): labels, shape (B, 27), any real dtype; or dense
        ones. Appearance labels of 0, which no shard holds, do not count: those of frames whose colours were
        changed.
    code
        The targets and their coding.
    motion_weight, appearance_weight
        Weights in the total.

    Returns
    -------
    Losses
    """
    motion = _mean(code.motion.losses(predictions.motion, targets))
    appearance_losses = code.appearance.losses(predictions.appearance, targets)  # (B, n)
    is_known = code.appearance.are_known(targets)  # (B, n)
    appearance = torch.where(is_known, appearance_losses, 0.0).sum() / is_known.sum().clamp(min=1)
    return Losses(motion, appearance, motion_weight * motion + appearance_weight * appearance)


def _mean(losses: Tensor) -> Tensor:
    """Return the mean of all elements, 0 if there are none."""
    return losses.sum() / max(losses.numel(), 1)


class PretextLoss(nn.Module):
    """The loss of any network that predicts the labels of views, with the coding of these labels.

    Its weights of the two losses, its coding and its choice of labels are those of a recipe. Means and
    deviations of standardised targets are buffers, so that a checkpoint of this module keeps them.

    Parameters
    ----------
    recipe
        Its `targets`, `target_scale`, `coding`, `motion_weight` and `appearance_weight`.
    counts : Tensor, shape (values, 27), int64
        Label counts of the training clips (`mas_train.model.targets.count_label_values`); may be left out
        if targets are raw, or a checkpoint is loaded later.
    geometry
        That of the clips.

    Attributes
    ----------
    code : TargetCode
        Coding of the labels.
    outputs : int
        Number of outputs that the network needs for a view: 27 by default, first those of motion.
    mean_label : Losses
        The losses of always predicting the mean label, below which a network is that has learnt anything;
        NaN without counts.

    Raises
    ------
    ConfigError
        If the coding is dense: its targets are no labels.
    """

    def __init__(
        self, recipe: Recipe, counts: Tensor | None = None, geometry: Geometry = DEFAULT_GEOMETRY
    ) -> None:
        super().__init__()
        if recipe.targets == "pace":
            raise ConfigError(
                "expected labels as targets, found pace, which mas-train alone reads: take others"
            )
        if recipe.coding in DENSE_CODINGS:
            raise ConfigError(
                f"expected a coding of labels, found {recipe.coding}, whose targets only mas-train computes: "
                f"take one of {', '.join(LABEL_CODINGS)}"
            )
        self.code = TargetCode(recipe, counts, geometry)
        self.outputs = sum(branch.outputs for branch in self.code.branches)
        self.weights = recipe.motion_weight, recipe.appearance_weight
        self.mean_label = Losses(*torch.full((len(Losses._fields),), math.nan))
        if counts is not None:
            self.mean_label = mean_label_losses(self.code, counts, *self.weights)

    @classmethod
    def from_shards(cls, clips: ClipsOfShards, recipe: Recipe | None = None) -> PretextLoss:
        """Make the loss for training clips, whose labels are counted; by default of the paper's recipe.

        Parameters
        ----------
        clips
            Shards or chosen clips, as `mas_train.ViewDataset` takes them; such as its `shards`.
        recipe
            Made by `mas_train.make_recipe`.

        Raises
        ------
        ConfigError
            If the coding is dense, or not one of these shards' labels.
        DatasetError
            If there are no shards, or they hold no clips or no labels.
        ShardError
            If a shard is damaged.
        """
        shards = ClipDataset(open_clips(clips)).shards
        recipe = recipe or make_recipe("ucf101")
        require_coded(shards, recipe.coding)
        return cls(recipe, count_label_values(label_blocks(shards), shards.geometry), shards.geometry)

    def forward(self, predictions: Tensor | Predictions, labels: Tensor) -> Losses:
        """Compute the losses of a batch.

        Parameters
        ----------
        predictions : Tensor, shape (B, outputs)
            Outputs of the network, without an activation; or the two branches of `mas_train.model.heads`.
        labels : Tensor, shape (B, 27), any real dtype
            Labels of the views, such as those of `mas_train.ViewDataset`.

        Returns
        -------
        Losses
            Call ``backward()`` of its `total`.

        Raises
        ------
        InputError
            If a shape is wrong.
        """
        predictions = self._branches(predictions)
        if labels.shape != (len(predictions.motion), LABELS):
            raise InputError(
                f"expected labels ({len(predictions.motion)}, {LABELS}), found {tuple(labels.shape)}"
            )
        return pretext_loss(predictions, labels, self.code, *self.weights)

    def decode(self, predictions: Tensor | Predictions) -> Tensor:
        """Return the labels that predictions are nearest to; 0 for labels that are not trained.

        Of labels with the same code, opposite orientations on one axis, it is the lowest.

        Parameters
        ----------
        predictions : Tensor, shape (B, outputs)

        Returns
        -------
        Tensor, shape (B, 27), int64
            In the order of `mas_labels.LABEL_NAMES`.
        """
        predictions = self._branches(predictions)
        labels = predictions.motion.new_zeros((len(predictions.motion), LABELS), dtype=torch.int64)
        for branch, outputs in zip(self.code.branches, predictions, strict=True):
            assert isinstance(branch, LabelCode)
            labels[:, branch.columns] = branch.decode(outputs)
        return labels

    def _branches(self, predictions: Tensor | Predictions) -> Predictions:
        """Divide a network's outputs between the two branches."""
        if not isinstance(predictions, Tensor):
            return predictions
        if predictions.ndim != 2 or predictions.shape[1] != self.outputs:
            raise InputError(f"expected predictions (B, {self.outputs}), found {tuple(predictions.shape)}")
        motion = self.code.motion.outputs
        return Predictions(predictions[:, :motion], predictions[:, motion:])


def constant_losses(branch: BranchCode, constant: Tensor, statistics: Tensor) -> Tensor:
    """Compute the loss of each target for a constant prediction.

    Parameters
    ----------
    branch
        Code of the targets.
    constant : Tensor, shape (outputs,)
        The prediction, such as `BranchCode.best_constant` of the training targets.
    statistics : Tensor
        Statistics of the targets it is compared with, such as counts of labels
        (`mas_train.model.targets.count_label_values`).

    Returns
    -------
    Tensor, shape (n,), float64, on the CPU
    """
    targets, shares = branch.weigh(statistics)
    losses = branch.losses(constant.expand(len(targets), -1), targets).double().cpu()  # (m, n)
    return (shares.cpu() * losses).sum(dim=0)


def mean_label_losses(
    code: TargetCode, statistics: Tensor, motion_weight: float = 1.0, appearance_weight: float = 1.0
) -> Losses:
    """Compute the losses of the best constant prediction, the baseline of pre-training.

    For raw labels it is the mean of each label over all clips and views. A network that has learnt anything
    from its input is below these losses.

    Parameters
    ----------
    code
        The targets and their coding.
    statistics : Tensor
        Statistics of the training targets, such as counts of labels
        (`mas_train.model.targets.count_label_values`).
    motion_weight, appearance_weight
        As in `pretext_loss`.

    Returns
    -------
    Losses
        Of float64. For raw numbers: the labels' variances, averaged over labels.
    """
    motion, appearance = (
        _mean(constant_losses(branch, branch.best_constant(statistics), statistics))
        for branch in (code.motion, code.appearance)
    )
    return Losses(motion, appearance, motion_weight * motion + appearance_weight * appearance)
