"""Training recipes: the paper's two, that of its authors' released code, and every choice of an ablation.

`Recipe` holds what decides the weights, `mas_train.training.options.TrainingOptions` all else of a run.

Notes
-----
Choices that the paper (sections 4.1 to 4.3) leaves open, and the decisions made here:

- *Momentum* is not stated in the paper; 0.9, set in `Recipe` below, is that of the authors' released code.
- *Weight decay* and a higher rate for biases are not stated, and used in the preset ``authors`` only.
- *Weights of the two losses* are not stated; both are 1, except in the preset ``authors``.
- *Normalisation*: "the same pre-processing as C3D", which subtracts a mean and does not rescale. C3D's mean
  is a volume of its own data set; here one number per channel is subtracted. Pixels stay 0 to 255.
- *Gradient clipping* is not in the paper and is off: with the authors' initialisation the loss overshoots in
  the first ten steps, to less than its first value, and settles. It is an option for other data and widths.

The preset ``authors`` joins the two releases of the authors' code. From the first (C3D, motion labels only):
weight decay 0.005 on the fully connected weights, the initialisation, the width of 2048. From the second
(both kinds of labels): learning rate 0.0005, 18 epochs, the rate divided by 10 every 6, weights 1 and 0.1 of
the losses. From both: momentum 0.9, twice the rate for biases, batches of 30. The second release decays all
weights (``weight_decay_on="all"``) and trains other networks. The authors' rules for the labels are not part
of a recipe: shards with such labels are made with ``mas-labels make --convention authors``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from mas_labels.errors import ConfigError
from mas_labels.schema import APPEARANCE_NAMES, LABEL_NAMES, MOTION_NAMES, PATTERNS
from mas_labels.system.options import bounds, check_options, choices
from mas_train.codings import CODINGS, check_coding
from mas_train.networks import BACKBONE_BUILDERS, INITIALISATIONS, INPUT_FRAMES


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
        "pace": ("pace",),
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
none: another pretext (`mas_train.model.pace`)   ``pace``
===============================================  =======================================================
"""

SCRATCH: Final = "scratch"
"""Stands for random weights where a run or a checkpoint is expected."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, together with the shards.

    A run resumes only with an equal recipe. The first paragraph about a field is the help of its option.

    Parameters
    ----------
    preset
        Recipe to start from: the paper's two pre-training runs, or its authors' released code.
    learning_rate
        Initial learning rate.
    lr_step_epochs, lr_decay
        After each `lr_step_epochs` epochs the rate is multiplied by `lr_decay`, if `schedule` is ``"steps"``.
    batch_size
        Clips per step, over all processes.
    epochs
        Passes over all clips.

        0 pre-trains nothing: weights stay random, and batch norm learns its statistics
        (`mas_train.training.untrained`).
    optimizer
        Optimiser: the paper's SGD, or AdamW (Loshchilov and Hutter, ICLR 2019).
    momentum
        Momentum of SGD, first beta of AdamW; the paper states none.

        0.9 is the authors' code's.
    weight_decay
        Weight decay.
    weight_decay_on
        Weights that decay: all weights and biases, or the weights of fully connected layers.
    bias_rate
        Multiplier of the learning rate for biases.
    clip_grad_norm
        Maximum norm of the gradient of all weights; 0 for no limit.
    targets
        Labels to train.

        A key of `TARGETS`.
    target_scale
        Scale of the labels: as they are, or of mean 0 and standard deviation 1.

        ``"raw"``: the label's number, as in the paper. ``"standard"``: less the training labels' mean,
        divided by their standard deviation, so that each label weighs the same.
    coding
        Numbers that stand for the targets: of each label its number, as in the paper; the same but sine and
        cosine, axis or classes of orientations; all recoded; or dense, statistics of every block.

        One of `mas_train.codings.CODINGS`. Earlier versions called it `orientation`.
    motion_weight
        Weight of the motion loss in the sum of the two.
    appearance_weight
        Weight of the appearance loss in the sum of the two.
    shuffle_labels
        Give each clip the labels of another: a control, from which nothing about motion can be learnt.
    where
        Train on the clips that match, such as 'min_motion=0.02,cut=false,class_name=Archery'.

        Filters of `mas_labels.shards.ShardSet.where`, as `mas_labels.shards.parse_filters` reads them.
    holdout
        Share of the training videos held out to measure on, such as 5%.
    backbone
        Network to train.

        A key of `mas_train.networks.BACKBONE_BUILDERS`.
    width
        Multiplier of the backbone's channels; 1 is the paper's.
    input_stride
        2: a C3D sees every 2nd frame and means of 2 x 2 pixels, for small machines; 1: all, as in the paper.
    input_frames
        Frames as they are, or their differences from the next: residual frames.

        See `mas_train.model.backbone.residual_frames`.
    fc_width
        Outputs of each fully connected layer.
    dropout
        Share of the fully connected layers' activations dropped in training.
    initialisation
        Distribution of the initial weights.

        One of `mas_train.networks.INITIALISATIONS`; torchvision's backbones keep their own.
    pixel_mean
        Mean that is subtracted from R, G and B, on the scale of 0 to 255.
    shuffle
        Draw clips from all shards, or from a window of shards (for network file systems).

        See `mas_train.data.clips.epoch_order`.
    shuffle_window
        Number of shards in a window.
    precision
        Number format of the network's forward and backward pass; weights are float32.
    schedule
        Learning-rate schedule: the paper's steps, or a cosine.

        The cosine falls epoch by epoch towards 0 at the end (Loshchilov and Hutter, ICLR 2017).
    warmup_epochs
        Epochs in which the learning rate rises linearly to its initial value, before the schedule.
    seed
        Seed of everything drawn at random.

        Initial weights, the order of clips, views, the videos held out, shuffled labels, and dropout.
    label_smoothing
        In fine-tuning, the share of each target that is spread over all classes (Szegedy et al., CVPR 2016).
    colour_jitter
        In fine-tuning, the strength of random changes of colour, such as 0.4; 0 for none.

        See `mas_train.data.colours`.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    preset: str
    learning_rate: float = field(metadata=bounds(above=0))
    lr_step_epochs: int = field(metadata=bounds(at_least=1))
    lr_decay: float = field(default=0.1, metadata=bounds(above=0, at_most=1))
    batch_size: int = field(default=30, metadata=bounds(at_least=1))
    epochs: int = field(default=20, metadata=bounds(at_least=0))
    momentum: float = field(default=0.9, metadata=bounds(at_least=0, below=1))
    weight_decay: float = field(default=0.0, metadata=bounds(at_least=0))
    weight_decay_on: Literal["all", "fc"] = "all"
    bias_rate: float = field(default=1.0, metadata=bounds(above=0))
    clip_grad_norm: float = field(default=0.0, metadata=bounds(at_least=0))
    targets: str = field(default="joint", metadata=choices(TARGETS))
    target_scale: Literal["raw", "standard"] = "raw"
    coding: str = field(default="number", metadata=choices(CODINGS))
    motion_weight: float = field(default=1.0, metadata=bounds(at_least=0))
    appearance_weight: float = field(default=1.0, metadata=bounds(at_least=0))
    holdout: float = field(default=0.0, metadata=bounds(at_least=0, below=1, is_share=True))
    backbone: str = field(default="c3d", metadata=choices(BACKBONE_BUILDERS))
    width: float = field(default=1.0, metadata=bounds(above=0))
    fc_width: int = field(default=2048, metadata=bounds(at_least=1))
    dropout: float = field(default=0.0, metadata=bounds(at_least=0, below=1))
    initialisation: str = field(default="authors", metadata=choices(INITIALISATIONS))
    pixel_mean: tuple[float, float, float] = (102.0, 98.0, 90.0)
    seed: int = field(default=0, metadata=bounds(at_least=0))
    shuffle: Literal["full", "window"] = "full"
    shuffle_window: int = field(default=16, metadata=bounds(at_least=1))
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    schedule: Literal["steps", "cosine"] = "steps"
    shuffle_labels: bool = False
    input_stride: int = field(default=1, metadata=bounds(at_least=1, at_most=2))
    where: str = ""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    warmup_epochs: int = field(default=0, metadata=bounds(at_least=0))
    label_smoothing: float = field(default=0.0, metadata=bounds(at_least=0, below=1))
    input_frames: str = field(default="rgb", metadata=choices(INPUT_FRAMES))
    colour_jitter: float = field(default=0.0, metadata=bounds(at_least=0, at_most=1))

    def __post_init__(self) -> None:
        check_options(self)
        if len(self.pixel_mean) != 3 or not all(map(math.isfinite, self.pixel_mean)):
            raise ConfigError(f"pixel_mean: expected three numbers, R, G and B, found {self.pixel_mean}")
        check_coding(self.coding, TARGETS[self.targets], self.target_scale, self.shuffle_labels)

    def epoch_learning_rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, from 0 (paper: divided by 10 every 5, or 7, epochs)."""
        warmup = self.warmup_epochs
        if epoch < warmup:
            return self.learning_rate * (epoch + 1) / (warmup + 1)
        if self.schedule == "cosine":
            angle = math.pi * (epoch - warmup) / (self.epochs - warmup)
            return self.learning_rate * (1 + math.cos(angle)) / 2
        return self.learning_rate * self.lr_decay ** (epoch // self.lr_step_epochs)


def with_present_names(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's entries under present names, `coding` for `orientation`; refuse both together."""
    if {"coding", "orientation"} <= entries.keys():
        raise ConfigError("expected coding, or orientation, its earlier name, found both: leave one out")
    return {"coding" if name == "orientation" else name: value for name, value in entries.items()}


def with_defaults(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a stored recipe, with the defaults of fields that did not exist yet."""
    defaults = {option.name: option.default for option in fields(Recipe) if option.default is not MISSING}
    return {**defaults, **with_present_names(entries)}


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
"""The paper's two pre-training runs, on UCF101 train split 1 and Kinetics-400 train; its authors' code."""


def make_recipe(preset: str, presets: Mapping[str, Recipe] = PRESETS, **changes: Any) -> Recipe:
    """Return a preset with some fields changed.

    Parameters
    ----------
    preset
        A key of `presets`.
    presets
        `PRESETS`, or those of fine-tuning (`mas_train.training.options.FINETUNE_PRESETS`).
    **changes
        Fields of `Recipe`; those that are None keep the preset's value.

    Raises
    ------
    ConfigError
        If there is no such preset or field, or a value is out of its range.
    """
    if preset not in presets:
        raise ConfigError(f"no preset {preset!r}: choose one of {', '.join(presets)}")
    changes = with_present_names(changes)
    unknown = changes.keys() - {option.name for option in fields(Recipe)}
    if unknown:
        raise ConfigError(f"a recipe has no {', '.join(sorted(unknown))}: see the fields of Recipe")
    recipe = replace(presets[preset], **{name: value for name, value in changes.items() if value is not None})
    if 0 < recipe.epochs <= recipe.warmup_epochs:  # not where a recipe is read: earlier versions trained so
        raise ConfigError(f"warmup_epochs: {recipe.warmup_epochs}, expected below epochs, {recipe.epochs}")
    return recipe
