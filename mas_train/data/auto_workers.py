"""The number of processes that read clips, chosen from the times of the first batches."""

from __future__ import annotations

import math
from typing import Final

import joblib

from mas_labels.system.process import group_number

SKIPPED_BATCHES: Final = 2
"""First batches, whose steps are slower than others."""
MEASURED_BATCHES: Final = 4
MEASURED_SECONDS: Final = 2.0
"""The number is chosen after at least so many further batches and seconds."""
SPEED_FACTOR: Final = 1.5
"""Speed of the chosen processes, as a multiple of that of the steps: neither is even."""
NEGLIGIBLE_SHARE: Final = 0.02
"""Share of a step that reading its clips may take without a process of its own."""
START_SECONDS: Final = 2.0
"""Time that reading the rest must take for processes to be worth their start."""


def usable_cores() -> int:
    """Return the number of cores for each process of a run: affinity and a container's quota count."""
    return max(1, joblib.cpu_count() // group_number("LOCAL_WORLD_SIZE", 1))


class AutoWorkers:
    """Chooses as many processes as the steps need and the cores allow, from batches read without them.

    Parameters
    ----------
    batches
        Number of batches of the whole order.

    Attributes
    ----------
    is_chosen
        Whether enough was measured.
    workers
        The chosen number; 0 where reading costs next to nothing, or little of it is left.
    line
        What was chosen and why; empty before that.
    """

    def __init__(self, batches: int) -> None:
        self.is_chosen, self.workers, self.line = False, 0, ""
        self._left, self._batches, self._clips = batches, 0, 0
        self._reading = self._steps = 0.0

    def add(self, clips: int, reading: float, step: float) -> None:
        """Add a batch of some clips: seconds of reading it, and of what was done with it."""
        self._left, self._batches = self._left - 1, self._batches + 1
        if self._batches <= SKIPPED_BATCHES:
            return
        self._clips += clips
        self._reading, self._steps = self._reading + reading, self._steps + step
        measured = self._batches - SKIPPED_BATCHES
        self.is_chosen = measured >= MEASURED_BATCHES and self._reading + self._steps >= MEASURED_SECONDS
        if self.is_chosen:
            self._choose(measured)

    def _choose(self, measured: int) -> None:
        """Choose after so many measured batches."""
        cores, share = usable_cores(), self._reading / max(self._steps, 1e-9)
        needed, why = math.ceil(SPEED_FACTOR * share), ""
        if share <= NEGLIGIBLE_SHARE:
            needed, why = 0, ": reading takes next to nothing of a step"
        elif self._reading / measured * self._left < START_SECONDS:
            needed, why = 0, f": {self._left} batches are left"
        elif needed > cores:
            why = f", {needed} would keep up with the steps"
        self.workers = min(cores, needed)
        processes = "1 process reads" if self.workers == 1 else f"{self.workers or 'no'} processes read"
        self.line = (
            f"--workers auto: {processes} clips ahead, on {cores} cores{why} (reading a clip takes "
            f"{1e3 * self._reading / self._clips:.3g} ms, a step of {self._clips / measured:.0f} clips "
            f"{1e3 * self._steps / measured:.3g} ms)"
        )
