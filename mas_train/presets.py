"""The paper's recipes as data (paper, section 4.1 to 4.3; released code where the paper is silent).

`Recipe` holds everything that decides the weights. What only decides how a run is carried out (device,
workers, where to write, when to stop) is in `mas_train.pretrain.RunOptions`.

Notes
-----
What the paper leaves open, and what is taken here:

- *Momentum* is not stated; 0.9 is the authors' released code's.
- *Weight decay* and a higher rate for biases are not stated and not used. (The authors' released code has
  0.005 on the fully connected weights, and twice the rate for biases.)
- *Weights of the two losses* are not stated; both are 1.
- *Normalisation*: "the same pre-processing as C3D", which subtracts a mean and does not rescale. C3D's mean
  is a volume made from its own data set; we subtract one number a channel. Pixels keep the scale of 0 to 255.
- *Gradient clipping* is not in the paper and is off: with the authors' initialisation the loss overshoots in
  the first ten steps, to less than its first value, and settles. It is an option for other data and widths.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Final

from mas_labels.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, together with the shards.

    A run resumes only with an equal recipe.

    Parameters
    ----------
    preset
        Name of the recipe this one was made from.
    learning_rate
        Rate of the first epochs.
    lr_step_epochs, lr_decay
        After each `lr_step_epochs` epochs the rate is multiplied by `lr_decay`.
    batch_size
        Clips a step.
    epochs
        Passes over all clips.
    momentum
        Of stochastic gradient descent.
    clip_grad_norm
        Largest norm of the gradient of all weights; 0 for no limit.
    motion_weight, appearance_weight
        Weights of the two losses in their sum.
    width
        Multiplies the channels of the backbone; 1 is the paper's.
    fc_width
        Outputs of each fully connected layer.
    dropout
        Share of the fully connected layers' activations dropped in training.
    pixel_mean
        What is subtracted from R, G and B, on the scale of 0 to 255.
    seed
        Of the first weights, the order of clips, the views drawn, and dropout.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    preset: str
    learning_rate: float
    lr_step_epochs: int
    lr_decay: float = 0.1
    batch_size: int = 30
    epochs: int = 20
    momentum: float = 0.9
    clip_grad_norm: float = 0.0
    motion_weight: float = 1.0
    appearance_weight: float = 1.0
    width: float = 1.0
    fc_width: int = 2048
    dropout: float = 0.0
    pixel_mean: tuple[float, float, float] = (102.0, 98.0, 90.0)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "lr_step_epochs", "batch_size", "epochs", "width", "fc_width"):
            _require(self, name, getattr(self, name) > 0, "more than 0")
        for name in ("clip_grad_norm", "motion_weight", "appearance_weight", "seed"):
            _require(self, name, getattr(self, name) >= 0, "0 or more")
        for name in ("momentum", "dropout"):
            _require(self, name, 0 <= getattr(self, name) < 1, "0 or more and less than 1")
        _require(self, "lr_decay", 0 < self.lr_decay <= 1, "more than 0 and at most 1")

    def epoch_learning_rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0 (paper: divided by 10 every 5, or 7, epochs)."""
        return self.learning_rate * self.lr_decay ** (epoch // self.lr_step_epochs)


def _require(recipe: Recipe, name: str, holds: bool, expected: str) -> None:
    value = getattr(recipe, name)
    if not holds or not math.isfinite(value):
        raise ConfigError(f"{name} must be {expected}, not {value}")


PRESETS: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "ucf101": Recipe(preset="ucf101", learning_rate=0.001, lr_step_epochs=5),
        "kinetics400": Recipe(preset="kinetics400", learning_rate=0.0005, lr_step_epochs=7),
    }
)
"""The paper's two pre-training runs: UCF101 train split 1 and Kinetics-400 train."""


def make_recipe(preset: str, **changes: Any) -> Recipe:
    """Take a preset and change what is given.

    Parameters
    ----------
    preset
        A key of `PRESETS`.
    **changes
        Fields of `Recipe`; those that are None keep the preset's value.

    Raises
    ------
    ConfigError
        If there is no such preset or field, or a value is out of its range.
    """
    if preset not in PRESETS:
        raise ConfigError(f"no preset {preset!r}: take one of {', '.join(PRESETS)}")
    unknown = changes.keys() - {field.name for field in fields(Recipe)}
    if unknown:
        raise ConfigError(f"a recipe has no {', '.join(sorted(unknown))}")
    return replace(PRESETS[preset], **{name: value for name, value in changes.items() if value is not None})
