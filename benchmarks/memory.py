"""Samples the resident memory of the workers of a running command."""

from __future__ import annotations

import subprocess
import threading
from collections import defaultdict
from pathlib import Path

import numpy as np

PERIOD_SECONDS = 0.5


class MemoryWatch(threading.Thread):
    """Samples the resident memory of all descendants of a process until it ends (Linux).

    Attributes
    ----------
    samples
        Megabytes of each descendant by its process id, one dictionary per sample.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.samples: list[dict[int, float]] = []

    def run(self) -> None:
        while self.process.poll() is None:
            sizes = {pid: _resident_megabytes(pid) for pid in _descendants(self.process.pid)}
            self.samples.append({pid: size for pid, size in sizes.items() if size})
            threading.Event().wait(PERIOD_SECONDS)

    def totals(self) -> np.ndarray:
        """Return the total megabytes of all descendants, one number per sample."""
        return np.array([sum(sample.values()) for sample in self.samples])

    def largest_processes(self) -> list[float]:
        """Return the peak of each descendant in megabytes, largest first."""
        peaks: dict[int, float] = defaultdict(float)
        for sample in self.samples:
            for pid, size in sample.items():
                peaks[pid] = max(peaks[pid], size)
        return sorted(peaks.values(), reverse=True)


def _descendants(root: int) -> list[int]:
    """Return the ids of all processes that `root` started, directly or not."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # ended meanwhile
            continue
    family = [root]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family[1:]


def _resident_megabytes(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmRSS")), 0.0)
