"""The network that fine-tuning trains: the backbone and fresh fully connected layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mas_labels.errors import CheckpointError
from mas_train.backbone import Backbone
from mas_train.heads import RegressionBranch
from mas_train.presets import Recipe
from mas_train.weights import FINETUNED, Weights, known_recipe, part_of


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


def load_classifier(weights: Weights) -> Classifier:
    """Build the fine-tuned model of a checkpoint, with its weights.

    Raises
    ------
    CheckpointError
        If the checkpoint is not one of `mas-finetune`, or does not fit itself.
    """
    content = weights.content
    if content.get("format") != FINETUNED:
        raise CheckpointError(
            f"{weights.source} knows no classes: fine-tune it first (mas-finetune --init {weights.source})"
        )
    try:
        recipe = known_recipe(content["recipe"])
        model = Classifier(weights.backbone, len(content["classes"]), recipe, bool(content["frozen"]))
        model.head.load_state_dict(part_of(content["model"], "head"))
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{weights.source} does not fit itself ({reason}): it is damaged") from error
    return model.eval()
