"""The network for fine-tuning: a backbone and randomly initialised fully connected layers."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from mas_labels.geometry import Geometry
from mas_train.model.backbone import Backbone
from mas_train.model.heads import RegressionBranch
from mas_train.recipe import Recipe

SCORED_ROWS: Final = 32
"""Rows of features that the fully connected layers score together."""


class Classifier(nn.Module):
    """A backbone and a head with one output per class.

    Parameters
    ----------
    backbone
        Turns views into feature vectors.
    classes
        Number of classes.
    recipe
        `fc_width` and `dropout` of the fully connected layers.
    frozen
        Keep the backbone's weights fixed, and train one linear layer on its features (a linear probe).
    geometry
        That of the clips to classify, which the number of features depends on.

    Notes
    -----
    The three fully connected layers (paper, section 4.1) are those of a branch of the pretext network, the
    output layer having one output per class. The paper does not state their initialisation; it is that of the
    branch.
    """

    def __init__(
        self, backbone: Backbone, classes: int, recipe: Recipe, frozen: bool, geometry: Geometry
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.frozen = frozen
        inputs = backbone.output_features(geometry)
        self.head: nn.Module = (
            nn.Linear(inputs, classes)
            if frozen
            else RegressionBranch(inputs, classes, recipe.fc_width, recipe.dropout, recipe.initialisation)
        )
        backbone.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> Classifier:
        """Set training mode; a frozen backbone stays in evaluation mode, with fixed running statistics."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, clips: Tensor) -> Tensor:
        """Score the classes of each view.

        Parameters
        ----------
        clips : Tensor, shape (B, 3, frames, view_size, view_size), float

        Returns
        -------
        Tensor, shape (B, classes)
            Logits.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.backbone(clips)  # (B, F)
        return self.head(features)

    def probabilities(self, clips: Tensor) -> Tensor:
        """Compute the probability of each class, (B, classes): the softmax of `forward`, without dropout.

        Notes
        -----
        Libraries multiply other numbers of rows by other kernels, which round differently. So the fully
        connected layers always get `SCORED_ROWS` rows, of which the last may be zeros, and the scores of a
        clip do not depend on the batch around it.
        """
        features = self.backbone(clips)  # (B, F)
        scores = [self._score_block(block) for block in features.split(SCORED_ROWS)]
        return torch.cat(scores)

    def _score_block(self, features: Tensor) -> Tensor:
        """Return the softmax for at most `SCORED_ROWS` rows of features."""
        padded = functional.pad(features, (0, 0, 0, SCORED_ROWS - len(features)))
        return torch.softmax(self.head(padded).float(), dim=1)[: len(features)]
