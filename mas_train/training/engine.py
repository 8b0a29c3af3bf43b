"""The training loop: views of each batch, predictions, loss, gradients, an update; checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from mas_labels.errors import MasError
from mas_labels.system.signals import SAVE_SIGNAL
from mas_train.data.clips import ClipBatch, ClipDataset, RunOrder
from mas_train.data.loader import load_batches
from mas_train.data.views import draw_views, take_views
from mas_train.model.heads import Predictions
from mas_train.model.loss import Losses, pretext_loss
from mas_train.recipe import Recipe
from mas_train.runtime.generators import generator_states
from mas_train.runtime.performance import MEMORY_FORMATS, autocast, queued_work
from mas_train.runtime.processes import Group, ReportedError
from mas_train.runtime.signals import Request
from mas_train.training.measuring import Measuring
from mas_train.training.metrics import MetricsLog
from mas_train.training.step_queue import StepQueue
from mas_train.weights.checkpoint import TrainingState, checkpoint_path, mark_best, save_checkpoint


@dataclass(frozen=True)
class PretrainJob:
    """Inputs of the training loop: data, network, recipe, and the run's folder."""

    recipe: Recipe
    dataset: ClipDataset
    order: RunOrder
    network: nn.Module
    """The state's model, compiled or wrapped for several processes."""
    device: torch.device
    workers: int | None
    run: Path
    checkpoint_steps: int
    log_steps: int = 10
    measuring: Measuring = field(default_factory=Measuring)
    group: Group = field(default_factory=Group)
    accumulate: int = 1
    memory_format: str = "channels_last_3d"


def train(
    job: PretrainJob, state: TrainingState, log: MetricsLog | None, take_request: Callable[[], Request]
) -> None:
    """Train from `state` to the end of the job's order, or until a signal requests a stop.

    Parameters
    ----------
    job
        Inputs.
    state
        Weights and optimiser; changed in place by each step.
    log
        Records each step; None in all processes but the first.
    take_request
        Called after each step; a request to one process holds for all.

    Raises
    ------
    TrainingError
        If a loss or a gradient is not finite. Losses are read when a row of metrics is written, and before
        the network is measured or saved, so that no checkpoint holds what came of such a step.
    ShardError
        If a shard is damaged.
    """
    views = torch.from_numpy(job.dataset.shards.views.astype("int64")).to(job.device)  # (V, 3)
    state.model.train()
    with job.group.share_errors():
        if log is not None:
            job.measuring.measure_untrained(state, job.device, log)
        began = time.perf_counter()
        say = say_nothing if log is None else log.note
        batches = load_batches(job.dataset, job.order, job.workers, job.device, say)
    steps, is_idle = StepQueue(job.order, job.dataset.shards), queued_work(job.device)
    try:
        for batch in job.group.iterate_together(batches):
            # a device that still computes the last step does not wait
            arrived = time.perf_counter() if is_idle() else began
            losses, norm, may_skip = take_step(state, batch, views, job)
            is_idle = queued_work(job.device)
            steps.add(state.step, losses, norm, may_skip, time.perf_counter() - began, arrived - began)
            if _follow_step(job, state, steps, log, take_request) == Request.STOP:
                break
            began = time.perf_counter()  # measuring and saving are neither training nor waiting for data
    except MasError as error:  # such as a damaged shard: the steps until then are recorded
        if not job.group.is_joined or isinstance(
            error, ReportedError
        ):  # else the device may wait for a lost one
            _log_steps(steps, log)
        raise
    is_missing = log is not None and not checkpoint_path(job.run, state.step).exists()
    if job.group.largest(int(is_missing)):
        _save_run(job, state, steps, log)


def say_nothing(line: str) -> None:
    """Replace `say` in all processes but the first."""


def take_step(
    state: TrainingState, batch: ClipBatch, views: Tensor, job: PretrainJob
) -> tuple[Losses, Tensor, bool]:
    """Do one step: compute the gradients of a batch, and update the weights. The device is not waited for.

    Returns
    -------
    losses : Losses
        Over all processes.
    norm : Tensor, scalar
        Of the gradients, before they are clipped.
    may_skip : bool
        Whether gradients that are not finite are no error: see `require_finite`.

    Notes
    -----
    fp16 does wait: `torch.amp.GradScaler` reads whether the gradients overflowed before it updates weights.
    """
    epoch = state.step // job.order.steps_per_epoch
    losses, gradients = compute_gradients(state, batch, views, epoch, job)
    may_skip = state.scaler.get_scale() > 1
    norm = get_total_norm(gradients)
    update_weights(state, gradients, norm, epoch, job.recipe)
    return losses, norm, may_skip


def compute_gradients(
    state: TrainingState, batch: ClipBatch, views: Tensor, epoch: int, job: PretrainJob
) -> tuple[Losses, list[Tensor]]:
    """Draw a view of each clip, predict its targets, and differentiate the loss.

    The batch is computed in `PretrainJob.accumulate` parts, weighted by their numbers of clips, so that
    losses and gradients are those of the whole batch over all processes.

    Returns
    -------
    losses : Losses
    gradients : list of Tensor
        Of all weights; they are the model's own, not copies.

    Notes
    -----
    Batch norm computes its statistics over one part in one process, so with it the parts do matter.
    """
    batch = state.code.read(batch, epoch, job.dataset.reader.label_sources)
    rows = draw_views(job.recipe.seed, epoch, batch.clip_indices, len(views))  # (B,)
    rows = rows.to(job.device, non_blocking=True)
    weight = job.order.part(state.step)[1] / len(rows)  # of one clip in the whole batch
    geometry = state.code.input_geometry
    parts = list(
        zip(rows.chunk(job.accumulate), *(tensor.chunk(job.accumulate) for tensor in batch), strict=True)
    )
    sums = torch.zeros(len(Losses._fields), device=job.device)
    state.optimizer.zero_grad()
    for number, (part_rows, *tensors) in enumerate(parts, 1):
        part, drawn = ClipBatch(*tensors), views[part_rows]
        share = weight * len(part_rows)
        with job.group.averaging(job.network, number == len(parts)):
            clips = take_views(part.frames, drawn, job.recipe.pixel_mean, geometry)
            losses = _forward(state, job, clips, state.code.targets(part, part_rows, drawn, clips))
            # gradients are averaged over processes: times their number, the average is the sum
            state.scaler.scale(losses.total * (share * job.group.size)).backward()
        sums += share * torch.stack([loss.detach() for loss in losses])
    state.scaler.unscale_(state.optimizer)
    weights = [weight for weight in state.model.parameters() if weight.grad is not None]
    return Losses(*job.group.sum(sums)), [weight.grad for weight in weights if weight.grad is not None]


def _forward(state: TrainingState, job: PretrainJob, clips: Tensor, targets: Tensor) -> Losses:
    """Compute the losses of views (n, 3, T, S, S) with their targets in the recipe's precision."""
    clips = clips.contiguous(memory_format=MEMORY_FORMATS[job.memory_format])
    with autocast(job.recipe.precision, job.device):
        predictions = job.network(clips)
    predictions = Predictions(*(outputs.float() for outputs in predictions))
    return pretext_loss(
        predictions, targets, state.code, job.recipe.motion_weight, job.recipe.appearance_weight
    )


def update_weights(
    state: TrainingState, gradients: list[Tensor], norm: Tensor, epoch: int, recipe: Recipe
) -> None:
    """Clip the gradients, if the recipe says so, and update the weights with one step."""
    if recipe.clip_grad_norm:
        clip_grads_with_norm_(list(state.model.parameters()), recipe.clip_grad_norm, norm)
    for group in state.optimizer.param_groups:
        group["lr"] = recipe.epoch_learning_rate(epoch) * group["lr_scale"]
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.step += 1


def make_optimizer(model: nn.Module, recipe: Recipe, fused: bool = False) -> torch.optim.Optimizer:
    """Make the optimiser, with one group of weights per learning rate and weight decay (section 4.1: SGD).

    The ``lr_scale`` of a group multiplies the recipe's learning rate: `Recipe.bias_rate` for biases, else 1.
    `fused` updates all weights in one pass, which rounds in another order.

    Notes
    -----
    With ``weight_decay_on="all"``, that of the preset ``strong`` with AdamW too, biases and the weights of
    batch norm decay as well, which many recipes leave out.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            lr_scale = recipe.bias_rate if name == "bias" else 1.0
            decays = recipe.weight_decay_on == "all" or (isinstance(module, nn.Linear) and name == "weight")
            decay = recipe.weight_decay if decays else 0.0
            groups.setdefault((lr_scale, decay), []).append(weight)
    settings = [
        {"params": weights, "lr": recipe.learning_rate * scale, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), weights in groups.items()
    ]
    common: dict[str, Any] = {"lr": recipe.learning_rate, "fused": fused or None}  # None: torch's choice
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(settings, betas=(recipe.momentum, 0.999), **common)
    return torch.optim.SGD(settings, momentum=recipe.momentum, **common)


def _log_steps(steps: StepQueue, log: MetricsLog | None) -> None:
    """Read the steps of a queue, which finds those that are not finite, and log them."""
    for record in steps.read():
        if log is not None:
            log.add(record)


def _follow_step(
    job: PretrainJob,
    state: TrainingState,
    steps: StepQueue,
    log: MetricsLog | None,
    take_request: Callable[[], Request],
) -> int:
    """Log, measure and save after a step what is due or requested; return the request of all processes."""
    end_step, is_best = job.order.end_step, False
    is_due = job.measuring.is_due(state.step, end_step)
    if is_due or state.step % job.log_steps == 0:
        with job.group.share_errors():
            for record in steps.read():
                if log is not None and record.step < state.step:
                    log.add(record)
                elif log is not None:
                    is_best = job.measuring.follow_step(state, end_step, job.device, log, record)
    if log is not None:
        log.advance()
    is_best = bool(job.group.largest(int(is_best))) if is_due else False
    request = job.group.largest(take_request())
    if is_best or request == Request.SAVE or state.step % job.checkpoint_steps == 0:
        _save_run(job, state, steps, log)
    if is_best and job.group.is_first:
        mark_best(job.run, state.step)
    if request == Request.SAVE and log is not None:
        log.note(f"step {state.step}: checkpoint saved on {SAVE_SIGNAL.name}")
    return request


def _save_run(job: PretrainJob, state: TrainingState, steps: StepQueue, log: MetricsLog | None) -> None:
    """Save a checkpoint, after the rows of `metrics.csv` up to it: a resumed run keeps exactly these."""
    with job.group.share_errors():
        _log_steps(steps, log)
    generators = job.group.gather(generator_states(job.device))
    with job.group.share_errors():
        if log is not None:
            log.flush()
            save_checkpoint(job.run, state, job.recipe, job.dataset.shards.content_hashes, generators)
