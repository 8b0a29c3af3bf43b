"""The network that fine-tuning trains: the backbone and fresh fully connected layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mas_train.model.backbone import Backbone
from mas_train.model.heads import RegressionBranch
from mas_train.recipe import Recipe


class Classifier(nn.Module):
    """A backbone with an output for each class.

    Parameters
    ----------
    backbone
        Turns views into feature vectors.
    classes
        Number of classes.
    recipe
        `fc_width` and `dropout` of the fully connected layers.
    frozen
        Keep the backbone's weights, and put one linear layer on its features (a linear probe).

    Notes
    -----
    The three fully connected layers (paper, section 4.1) are those of a branch of the pretext network, the
    output layer having one output a class. The paper does not tell their initialisation: it is the branch's.
    """

    def __init__(self, backbone: Backbone, classes: int, recipe: Recipe, frozen: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.frozen = frozen
        inputs = backbone.output_features
        self.head: nn.Module = (
            nn.Linear(inputs, classes)
            if frozen
            else RegressionBranch(inputs, classes, recipe.fc_width, recipe.dropout, recipe.initialisation)
        )
        backbone.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> Classifier:
        """Set training mode; a frozen backbone stays as in evaluation, its running statistics too."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, clips: Tensor) -> Tensor:
        """Score the classes of each view.

        Parameters
        ----------
        clips : Tensor, shape (B, 3, 16, 112, 112), float

        Returns
        -------
        Tensor, shape (B, classes)
            Before the softmax.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.backbone(clips)  # (B, 4096)
        return self.head(features)

    def probabilities(self, clips: Tensor) -> Tensor:
        """Softmax of `forward`: (B, classes), each row sums to 1."""
        return torch.softmax(self.forward(clips).float(), dim=1)
