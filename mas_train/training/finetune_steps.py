"""The steps of fine-tuning: views of each batch, their scores, the loss, an update of the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import get_total_norm

from mas_labels.errors import TrainingError
from mas_train.data.clips import ClipBatch
from mas_train.data.colours import change_colours, draw_colour_changes
from mas_train.data.few_labels import LabelledClips
from mas_train.data.views import draw_crops, take_views
from mas_train.runtime.performance import MEMORY_FORMATS, autocast, choose_memory_format, set_memory_format
from mas_train.runtime.signals import Request
from mas_train.training.finetune_state import FINETUNE_COLUMNS, FinetuneJob, FinetuneState

STEPS_PER_READING: Final = 10
"""Steps whose results are read from the device together: it waits meanwhile."""


class FinetuneStep:
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
        if recipe.colour_jitter:
            changes = draw_colour_changes(recipe.seed, epoch, batch.clip_indices, recipe.colour_jitter)
            clips = change_colours(clips, changes, recipe.pixel_mean)
        with autocast(recipe.precision, job.device):
            scores = model(clips.contiguous(memory_format=MEMORY_FORMATS[self.memory_format]))
        smoothing = recipe.label_smoothing
        loss = functional.cross_entropy(scores.float(), classes, label_smoothing=smoothing)
        self.state.optimizer.zero_grad()
        self.state.scaler.scale(loss).backward()
        return loss, scores


class EpochSums:
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
    step: FinetuneStep, batches: Iterator[ClipBatch], epoch: int, take_request: Callable[[], Request]
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
    sums = EpochSums(epoch)
    for batch in batches:
        sums.add(*step.take(batch, epoch), len(batch.frames))
        if take_request() == Request.STOP:
            return None
    sums.read()
    means = sums.loss / sums.clips, sums.correct / sums.clips
    values = (epoch + 1, recipe.epoch_learning_rate(epoch), *means)
    return dict(zip(FINETUNE_COLUMNS, (*values, time.perf_counter() - began), strict=True))
