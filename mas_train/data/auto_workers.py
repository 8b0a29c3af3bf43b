"""The number of threads that read clips, chosen from the times of the first batches."""

from __future__ import annotations

import math
import os
from typing import Final

import joblib

MAX_AUTO_WORKERS: Final = 16
"""Maximum number of threads that is chosen: more would wait for Python's lock (an estimate)."""
SKIPPED_BATCHES: Final = 2
"""First batches, whose steps are slower than others."""
MEASURED_BATCHES: Final = 4
MEASURED_SECONDS: Final = 2.0
"""The number is chosen after at least so many further batches and seconds."""
SPEED_FACTOR: Final = 1.5
"""Speed of the chosen threads, as a multiple of that of the steps: neither is even."""


def usable_cores() -> int:
    """Return the number of cores for each process of a run: affinity and a container's quota count."""
    return max(1, joblib.cpu_count() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


class AutoWorkers:
    """Measures reading and steps, and chooses as many threads as the steps need and the cores allow.

    Attributes
    ----------
    workers
        The number of threads: at first one a core, then the chosen one.
    """

    def __init__(self) -> None:
        self.cores = usable_cores()
        self.workers = min(MAX_AUTO_WORKERS, self.cores)
        self._batches = self._clips = 0
        self._reading = self._steps = self._waiting = 0.0
        self._is_chosen = False

    def add(self, clips: int, reading: float, waiting: float, step: float) -> str:
        """Add the times of a batch, in seconds; return a line when the number is chosen.

        Parameters
        ----------
        clips
            Size of the batch.
        reading
            Time that its clips took, summed over the threads.
        waiting
            Time that was waited for it.
        step
            Time that was computed on it.
        """
        self._batches += 1
        if self._is_chosen or self._batches <= SKIPPED_BATCHES:
            return ""
        self._clips += clips
        self._reading, self._waiting = self._reading + reading, self._waiting + waiting
        self._steps += step
        measured = self._batches - SKIPPED_BATCHES
        if measured < MEASURED_BATCHES or self._steps + self._waiting < MEASURED_SECONDS:
            return ""
        self._is_chosen = True
        needed = math.ceil(SPEED_FACTOR * self._reading / max(self._steps, 1e-9))
        self.workers = max(1, min(self.workers, needed))
        return self._describe(measured, needed)

    def _describe(self, measured: int, needed: int) -> str:
        """Describe the choice and what it follows from."""
        limited = f", {needed} would keep up with the steps" if needed > self.workers else ""
        return (
            f"--workers auto: {self.workers} threads read clips, on {self.cores} cores{limited} "
            f"(a clip takes a thread {1e3 * self._reading / self._clips:.3g} ms, "
            f"a step of {self._clips / measured:.0f} clips takes {1e3 * self._steps / measured:.3g} ms)"
        )
