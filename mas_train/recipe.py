"""Recipes as data: the paper's two, its authors' released code, and every choice an ablation changes.

`Recipe` holds everything that decides the weights. What only decides how a run is carried out (device,
workers, where to write, when to stop) is in `mas_train.training.options.TrainingOptions`.

Notes
-----
What the paper (sections 4.1 to 4.3) leaves open, and what is taken here:

- *Momentum* is not stated in the paper; 0.9, set in `Recipe` below, is the authors' released code's.
- *Weight decay* and a higher rate for biases are not stated and not used, but in the preset ``authors``.
- *Weights of the two losses* are not stated; both are 1, but in the preset ``authors``.
- *Normalisation*: "the same pre-processing as C3D", which subtracts a mean and does not rescale. C3D's mean
  is a volume made from its own data set; we subtract one number a channel. Pixels keep the scale of 0 to 255.
- *Gradient clipping* is not in the paper and is off: with the authors' initialisation the loss overshoots in
  the first ten steps, to less than its first value, and settles. It is an option for other data and widths.

The preset ``authors`` joins the two releases of the authors' code. From the first (C3D, motion labels only):
weight decay 0.005 on the fully connected weights, the initialisation, the width of 2048. From the second
(both kinds of labels): learning rate 0.0005, 18 epochs, the rate divided by 10 every 6, weights 1 and 0.1 of
the losses. From both: momentum 0.9, twice the rate for biases, batches of 30. The second release decays all
weights (``weight_decay_on="all"``) and trains other networks. Their labels are another matter: they are in
shards made with ``mas-labels make --convention authors``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Final

from mas_labels.errors import ConfigError
from mas_labels.schema import APPEARANCE_NAMES, LABEL_NAMES, MOTION_NAMES, PATTERNS


def _of_pattern(pattern: str) -> tuple[str, ...]:
    return tuple(name for name in MOTION_NAMES if name.startswith(f"{pattern}_"))


TARGETS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "joint": LABEL_NAMES,
        "motion": MOTION_NAMES,
        "appearance": APPEARANCE_NAMES,
        **{f"motion-{pattern}": _of_pattern(pattern) for pattern in PATTERNS},
        "motion-local": tuple(name for pattern in PATTERNS for name in _of_pattern(pattern)),
        "motion-global": ("ui", "vi"),
    }
)
"""Labels trained under each name, in the order of `mas_labels.schema.LABEL_NAMES`.

===============================================  =======================================================
row of the paper                                 `targets`
===============================================  =======================================================
table 1: motion pattern 1, 2, 3                  ``motion-grid``, ``motion-rings``, ``motion-triangles``
table 2: motion global                           ``motion-global``
table 2: motion pattern all                      ``motion-local``
table 2: motion pattern all + global; 3: motion  ``motion``
table 3: appearance                              ``appearance``
table 3: joint; all of table 4                   ``joint``
===============================================  =======================================================
"""

TARGET_SCALES: Final = ("raw", "standard")
"""``raw``: the label's number, as in the paper. ``standard``: less the training labels' mean, divided by
their standard deviation, so that each label weighs the same."""

ORIENTATION_CODES: Final = ("number", "sin-cos", "classes")
"""How an orientation, a circular number, is predicted: as the bin's number, as in the paper; as sine and
cosine of the bin's middle; or as eight classes by cross-entropy."""


def is_orientation(name: str) -> bool:
    """Whether a label is an orientation (``uo`` or ``vo`` of a pattern)."""
    return name.endswith(("_uo", "_vo"))


BACKBONE_BUILDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "c3d": "mas_train.model.c3d:make_c3d",
        "c3d-bn": "mas_train.model.c3d:make_c3d",
        "c3d-large": "mas_train.model.c3d:make_c3d",
        "c3d-large-bn": "mas_train.model.c3d:make_c3d",
        "r3d-18": "mas_train.model.torchvision_backbones:make_torchvision",
        "r2plus1d-18": "mas_train.model.torchvision_backbones:make_torchvision",
        "s3d": "mas_train.model.torchvision_backbones:make_torchvision",
    }
)
"""Module and function that build each backbone, of name, width, initialisation and input stride (see
`mas_train.model.backbones.make_backbone`); named here so that ``--help`` loads no torch."""
BACKBONES: Final = tuple(BACKBONE_BUILDERS)
"""Names of the backbones. ``c3d`` is the paper's."""
INITIALISATIONS: Final = ("authors", "he")
"""``authors``: normal weights of fixed deviation, as in the authors' released code. ``he``: normal weights
whose deviation keeps the signal's variance through ReLUs (He et al., ICCV 2015), biases 0."""
SHUFFLES: Final = ("full", "window")
SCHEDULES: Final = ("steps", "cosine")
"""How the learning rate falls: in steps, as in the paper; or along half a cosine (Loshchilov and Hutter, ICLR
2017), epoch by epoch, towards 0 at the end."""
PRECISIONS: Final = ("float32", "bf16", "fp16")
DECAYED: Final = ("all", "fc")
"""What weight decay acts on: all weights and biases, or the weights of linear layers."""


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
        After each `lr_step_epochs` epochs the rate is multiplied by `lr_decay`, if `schedule` is ``"steps"``.
    batch_size
        Clips a step.
    epochs
        Passes over all clips.
    momentum
        Of stochastic gradient descent. Not stated in the paper: 0.9 is the authors' code's.
    weight_decay
        Times a weight is added to its gradient.
    weight_decay_on
        One of `DECAYED`.
    bias_rate
        Multiplies the learning rate of biases.
    clip_grad_norm
        Largest norm of the gradient of all weights; 0 for no limit.
    targets, target_scale, orientation
        Which labels are trained, and as what: see `mas_train.recipe`.
    motion_weight, appearance_weight
        Weights of the two losses in their sum.
    shuffle_labels
        Give each clip the labels of another: a control, from which nothing about motion can be learnt.
    holdout
        Share of the training videos kept out of training, to measure on.
    backbone
        One of `BACKBONES`.
    width
        Multiplies the channels of the backbone; 1 is the paper's.
    input_stride
        2: the network sees every second frame, and the means of 2 x 2 pixels; 1: all, as in the paper.
    fc_width
        Outputs of each fully connected layer.
    dropout
        Share of the fully connected layers' activations dropped in training.
    initialisation
        One of `INITIALISATIONS`; torchvision's backbones keep their own, their branches follow.
    pixel_mean
        What is subtracted from R, G and B, on the scale of 0 to 255.
    shuffle
        One of `SHUFFLES`: how the order of clips is drawn, see `mas_train.data.clips.epoch_order`.
    shuffle_window
        Shards that are open at a time when `shuffle` is ``"window"``.
    precision
        One of `PRECISIONS`, of the network's forward and backward pass; weights are float32.
    schedule
        One of `SCHEDULES`.
    seed
        Of the first weights, the order of clips, the views drawn, the videos held out, shuffled labels, and
        dropout.

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
    weight_decay: float = 0.0
    weight_decay_on: str = "all"
    bias_rate: float = 1.0
    clip_grad_norm: float = 0.0
    targets: str = "joint"
    target_scale: str = "raw"
    orientation: str = "number"
    motion_weight: float = 1.0
    appearance_weight: float = 1.0
    holdout: float = 0.0
    backbone: str = "c3d"
    width: float = 1.0
    fc_width: int = 2048
    dropout: float = 0.0
    initialisation: str = "authors"
    pixel_mean: tuple[float, float, float] = (102.0, 98.0, 90.0)
    seed: int = 0
    shuffle: str = "full"
    shuffle_window: int = 16
    precision: str = "float32"
    schedule: str = "steps"
    shuffle_labels: bool = False
    input_stride: int = 1

    def __post_init__(self) -> None:
        for name in (
            "learning_rate",
            "lr_step_epochs",
            "batch_size",
            "epochs",
            "bias_rate",
            "shuffle_window",
            "width",
            "fc_width",
            "input_stride",
        ):
            self._require(name, getattr(self, name) > 0, "more than 0")
        for name in ("weight_decay", "clip_grad_norm", "motion_weight", "appearance_weight", "seed"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("momentum", "dropout", "holdout"):
            self._require(name, 0 <= getattr(self, name) < 1, "0 or more and less than 1")
        self._require("lr_decay", 0 < self.lr_decay <= 1, "more than 0 and at most 1")
        self._require_one_of("targets", TARGETS)
        self._require_one_of("target_scale", TARGET_SCALES)
        self._require_one_of("orientation", ORIENTATION_CODES)
        self._require_one_of("backbone", BACKBONES)
        self._require_one_of("initialisation", INITIALISATIONS)
        self._require_one_of("weight_decay_on", DECAYED)
        self._require_one_of("shuffle", SHUFFLES)
        self._require_one_of("precision", PRECISIONS)
        self._require_one_of("schedule", SCHEDULES)

    def _require(self, name: str, holds: bool, expected: str) -> None:
        value = getattr(self, name)
        if not holds or not math.isfinite(value):
            raise ConfigError(f"{name} must be {expected}, not {value}")

    def _require_one_of(self, name: str, choices: Iterable[str]) -> None:
        if getattr(self, name) not in choices:
            raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")

    def epoch_learning_rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0 (paper: divided by 10 every 5, or 7, epochs)."""
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        return self.learning_rate * self.lr_decay ** (epoch // self.lr_step_epochs)


PRESETS: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "ucf101": Recipe(preset="ucf101", learning_rate=0.001, lr_step_epochs=5),
        "kinetics400": Recipe(preset="kinetics400", learning_rate=0.0005, lr_step_epochs=7),
        "authors": Recipe(
            preset="authors",
            learning_rate=0.0005,
            lr_step_epochs=6,
            epochs=18,
            weight_decay=0.005,
            weight_decay_on="fc",
            bias_rate=2.0,
            appearance_weight=0.1,
        ),
    }
)
"""The paper's two pre-training runs, on UCF101 train split 1 and Kinetics-400 train; the authors' code."""


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
