"""The two branches that regress the labels (paper, section 3.4 and figure 5).

Notes
-----
Choices that the paper leaves open, and the decisions made here:

- *Width of the fully connected layers.* "Two fully connected layers are used similarly to the original C3D
  model": the small C3D that the paper names has 2048 outputs in each (Tran et al., ICCV 2015, section 3.2),
  and so has the authors' released code. 2048 is the default; the 4096 of the larger C3D is an option.
- *Dropout.* C3D trains with 0.5; the authors' released code pre-trains without. The default is 0, because
  dropout disturbs the scale of a regression of raw numbers; a rate is an option.
- *Initialisation.* As in the authors' released code: fully connected weights from N(0, 0.005) with biases of
  1, output weights from N(0, 0.01) with biases of 0. Narrower layers are drawn wider, as in
  `mas_train.model.c3d`. ``he`` draws the hidden layers as He et al. do; the output layer stays.
- *Other targets.* A branch has as many outputs as `mas_train.model.targets.BranchCode` says, 14 and 13 in the
  paper. A kind of label of which none is trained has no branch.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.schema import APPEARANCE_NAMES, MOTION_NAMES
from mas_train.model.backbone import Backbone
from mas_train.model.backbones import make_backbone
from mas_train.model.c3d import SMALL_FEATURES
from mas_train.model.targets import TargetCode
from mas_train.recipe import Recipe

FC_WIDTH: Final = 2048
"""Outputs of each fully connected layer in the small C3D."""
FC_STD: Final = 0.005
FC_BIAS: Final = 1.0
OUTPUT_STD: Final = 0.01
"""Initial weights and biases of the authors' released code."""


class Predictions(NamedTuple):
    """The network's outputs for each view, coded as in `mas_train.model.targets`; in the paper raw labels."""

    motion: Tensor
    """Shape (B, 14), in the order of `mas_labels.schema.MOTION_NAMES`."""
    appearance: Tensor
    """Shape (B, 13), in the order of `mas_labels.schema.APPEARANCE_NAMES`."""


def _linear(inputs: int, outputs: int, std: float, bias: float, full_inputs: int) -> nn.Linear:
    """Make a linear layer with normal weights, of deviation `std` if it had `full_inputs` inputs."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=std * math.sqrt(full_inputs / inputs))
    nn.init.constant_(layer.bias, bias)
    return layer


class RegressionBranch(nn.Module):
    """Two fully connected layers, each with ReLU and dropout, and a linear output layer.

    Parameters
    ----------
    inputs
        Features of the backbone.
    outputs
        Outputs of the branch: 14 or 13 labels in the paper.
    fc_width
        Outputs of each of the two hidden layers.
    dropout
        Share of hidden activations dropped in training.
    initialisation
        One of `mas_train.networks.INITIALISATIONS`.
    """

    def __init__(
        self, inputs: int, outputs: int, fc_width: int, dropout: float, initialisation: str = "authors"
    ) -> None:
        super().__init__()
        self.fc6 = _linear(inputs, fc_width, FC_STD, FC_BIAS, SMALL_FEATURES)
        self.fc7 = _linear(fc_width, fc_width, FC_STD, FC_BIAS, FC_WIDTH)
        self.output = _linear(fc_width, outputs, OUTPUT_STD, 0.0, FC_WIDTH)
        self.dropout = dropout
        if initialisation == "he":
            for layer in (self.fc6, self.fc7):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Regress the labels of one kind.

        Parameters
        ----------
        features : Tensor, shape (B, inputs)

        Returns
        -------
        Tensor, shape (B, outputs)
        """
        hidden = functional.relu(self.fc6(features))  # (B, fc_width)
        hidden = functional.dropout(hidden, self.dropout, self.training)
        hidden = functional.relu(self.fc7(hidden))  # (B, fc_width)
        hidden = functional.dropout(hidden, self.dropout, self.training)
        return self.output(hidden)  # (B, outputs)


class PretextModel(nn.Module):
    """The backbone with its motion and its appearance branch (paper, figure 5).

    Parameters
    ----------
    backbone
        Turns views into feature vectors.
    fc_width, dropout, initialisation
        See `RegressionBranch`.
    motion_outputs, appearance_outputs
        Outputs of each branch; 0 for no branch.
    geometry
        That of the clips, which the number of features depends on.
    """

    def __init__(
        self,
        backbone: Backbone,
        fc_width: int = FC_WIDTH,
        dropout: float = 0.0,
        motion_outputs: int = len(MOTION_NAMES),
        appearance_outputs: int = len(APPEARANCE_NAMES),
        initialisation: str = "authors",
        geometry: Geometry = DEFAULT_GEOMETRY,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        inputs = backbone.output_features(geometry)
        self.motion, self.appearance = (
            RegressionBranch(inputs, outputs, fc_width, dropout, initialisation) if outputs else None
            for outputs in (motion_outputs, appearance_outputs)
        )

    def forward(self, clips: Tensor) -> Predictions:
        """Predict the labels of each view.

        Parameters
        ----------
        clips : Tensor, shape (B, 3, frames, view_size, view_size), float

        Returns
        -------
        Predictions
            Shape (B, 0) for a missing branch.
        """
        features = self.backbone(clips)  # (B, 4096)
        empty = features[:, :0]
        return Predictions(
            self.motion(features) if self.motion is not None else empty,
            self.appearance(features) if self.appearance is not None else empty,
        )


def make_model(recipe: Recipe, code: TargetCode) -> PretextModel:
    """Build the network of a recipe for the geometry of `code`, with weights of torch's global generator.

    Raises
    ------
    ConfigError
        If the backbone does not come in this width, or the clips are too small for it.
    MissingDependencyError
        If the backbone needs torchvision and that does not import.
    """
    backbone = make_backbone(
        *(recipe.backbone, recipe.width, recipe.initialisation, recipe.input_stride, recipe.input_frames)
    )
    return PretextModel(
        backbone,
        recipe.fc_width,
        recipe.dropout,
        code.motion.outputs,
        code.appearance.outputs,
        recipe.initialisation,
        code.input_geometry,
    )
