"""Fine-tuning for action recognition (paper, section 4.1): kept convolutions, new fully connected layers.

Notes
-----
- The paper's learning rate is 0.001, with the schedule of pre-training: divided by 10 every 5 epochs, 20
  epochs.
- The paper does not state the dropout of the fully connected layers; the command line's default is C3D's 0.5.
- All random draws of an epoch (order, crops, dropout) follow from the seed and the epoch's number, so that a
  resumed run ends in the same weights.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import get_total_norm
from torch.utils.data import Sampler

from mas_labels.errors import ConfigError, DatasetError, TrainingError, reason_of
from mas_labels.schema import RUN_CONFIG_FILE
from mas_labels.system.files import missing_services
from mas_train.data.clips import ClipBatch, FrameDataset, RunOrder
from mas_train.data.few_labels import LabelledClips, label_clips
from mas_train.data.loader import load_batches
from mas_train.data.views import draw_crops, take_views
from mas_train.model.classifier import Classifier
from mas_train.runtime.performance import (
    MEMORY_FORMATS,
    autocast,
    choose_memory_format,
    oom_as_training_error,
    require_precision,
    set_memory_format,
)
from mas_train.runtime.signals import Request, SignalRequests
from mas_train.training.finetune_state import (
    FINETUNE_COLUMNS,
    FINETUNE_METRICS_FILE,
    FinetuneJob,
    FinetuneState,
    finetuning_entries,
    log_epoch,
    make_finetune_state,
    restore_finetuning,
    save_finetuning,
)
from mas_train.training.run_folder import note_resumption, write_config
from mas_train.weights.backbone_weights import FINETUNED_FILE, Weights, weights_digest

STEPS_PER_READING: Final = 10
"""Steps whose results are read from the device together: it waits meanwhile."""


@oom_as_training_error()
def finetune(
    job: FinetuneJob, weights: Weights, resume: bool = False, say: Callable[[str], None] = print
) -> tuple[Classifier, int | None]:
    """Fine-tune a network, or resume a run.

    Parameters
    ----------
    job
        Inputs. `job.out` gets `finetuned.pt` after each epoch, and `metrics.csv`.
    weights
        The backbone to start from.
    resume
        Resume from `finetuned.pt` in `job.out`.
    say
        Called with lines for the user.

    Returns
    -------
    model : Classifier
    signal_number : int or None
        The signal that stopped the run early, if there was one.

    Raises
    ------
    ConfigError
        If `job.out` cannot be written, or holds a run and `resume` is false, or holds none and it is true.
    DatasetError, ShardError
        If the shards have no clips or classes, or are damaged.
    CheckpointError
        If the run cannot be resumed with these options and shards.
    TrainingError
        If the loss is not finite, or the device has too little memory.
    """
    path = job.out / FINETUNED_FILE
    _check_inputs(job, resume)
    require_precision(job.recipe.precision, job.device, job.memory_format)
    labelled = label_clips(job.shards, job.options.label_fraction, job.recipe.seed)
    order = RunOrder([len(labelled.clips)], job.recipe)
    initial_weights = weights_digest(weights.backbone)
    state = make_finetune_state(weights, job)
    if resume:
        restore_finetuning(path, state, job)
    _record(job, initial_weights, state.epoch, say)
    if not resume:
        save_finetuning(path, state, job)  # fails before any work if the folder cannot be written
    if missing := missing_services(job.out, is_labelling=False):
        say(missing)
    say(
        f"{len(labelled.clips)} clips of {labelled.videos} videos in {len(job.classes)} classes, "
        f"{order.steps_per_epoch} steps per epoch, from {job.options.init}, on {job.device}"
    )
    order = RunOrder([len(labelled.clips)], job.recipe, state.epoch * order.steps_per_epoch)
    step = _Step(job, state, labelled, say)
    with SignalRequests() as signals:
        chosen = _ChosenOrder(order, labelled.clips)
        batches = load_batches(FrameDataset(job.shards), chosen, job.workers, job.device, say)
        for epoch in range(state.epoch, job.recipe.epochs):
            row = train_epoch(step, itertools.islice(batches, order.steps_per_epoch), epoch, signals.take)
            if row is None:
                return state.model, signals.signal_number
            state.epoch = epoch + 1
            save_finetuning(path, state, job)
            log_epoch(job.out / FINETUNE_METRICS_FILE, row)
            say(f"epoch {state.epoch}: loss {row['loss']:.4f}, clip accuracy {row['clip_accuracy']:.1%}")
    return state.model, None


def _record(job: FinetuneJob, initial_weights: str, epoch: int, say: Callable[[str], None]) -> None:
    """Write config.yaml, or bring that of a run that resumes up to date; earlier runs have none.

    Raises
    ------
    ConfigError
        If it cannot be written, or is not the configuration of a run.
    """
    entries, start = finetuning_entries(job), {"from_epoch": epoch}
    try:
        if epoch and (job.out / RUN_CONFIG_FILE).exists():
            note_resumption(job.out, entries, start, job.device, say)
            return
        facts = {"geometry": asdict(job.shards.geometry), "initial_weights": initial_weights}
        write_config(job.out, {**entries, **facts}, start, job.device)
    except OSError as error:
        raise ConfigError(f"cannot write to {job.out} ({reason_of(error)}): give another --out") from error


def _check_inputs(job: FinetuneJob, resume: bool) -> None:
    """Raise an error if the folder holds a run and is not resumed, or the reverse, or there are no clips."""
    if (job.out / FINETUNED_FILE).exists() != resume:
        raise ConfigError(
            f"nothing to resume in {job.out}: leave --resume out"
            if resume
            else f"{job.out} already holds a run: add --resume to continue it, or give another --out"
        )
    if len(job.shards) == 0:
        raise DatasetError(
            f"no clips in the {len(job.shards.paths)} shards: see the output of `mas-labels make`"
        )


class _ChosenOrder(Sampler[list[int]]):
    """The batches of an order over chosen clips, as the clips' numbers in the set of shards."""

    def __init__(self, order: RunOrder, clips: NDArray[np.int64]) -> None:
        self._order, self._clips = order, clips

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[list[int]]:
        return (self._clips[batch].tolist() for batch in self._order)


class _Step:
    """Takes steps of gradient descent, each on one batch."""

    def __init__(
        self, job: FinetuneJob, state: FinetuneState, labelled: LabelledClips, say: Callable[[str], None]
    ) -> None:
        self.job, self.state = job, state
        names = [job.shards.classes[number] for number in labelled.classes.tolist()]
        self.class_of = dict(zip(labelled.clips.tolist(), map(job.classes.index, names), strict=True))
        self.memory_format, measured = choose_memory_format(
            *(job.memory_format, state.model, job.recipe.precision, job.device, job.recipe.batch_size),
            job.shards.geometry,
        )
        if measured:
            say(measured)
        set_memory_format(state.model, self.memory_format, state.optimizer)
        if job.compile:
            state.model.compile()

    def take(self, batch: ClipBatch, epoch: int) -> tuple[Tensor, bool]:
        """Take a step, without waiting for the device.

        Returns
        -------
        results : Tensor, shape (3,), float32
            Mean loss, number of correctly classified clips and norm of the gradients, before the step.
        may_skip : bool
            Whether gradients that are not finite are no error: the fp16 scaler skips their step.
        """
        state = self.state
        numbers = [self.class_of[clip] for clip in batch.clip_indices.tolist()]
        classes = torch.tensor(numbers).to(self.job.device, non_blocking=True)  # (B,)
        loss, scores = self._differentiate(batch, classes, epoch)
        state.scaler.unscale_(state.optimizer)
        norm = get_total_norm([weight.grad for weight in state.model.parameters() if weight.grad is not None])
        may_skip = state.scaler.get_scale() > 1
        state.scaler.step(state.optimizer)
        state.scaler.update()
        n_correct = (scores.argmax(dim=1) == classes).sum()
        return torch.stack([loss.detach(), n_correct.float(), norm]), may_skip

    def _differentiate(self, batch: ClipBatch, classes: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """Compute the loss, the scores (B, C), and, in the model, the scaled gradients."""
        job, recipe, model = self.job, self.job.recipe, self.state.model
        geometry = job.shards.geometry
        crops = draw_crops(recipe.seed, epoch, batch.clip_indices, geometry)
        crops = crops.to(job.device, non_blocking=True)
        clips = take_views(batch.frames, crops, recipe.pixel_mean, geometry)
        with autocast(recipe.precision, job.device):
            scores = model(clips.contiguous(memory_format=MEMORY_FORMATS[self.memory_format]))
        loss = functional.cross_entropy(scores.float(), classes)
        self.state.optimizer.zero_grad()
        self.state.scaler.scale(loss).backward()
        return loss, scores


class _Sums:
    """Sums over the steps of an epoch, whose results are read from the device several at a time."""

    def __init__(self, epoch: int) -> None:
        self.loss, self.correct, self.clips = 0.0, 0, 0
        self._epoch = epoch
        self._unread: list[tuple[Tensor, bool, int]] = []

    def add(self, results: Tensor, may_skip: bool, clips: int) -> None:
        """Add a step; raises as `read` does."""
        self._unread.append((results, may_skip, clips))
        if len(self._unread) == STEPS_PER_READING:
            self.read()

    def read(self) -> None:
        """Read the results of the last steps.

        Raises
        ------
        TrainingError
            If a loss or a gradient is not finite.
        """
        steps, self._unread = self._unread, []
        values = torch.stack([results for results, _, _ in steps]).tolist() if steps else []
        for (loss, correct, norm), (_, may_skip, clips) in zip(values, steps, strict=True):
            if not math.isfinite(loss):
                raise TrainingError(f"epoch {self._epoch + 1}: the loss is {loss}: give a lower --lr")
            if not may_skip and not math.isfinite(norm):
                raise TrainingError(
                    f"epoch {self._epoch + 1}: the gradient norm is {norm}: give a lower --lr"
                )
            self.loss += loss * clips
            self.correct += int(correct)
            self.clips += clips


def train_epoch(
    step: _Step, batches: Iterator[ClipBatch], epoch: int, take_request: Callable[[], Request]
) -> dict[str, float] | None:
    """Train one epoch.

    Returns
    -------
    dict or None
        The epoch's row of `metrics.csv`; None if a signal stopped it.

    Raises
    ------
    TrainingError
        If the loss or a gradient is not finite.
    """
    began, recipe = time.perf_counter(), step.job.recipe
    torch.manual_seed(recipe.seed * 100_003 + epoch)  # for dropout
    for group in step.state.optimizer.param_groups:
        group["lr"] = recipe.epoch_learning_rate(epoch) * group["lr_scale"]
    step.state.model.train()
    sums = _Sums(epoch)
    for batch in batches:
        sums.add(*step.take(batch, epoch), len(batch.frames))
        if take_request() == Request.STOP:
            return None
    sums.read()
    means = sums.loss / sums.clips, sums.correct / sums.clips
    values = (epoch + 1, recipe.epoch_learning_rate(epoch), *means)
    return dict(zip(FINETUNE_COLUMNS, (*values, time.perf_counter() - began), strict=True))
