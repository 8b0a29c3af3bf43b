"""Options of training that the command line shows; importing them does not load torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from mas_labels.errors import ConfigError
from mas_labels.system.options import bounds, check_options, choices
from mas_train.recipe import PRESETS, SCRATCH, Recipe
from mas_train.runtime.names import DEVICES, MEMORY_FORMAT_NAMES


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training run that change the weights by no more than rounding, but for its length.

    With batch norm or dropout `accumulate` changes more: each part has its own statistics, and draws.

    Parameters
    ----------
    shards
        Shards, folders of shards, or quoted patterns; many paths may follow.
    out
        The run's folder.
    device
        Device to compute on.

        ``"auto"`` takes CUDA, then MPS, then the CPU.
    workers
        Processes that read clips, or decode videos; 0: the main process reads, one other decodes.

        None: as many as the steps turn out to need and the cores allow.
    threads
        CPU threads of torch.

        None: torch's choice.
    max_steps
        Stop after this many steps, counted from the run's beginning.

        None: after the recipe's epochs.
    checkpoint_steps
        Steps between two checkpoints.
    log_steps
        Steps between two rows of metrics.csv.
    resume
        Resume the run in --out from its newest checkpoint.
    val_shards
        Shards to measure on, in addition to the videos held out; many paths may follow.
    val_steps
        Steps between two measurements on held-out clips.
    val_clips
        Maximum number of held-out clips to measure on, spread evenly over all.
    probe_shards
        Shards with classes for the online probe: nearest neighbours each epoch; many paths may follow.

        Their frames and classes are read, never their labels; the loss does not see them.
    probe_clips
        Maximum number of clips for the probe, spread evenly over classes and videos.
    best_by
        Figure by which the best checkpoint is kept: loss on held-out clips, or accuracy of the probe.
    tensorboard
        Write TensorBoard events as well.
    accumulate
        Parts in which a batch is computed, to save memory; their gradients are summed.
    memory_format
        Memory layout of activations; auto measures which is faster.

        None: the choice of `mas_train.runtime.performance.choose_memory_format`.
    compile
        Have torch compile the network.
    fused
        Update all weights in one fused pass.
    curves
        Draw the learning curves at the end.
    incomplete
        Train although shards of a folder's plan are missing.

    Raises
    ------
    ConfigError
        If an option is out of its range, or the best is kept by a probe that has no shards.
    """

    shards: Sequence[str | Path]
    out: Path
    device: str = field(default="auto", metadata=choices(DEVICES))
    workers: int | None = field(default=None, metadata=bounds(at_least=0))
    threads: int | None = field(default=None, metadata=bounds(at_least=1))
    max_steps: int | None = field(default=None, metadata=bounds(at_least=1))
    checkpoint_steps: int = field(default=250, metadata=bounds(at_least=1))
    log_steps: int = field(default=10, metadata=bounds(at_least=1))
    resume: bool = False
    val_shards: Sequence[str | Path] = ()
    val_steps: int = field(default=500, metadata=bounds(at_least=1))
    val_clips: int = field(default=1024, metadata=bounds(at_least=1))
    probe_shards: Sequence[str | Path] = ()
    probe_clips: int = field(default=1024, metadata=bounds(at_least=2))
    best_by: Literal["loss", "probe"] = "loss"
    tensorboard: bool = False
    accumulate: int = field(default=1, metadata=bounds(at_least=1))
    memory_format: str | None = field(default=None, metadata=choices(("auto", *MEMORY_FORMAT_NAMES)))
    compile: bool = False
    fused: bool = False
    curves: bool = True
    incomplete: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        if self.best_by == "probe" and not self.probe_shards:
            raise ConfigError(
                "expected shards for --best-by probe, found none: name them with --probe-shards, or leave "
                "--best-by out"
            )


@dataclass(frozen=True)
class FinetuneOptions:
    """Options that decide a fine-tuned model, together with its recipe and the shards.

    Attributes
    ----------
    init
        Run, weights folder or checkpoint whose convolutions are kept, or 'scratch' for random weights.
    frozen
        Keep the convolutions fixed and train one linear layer: a linear probe.
    label_fraction
        Share of each class's videos to train on.

    Raises
    ------
    ConfigError
        If an option is out of its range.
    """

    init: str = SCRATCH
    frozen: bool = False
    label_fraction: float = field(default=1.0, metadata=bounds(above=0, at_most=1, is_share=True))

    def __post_init__(self) -> None:
        check_options(self)


FINETUNE_PRESETS: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        **{name: replace(preset, learning_rate=0.001, dropout=0.5) for name, preset in PRESETS.items()},
        "strong": Recipe(
            preset="strong",
            learning_rate=0.0003,
            lr_step_epochs=20,  # for --schedule steps
            epochs=60,
            schedule="cosine",
            warmup_epochs=5,
            optimizer="adamw",
            weight_decay=0.05,
            dropout=0.5,
            label_smoothing=0.1,
            colour_jitter=0.4,
        ),
    }
)
"""Recipes of fine-tuning. The presets of pre-training differ here in the paper's rate of fine-tuning (section
4.1), and in C3D's dropout of the fully connected layers, since the paper states none. ``strong`` is none of
the paper's: what has become usual since, so that networks from scratch are as good as they can be."""

PRETRAINING_FIELDS: Final = (
    *("targets", "target_scale", "coding", "motion_weight", "appearance_weight", "shuffle_labels", "holdout"),
    "clip_grad_norm",
)
FINETUNING_FIELDS: Final = ("label_smoothing", "colour_jitter")
"""Fields of a recipe that pre-training alone, and fine-tuning alone, uses."""


def require_preset(recipe: Recipe, names: Sequence[str], presets: Mapping[str, Recipe], work: str) -> None:
    """Raise `ConfigError` if fields that some work does not use differ from those of the recipe's preset."""
    preset = presets.get(recipe.preset, recipe)
    for name in names:
        found, expected = getattr(recipe, name), getattr(preset, name)
        if found != expected:
            raise ConfigError(
                f"{name}: {work} does not use it, expected the preset's {expected}, found {found}: leave "
                "it out"
            )
