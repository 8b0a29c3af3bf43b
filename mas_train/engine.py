"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from mas_labels.errors import TrainingError
from mas_labels.shard import ShardSet
from mas_train.checkpoint import TrainingState, checkpoint_path, mark_best, save_checkpoint
from mas_train.dataset import ClipBatch, ClipDataset, RunOrder, load_batches
from mas_train.heldout import HeldOut, summary
from mas_train.loss import Losses, pretext_loss
from mas_train.metrics import MetricsLog, StepRecord
from mas_train.presets import Recipe
from mas_train.views import draw_views, take_labels, take_views


@dataclass(frozen=True)
class Job:
    """What to train on, how, and where to leave checkpoints."""

    recipe: Recipe
    dataset: ClipDataset
    order: RunOrder
    device: torch.device
    workers: int
    run: Path
    checkpoint_steps: int
    heldout: HeldOut | None = None


def train(job: Job, state: TrainingState, log: MetricsLog, should_stop: Callable[[], bool]) -> None:
    """Train from `state` to the end of the job's order, or until asked to stop.

    Parameters
    ----------
    job
        What to do.
    state
        Changed in place, step by step.
    log
        Is told of each step.
    should_stop
        Asked after each step.

    Raises
    ------
    TrainingError
        If a loss or a gradient is not finite; the weights are those before the step.
    ShardError
        If a shard went bad.
    """
    views = torch.from_numpy(job.dataset.shards.views.astype("int64")).to(job.device)  # (V, 3)
    state.model.train()
    began = time.perf_counter()
    for batch in load_batches(job.dataset, job.order, job.workers, job.device):
        arrived = time.perf_counter()
        epoch = state.step // job.order.steps_per_epoch
        losses, gradients = compute_gradients(state, batch, views, epoch, job)
        norm = require_finite(losses, gradients, state.step, batch.clip_indices, job.dataset.shards)
        update_weights(state, gradients, norm, epoch, job.recipe)
        ended = time.perf_counter()
        log.add(
            StepRecord(
                step=state.step,
                epoch=epoch,
                learning_rate=job.recipe.epoch_learning_rate(epoch),
                losses=tuple(loss.item() for loss in losses),
                grad_norm=norm.item(),
                clips=len(batch.frames),
                seconds=ended - began,
                waiting_seconds=arrived - began,
            )
        )
        is_best = _measure(job, state, log)
        if is_best or state.step % job.checkpoint_steps == 0:
            _save(job, state, log)
        if is_best:
            mark_best(job.run, state.step)
        if should_stop():
            break
        began = time.perf_counter()  # measuring and saving are neither training nor waiting for data
    if not checkpoint_path(job.run, state.step).exists():
        _save(job, state, log)


def compute_gradients(
    state: TrainingState, batch: ClipBatch, views: Tensor, epoch: int, job: Job
) -> tuple[Losses, list[Tensor]]:
    """Draw a view of each clip, predict its labels, and differentiate the loss.

    Returns
    -------
    losses : Losses
    gradients : list of Tensor
        Of all weights, in place in the model.
    """
    recipe = job.recipe
    drawn = draw_views(recipe.seed, epoch, batch.clip_indices, len(views)).to(job.device)  # (B,)
    frames = batch.frames.to(job.device, non_blocking=True)
    clips = take_views(frames, views[drawn], recipe.pixel_mean)  # (B, 3, 16, 112, 112)
    labels = take_labels(batch.view_labels.to(job.device, non_blocking=True), drawn)  # (B, 27)
    predictions = state.model(clips)  # (B, 14) and (B, 13)
    losses = pretext_loss(predictions, labels, state.code, recipe.motion_weight, recipe.appearance_weight)
    state.optimizer.zero_grad()
    losses.total.backward()
    return losses, [weight.grad for weight in state.model.parameters() if weight.grad is not None]


def require_finite(
    losses: Losses, gradients: list[Tensor], step: int, clip_indices: Tensor, shards: ShardSet
) -> Tensor:
    """Return the gradients' norm; stop if it, or a loss, is not a finite number.

    Raises
    ------
    TrainingError
        Naming the batch's clips.
    """
    norm = get_total_norm(gradients)
    values = {"motion loss": losses.motion, "appearance loss": losses.appearance, "gradient norm": norm}
    bad = [f"{name} {value.item()}" for name, value in values.items() if not math.isfinite(value.item())]
    if bad:
        clips = (shards[index] for index in clip_indices.tolist())
        names = ", ".join(f"{clip.video!r} from frame {clip.start_frame}" for clip in clips)
        raise TrainingError(
            f"step {step}: {', '.join(bad)} is not finite: give a lower --lr or --clip-grad-norm 10. "
            f"Clips of the batch: {names}"
        )
    return norm


def update_weights(
    state: TrainingState, gradients: list[Tensor], norm: Tensor, epoch: int, recipe: Recipe
) -> None:
    """Clip the gradients if the recipe says so, and take one step of gradient descent."""
    if recipe.clip_grad_norm:
        clip_grads_with_norm_(list(state.model.parameters()), recipe.clip_grad_norm, norm)
    for group in state.optimizer.param_groups:
        group["lr"] = recipe.epoch_learning_rate(epoch) * group["lr_scale"]
    state.optimizer.step()
    state.step += 1


def _measure(job: Job, state: TrainingState, log: MetricsLog) -> bool:
    """Measure on held-out clips if it is time to; return whether the loss is the lowest of the run."""
    if job.heldout is None or not job.heldout.is_due(state.step, job.order.end_step):
        return False
    scores, is_best = job.heldout.measure(state, job.device)
    log.note(f"step {state.step}: {summary(scores)}")
    return is_best


def _save(job: Job, state: TrainingState, log: MetricsLog) -> None:
    """Write a checkpoint, and first all rows up to it: a resumed run keeps these, and no others."""
    log.flush()
    save_checkpoint(job.run, state, job.recipe, job.dataset.shards.content_hashes, job.device)
