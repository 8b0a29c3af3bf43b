"""Losses of steps, gathered on the device and read together: a device that is asked each step has to wait."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mas_labels.errors import TrainingError
from mas_labels.shards import ShardSet
from mas_train.data.clips import RunOrder
from mas_train.model.loss import Losses
from mas_train.training.metrics import StepRecord


class StepQueue:
    """Steps whose losses are still on the device, to be read together: reading waits for the device.

    Parameters
    ----------
    order, shards
        The batches of the run, and the shards of their clips.
    """

    def __init__(self, order: RunOrder, shards: ShardSet) -> None:
        self._order, self._shards = order, shards
        self._steps: list[tuple[int, bool, float, float]] = []
        self._values: list[Tensor] = []

    def add(
        self, step: int, losses: Losses, norm: Tensor, may_skip: bool, seconds: float, waiting: float
    ) -> None:
        """Add a step; `step` counts from 1. Its batch was waited for `waiting` of its `seconds`."""
        self._steps.append((step, may_skip, seconds, waiting))
        self._values.append(torch.stack([*losses, norm]))

    def read(self) -> Iterator[StepRecord]:
        """Empty the queue, step by step; raises the error of `require_finite` in place of a bad one."""
        if not self._steps:
            return
        began, recipe = time.perf_counter(), self._order.recipe
        steps, values = self._steps, torch.stack(self._values).tolist()
        self._steps, self._values = [], []
        late = (time.perf_counter() - began) / len(steps)  # the device computed them until now
        for (step, may_skip, seconds, waiting), (*losses, norm) in zip(steps, values, strict=True):
            clips, epoch = self._order.batch(step - 1), (step - 1) // self._order.steps_per_epoch
            require_finite(losses, norm, step - 1, clips, self._shards, may_skip)
            rate = recipe.epoch_learning_rate(epoch)
            yield StepRecord(step, epoch, rate, tuple(losses), norm, len(clips), seconds + late, waiting)


def require_finite(
    losses: Sequence[float],
    norm: float,
    step: int,
    clips: list[int],
    shards: ShardSet,
    may_skip: bool = False,
) -> None:
    """Raise an error if a loss, or the norm of the gradients, is not finite.

    Parameters
    ----------
    losses, norm
        Results of the step; the losses in the order of `Losses`.
    step
        Number of steps done before.
    clips
        Clips of the batch, over all processes.
    shards
        Set of shards of the clips, for the error message.
    may_skip
        Accept gradients that are not finite: fp16 gradients may overflow, and `torch.amp.GradScaler` then
        skips the step and halves its scale.

    Raises
    ------
    TrainingError
        With the names of the batch's clips.
    """
    values = {"motion loss": losses[0], "appearance loss": losses[1]}
    values |= {} if may_skip else {"gradient norm": norm}
    bad = [f"{name} {value}" for name, value in values.items() if not math.isfinite(value)]
    if bad:
        names = ", ".join(
            f"{clip.video!r} from frame {clip.start_frame}" for clip in (shards[index] for index in clips)
        )
        raise TrainingError(
            f"step {step}: {', '.join(bad)} is not finite: give a lower --lr or --clip-grad-norm 10. "
            f"Clips of the batch: {names}"
        )
