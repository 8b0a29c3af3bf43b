"""Inputs, state and files of a fine-tuning run."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import torch

from mas_labels.errors import CheckpointError, ConfigError, reason_of
from mas_labels.shards import ShardSet
from mas_labels.system.files import write_text
from mas_train.data.few_labels import classes_to_learn
from mas_train.data.leakage import VideoNames
from mas_train.model.classifier import Classifier
from mas_train.recipe import Recipe, with_defaults
from mas_train.runtime.performance import make_scaler
from mas_train.training.config_file import FINETUNE_COMMAND, config_entries
from mas_train.training.engine import make_optimizer
from mas_train.training.options import FinetuneOptions
from mas_train.weights.backbone_weights import FINETUNED, FINETUNED_VERSIONS, Weights
from mas_train.weights.checkpoint import load_checkpoint, load_optimizer
from mas_train.weights.tensor_file import write_tensors

FINETUNE_METRICS_FILE: Final = "metrics.csv"
FINETUNE_COLUMNS: Final = ("epoch", "learning_rate", "loss", "clip_accuracy", "seconds")


@dataclass
class FinetuneState:
    """Everything that training changes."""

    model: Classifier
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    """Number of epochs done."""
    scaler: torch.amp.GradScaler = field(default_factory=partial(torch.amp.GradScaler, "cpu", enabled=False))
    """Loss scaler for fp16; disabled for other precisions."""


@dataclass(frozen=True)
class FinetuneJob:
    """Inputs of a fine-tuning run, and its folder."""

    recipe: Recipe
    options: FinetuneOptions
    shards: ShardSet
    out: Path
    device: torch.device
    workers: int | None
    pretraining: dict[str, Any] = field(default_factory=dict)
    """Recipe of the self-supervised pre-training; empty if there was none."""
    memory_format: str | None = None
    compile: bool = False
    fused: bool = False
    """Computation of the steps: see `mas_train.training.options.TrainingOptions`."""
    test: ShardSet | None = None
    """Test shards, if there are any; like `asked`, they are only written down here."""
    asked: dict[str, Any] = field(default_factory=dict)
    """Options of the command by name, for config.yaml."""

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes that the model tells apart."""
        return classes_to_learn(self.shards, self.recipe.where)

    @cached_property
    def video_names(self) -> VideoNames:
        """The names of the training videos, which the model stores so that a test can find leakage."""
        return VideoNames.of(self.shards.videos)

    @property
    def origin(self) -> dict[str, Any]:
        """Everything that the fine-tuned model is made from; it must be equal on resuming."""
        return {
            "recipe": asdict(self.recipe),
            **asdict(self.options),
            "pretraining": self.pretraining,
            "classes": self.classes,
            "content_hashes": list(self.shards.content_hashes),
        }


def finetuning_entries(job: FinetuneJob) -> dict[str, Any]:
    """Return the entries of config.yaml that decide a run of fine-tuning."""
    sets = {"shards": job.shards} if job.test is None else {"shards": job.shards, "test_shards": job.test}
    return config_entries(FINETUNE_COMMAND, job.recipe, {**asdict(job.options), **job.asked}, sets)


def make_finetune_state(weights: Weights, job: FinetuneJob) -> FinetuneState:
    """Add a head, initialised from the recipe's seed, to a backbone; move both to the job's device."""
    torch.manual_seed(job.recipe.seed)
    inputs = (job.recipe, job.options.frozen, job.shards.geometry)
    model = Classifier(weights.backbone, len(job.classes), *inputs)
    model.to(job.device)
    optimizer = make_optimizer(model, job.recipe, job.fused)
    return FinetuneState(model, optimizer, scaler=make_scaler(job.recipe.precision, job.device))


def save_finetuning(path: Path, state: FinetuneState, job: FinetuneJob) -> None:
    """Write `finetuned.pt` atomically.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    content = {
        "format": FINETUNED,
        "version": FINETUNED_VERSIONS[job.recipe.input_frames],
        **job.origin,
        "geometry": asdict(job.shards.geometry),
        "training_videos": sorted(job.video_names.paths),
        "training_groups": sorted(job.video_names.groups),
        "epoch": state.epoch,
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, content)
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"cannot write {path} ({reason_of(error)}): give another --out") from error


def _comparable(value: Any) -> str:
    """Return an entry of `FinetuneJob.origin` as JSON: tuples were saved as lists, recipes may be older."""
    is_recipe = isinstance(value, dict) and "preset" in value
    return json.dumps(with_defaults(value) if is_recipe else value, sort_keys=True)


def restore_finetuning(path: Path, state: FinetuneState, job: FinetuneJob) -> None:
    """Load `finetuned.pt` into `state`.

    Raises
    ------
    CheckpointError
        If it is damaged, or was made with other options or shards.
    """
    content = load_checkpoint(path, {FINETUNED: FINETUNED_VERSIONS})
    expected = job.origin
    differing = [name for name in expected if _comparable(content.get(name)) != _comparable(expected[name])]
    if differing:
        raise CheckpointError(
            f"{path} was made with other options or shards ({', '.join(differing)}): resume with the same "
            "ones, or give another --out"
        )
    try:
        state.model.load_state_dict(content["model"])
        load_optimizer(state.optimizer, content["optimizer"])
        state.scaler.load_state_dict(content.get("scaler", {}))
        state.epoch = int(content["epoch"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit its own recipe ({reason}): it is damaged") from error


def log_epoch(path: Path, row: dict[str, float]) -> None:
    """Add the row of an epoch; rows of that epoch and later ones, left by a stopped run, are removed.

    Raises
    ------
    ConfigError
        If the table cannot be read or written.
    """
    text = io.StringIO()
    try:
        rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines()) if path.exists() else []
        writer = csv.DictWriter(text, FINETUNE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*(old for old in rows if int(float(old["epoch"])) < row["epoch"]), row])
        write_text(path, text.getvalue())
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({reason_of(error)}): fix that, then use --resume") from error
