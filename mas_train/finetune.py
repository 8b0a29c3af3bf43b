"""Fine-tuning for action recognition (paper, section 4.1): kept convolutions, fresh fully connected layers.

Notes
-----
- The paper's rate is 0.001 and its schedule that of pre-training: divided by 10 every 5 epochs, 20 epochs.
- Dropout of the fully connected layers is not told; the command line's default is C3D's 0.5.
- All draws of an epoch (order, crops, dropout) follow from the seed and the epoch's number, so that a resumed
  run ends in the same weights.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch.nn import functional

from mas_labels.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from mas_labels.shard import ShardSet
from mas_train.checkpoint import load_checkpoint, write_atomically
from mas_train.classifier import Classifier
from mas_train.frames import draw_crops, load_frames
from mas_train.labelled import LabelledClips, label_clips
from mas_train.model import make_optimizer
from mas_train.order import RunOrder
from mas_train.presets import Recipe
from mas_train.speed import set_memory_format
from mas_train.stopping import StopRequest
from mas_train.views import take_views
from mas_train.weights import (
    FINETUNED,
    FINETUNED_FILE,
    FINETUNED_VERSION,
    SCRATCH,
    Weights,
)

METRICS_FILE: Final = "metrics.csv"
COLUMNS: Final = ("epoch", "learning_rate", "loss", "clip_accuracy", "seconds")


@dataclass(frozen=True)
class FinetuneOptions:
    """What decides a fine-tuned model, beside its recipe and the shards.

    Attributes
    ----------
    init
        `SCRATCH`, or the checkpoint whose convolutions are kept, as it was given.
    frozen
        Keep the convolutions as they are and train one linear layer: a linear probe.
    label_fraction
        Share of each class's training videos that is used.
    """

    init: str = SCRATCH
    frozen: bool = False
    label_fraction: float = 1.0


@dataclass
class FinetuneState:
    """What training changes."""

    model: Classifier
    optimizer: torch.optim.SGD
    epoch: int = 0
    """Epochs done."""


@dataclass(frozen=True)
class FinetuneJob:
    """What to train on, how, and where to leave it."""

    recipe: Recipe
    options: FinetuneOptions
    shards: ShardSet
    out: Path
    device: torch.device
    workers: int
    pretraining: dict[str, Any] = field(default_factory=dict)
    """Recipe of the self-supervised pre-training before; empty if there was none."""


def make_state(weights: Weights, recipe: Recipe, options: FinetuneOptions, classes: int) -> FinetuneState:
    """Put fresh layers, drawn by the recipe's seed, on a backbone."""
    torch.manual_seed(recipe.seed)
    model = Classifier(weights.backbone, classes, recipe, options.frozen)
    return FinetuneState(model, make_optimizer(model, recipe))


def finetune(
    job: FinetuneJob, weights: Weights, resume: bool = False, say: Callable[[str], None] = print
) -> tuple[Classifier, int | None]:
    """Fine-tune a network, or go on with a run that was stopped.

    Parameters
    ----------
    job
        What to do. `job.out` gets `finetuned.pt` after each epoch, and `metrics.csv`.
    weights
        The backbone to begin with.
    resume
        Go on from `finetuned.pt` in `job.out`.
    say
        Is given lines for the user.

    Returns
    -------
    The model, and the signal that stopped the run early or None.

    Raises
    ------
    ConfigError
        If `job.out` cannot be written, or holds a run and `resume` is not set, or the other way round.
    DatasetError, ShardError
        If the shards have no clips or classes, or are damaged.
    CheckpointError
        If the run cannot be resumed with these options and shards.
    TrainingError
        If the loss is not finite.
    """
    path = job.out / FINETUNED_FILE
    if path.exists() != resume:
        raise ConfigError(
            f"nothing to resume in {job.out}: leave --resume out"
            if resume
            else f"{job.out} already holds a run: add --resume to go on with it, or give another --out"
        )
    if len(job.shards) == 0:
        raise DatasetError(f"no clips in the {len(job.shards.paths)} shards: see what `mas-labels make` said")
    labelled = label_clips(job.shards, job.options.label_fraction, job.recipe.seed)
    order = RunOrder([len(labelled.clips)], job.recipe)
    state = make_state(weights, job.recipe, job.options, len(job.shards.classes))
    state.model.to(job.device)
    set_memory_format(state.model, "channels_last_3d")  # that of the views
    if resume:
        _restore(path, state, job)
    else:
        _save(path, state, job)  # that it cannot be written shows before the work
    say(
        f"{len(labelled.clips)} clips of {labelled.videos} videos in {len(job.shards.classes)} classes, "
        f"{order.steps_per_epoch} steps an epoch, from {job.options.init}, on {job.device}"
    )
    with StopRequest() as stop:
        for epoch in range(state.epoch, job.recipe.epochs):
            row = train_epoch(job, state, labelled, epoch, stop.requested)
            if row is None:
                return state.model, stop.signal_number
            state.epoch = epoch + 1
            _save(path, state, job)
            _log(job.out / METRICS_FILE, row)
            say(f"epoch {state.epoch}: loss {row['loss']:.4f}, clips right {row['clip_accuracy']:.1%}")
    return state.model, None


def train_epoch(
    job: FinetuneJob,
    state: FinetuneState,
    labelled: LabelledClips,
    epoch: int,
    should_stop: Callable[[], bool],
) -> dict[str, float] | None:
    """Train one epoch.

    Returns
    -------
    Its row of `metrics.csv`, or None if it was asked to stop amid it.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    began, recipe = time.perf_counter(), job.recipe
    torch.manual_seed(recipe.seed * 100_003 + epoch)  # of dropout
    for group in state.optimizer.param_groups:
        group["lr"] = recipe.epoch_learning_rate(epoch) * group["lr_scale"]
    class_of = dict(zip(labelled.clips.tolist(), labelled.classes.tolist(), strict=True))
    steps = math.ceil(len(labelled.clips) / recipe.batch_size)
    order = RunOrder([len(labelled.clips)], recipe, epoch * steps, (epoch + 1) * steps)
    batches = [labelled.clips[batch].tolist() for batch in order]
    state.model.train()
    total_loss, right = 0.0, 0
    for batch in load_frames(job.shards, batches, job.workers, job.device):
        classes = torch.tensor([class_of[clip] for clip in batch.clip_indices.tolist()], device=job.device)
        crops = draw_crops(recipe.seed, epoch, batch.clip_indices).to(job.device)
        clips = take_views(batch.frames.to(job.device, non_blocking=True), crops, recipe.pixel_mean)
        scores = state.model(clips)  # (B, C)
        loss = functional.cross_entropy(scores, classes)
        if not math.isfinite(loss.item()):
            raise TrainingError(f"epoch {epoch + 1}: the loss is {loss.item()}: give a lower --lr")
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        total_loss += loss.item() * len(classes)
        right += int((scores.argmax(dim=1) == classes).sum())
        if should_stop():
            return None
    count = len(labelled.clips)
    values = (epoch + 1, recipe.epoch_learning_rate(epoch), total_loss / count, right / count)
    return dict(zip(COLUMNS, (*values, time.perf_counter() - began), strict=True))


def _origin(job: FinetuneJob) -> dict[str, Any]:
    """What a fine-tuned model was made from; resuming compares it."""
    return {
        "recipe": asdict(job.recipe),
        **asdict(job.options),
        "pretraining": job.pretraining,
        "classes": list(job.shards.classes),
        "content_hashes": list(job.shards.content_hashes),
    }


def _save(path: Path, state: FinetuneState, job: FinetuneJob) -> None:
    content = {
        "format": FINETUNED,
        "version": FINETUNED_VERSION,
        **_origin(job),
        "epoch": state.epoch,
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except (OSError, RuntimeError) as error:  # torch turns some failures of the disk into the latter
        raise ConfigError(
            f"cannot write {path} ({str(error).splitlines()[0]}): give another --out"
        ) from error


def _restore(path: Path, state: FinetuneState, job: FinetuneJob) -> None:
    content = load_checkpoint(path, {FINETUNED: FINETUNED_VERSION})
    ours = _origin(job)
    # as JSON, where a tuple is the list that it was saved as
    differing = [name for name in ours if json.dumps(content.get(name)) != json.dumps(ours[name])]
    if differing:
        raise CheckpointError(
            f"{path} was made with other options or shards ({', '.join(differing)}): resume with the same "
            "ones, or give another --out"
        )
    state.model.load_state_dict(content["model"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.epoch = int(content["epoch"])


def _log(path: Path, row: dict[str, float]) -> None:
    """Add a row; a row of the same epoch, of a run that was resumed, is replaced."""
    rows = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [old for old in csv.DictReader(file) if int(float(old["epoch"])) < row["epoch"]]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows([*rows, row])
