"""Measurements while a run trains, on held-out clips and by the online probe, and the best checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from mas_train.training.heldout import HeldOutMonitor, describe_scores
from mas_train.training.metrics import MetricsLog, StepRecord, TensorBoardEvents
from mas_train.training.online_probe import OnlineProbe
from mas_train.weights.checkpoint import TrainingState, mark_best


@dataclass
class Measuring:
    """The measurements of a run; with several processes the first one makes them."""

    heldout: HeldOutMonitor | None = None
    probe: OnlineProbe | None = None
    best_by: str = "loss"
    """Figure that the best checkpoint is chosen by: ``"loss"`` on held-out clips, or accuracy of the
    ``"probe"``."""

    def begin(self, run: Path, start_step: int, events: TensorBoardEvents | None = None) -> None:
        """Start the tables, or resume them after `start_step` steps; relink the best checkpoint."""
        if self.heldout is not None:
            self.heldout.begin(run, start_step, events)
        if self.probe is not None:
            self.probe.begin(run, events)
        best = self.probe if self.best_by == "probe" else self.heldout
        if best is not None and best.best_step:
            mark_best(run, best.best_step)  # the run may have been killed before it made the link

    def is_due(self, step: int, end_step: int) -> bool:
        """Return whether there is something to measure after `step` of `end_step` steps."""
        return any(each is not None and each.is_due(step, end_step) for each in (self.heldout, self.probe))

    def measure_untrained(self, state: TrainingState, device: torch.device, log: MetricsLog) -> None:
        """Measure the network before its first step by the probe."""
        if self.probe is not None and state.step == 0:
            log.note(f"step 0: {self.probe.measure(state, device)}")

    def follow_step(
        self, state: TrainingState, end_step: int, device: torch.device, log: MetricsLog, record: StepRecord
    ) -> bool:
        """Measure what is due after a step, and log the step.

        Returns
        -------
        bool
            Whether its weights are the best so far.
        """
        score, is_best = None, False
        if self.probe is not None and self.probe.is_due(state.step, end_step):
            score = self.probe.measure(state, device)
            is_best = self.best_by == "probe" and self.probe.best_step == state.step
        log.add(record, score)
        if score is not None:
            log.note(f"step {state.step}: {score}")
        if self.heldout is not None and self.heldout.is_due(state.step, end_step):
            scores, is_lowest = self.heldout.measure(state, device)
            log.note(f"step {state.step}: {describe_scores(scores)}")
            is_best = is_best or (self.best_by == "loss" and is_lowest)
        return is_best
