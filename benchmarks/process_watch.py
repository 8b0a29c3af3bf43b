"""Runs `mas-labels make` and watches its processes: memory, CPU time and waiting of each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import mas_labels

PERIOD_SECONDS = 0.1
"""Time between two samples, which take 0.6 ms of CPU time."""
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIN_BUSY_SECONDS = 0.02
"""CPU time between two samples from which a process counts as busy in them: two ticks."""

COMMAND, WORKER, CHILD, OTHER = "the command", "workers", "video processes", "helpers"
CHILD_MODULE, WORKER_NAME = "mas_labels.pipeline.child", "LokyProcess"
"""Parts of the command lines of video processes and of workers."""


@dataclass
class Watched:
    """One process: what it is, and its samples; times are seconds since the machine's start."""

    role: str
    started: float
    times: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    """CPU time so far, of all threads."""
    queue_seconds: list[float] = field(default_factory=list)
    """Time so far in which its main thread could have run, but other processes had the cores."""
    megabytes: list[float] = field(default_factory=list)

    def after(self, time_seconds: float) -> tuple[float, ...]:
        """Return CPU time and time in the queue since a time."""
        first = next((n for n, at in enumerate(self.times) if at >= time_seconds), -1)
        return tuple(spent[-1] - spent[first] for spent in (self.cpu_seconds, self.queue_seconds))

    @property
    def last_busy(self) -> float:
        """Time of the last sample before which it computed."""
        spent = zip(self.times[1:], self.cpu_seconds[1:], self.cpu_seconds[:-1], strict=True)
        busy = (at for at, now, before in spent if now - before >= MIN_BUSY_SECONDS)
        return max(busy, default=self.started)


class ProcessWatch(threading.Thread):
    """Samples a command and all of its descendants until it ends (Linux).

    Attributes
    ----------
    processes
        By process id.
    ready
        Times at which shards were begun, in order: each worker begins one when its video process is ready.
    begin, end
        Times at which the command was started and had ended.
    """

    def __init__(self, process: subprocess.Popen[bytes], out: Path) -> None:
        super().__init__(daemon=True)
        self.begin = self.end = boot_time()
        self.process, self.out = process, out
        self.processes: dict[int, Watched] = {}
        self.ready: list[float] = []
        self._begun: set[str] = set()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(PERIOD_SECONDS):
            now = boot_time()
            for pid, role in _family(self.process.pid).items():
                self._sample(pid, role, now)
            begun = {path.name for path in self.out.glob(".*.partial")} - self._begun
            self.ready += [now] * len(begun)
            self._begun |= begun

    def finish(self) -> None:
        """Stop watching: the command has ended."""
        self.end = boot_time()
        self._ended.set()
        self.join()

    def _sample(self, pid: int, role: str, now: float) -> None:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            queued = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
        except (OSError, IndexError):  # it ended meanwhile
            return
        watched = self.processes.setdefault(pid, Watched(role, int(fields[19]) / TICKS_PER_SECOND))
        if (
            role != OTHER
        ):  # a process has its parent's command line until it executes its own, and in the end none
            watched.role = role
        watched.times.append(now)
        watched.cpu_seconds.append((int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND)
        watched.queue_seconds.append(queued / 1e9)
        watched.megabytes.append(pages * PAGE_BYTES / 1e6)

    def of_role(self, *roles: str) -> list[Watched]:
        """Return the processes with a role, in the order in which they were started."""
        found = [watched for watched in self.processes.values() if watched.role in roles]
        return sorted(found, key=lambda watched: watched.started)

    def total_megabytes(self) -> list[float]:
        """Return the resident memory of all processes but the command's own, one number per sample."""
        totals: dict[float, float] = defaultdict(float)
        for watched in self.of_role(WORKER, CHILD, OTHER):
            for at, size in zip(watched.times, watched.megabytes, strict=True):
                totals[at] += size
        return [totals[at] for at in sorted(totals)]

    def peak_megabytes(self) -> list[float]:
        """Return the peak of each process but the command's own, largest first."""
        return sorted((max(one.megabytes) for one in self.of_role(WORKER, CHILD, OTHER)), reverse=True)


@dataclass
class Run:
    """One run of `mas-labels make`, or several at once; `foreign` is the CPU time of all other processes."""

    clips: int
    seconds: float
    watches: list[ProcessWatch]
    foreign_seconds: float

    @property
    def rate(self) -> float:
        """Clips per second."""
        return self.clips / self.seconds

    def cpu_seconds(self, *roles: str) -> float:
        """Return the CPU time of its processes with a role; without one, of all."""
        watched = (one for watch in self.watches for one in watch.processes.values())
        return sum(one.cpu_seconds[-1] for one in watched if not roles or one.role in roles)


def make(*parts: list[Path], workers: int = 1, flow: str = "tvl1") -> Run:
    """Label copies of videos in a temporary folder; those of several parts by commands that run at once."""
    with tempfile.TemporaryDirectory() as folder:
        roots = [Path(folder) / f"videos{number}" for number in range(len(parts))]
        for root, videos in zip(roots, parts, strict=True):
            root.mkdir()
            for video in videos:
                shutil.copy(video, root / video.name)
        busy, begin = _busy_seconds(), time.perf_counter()
        watches = [_start(root, workers, flow) for root in roots]
        for watch in watches:
            if status := watch.process.wait():
                raise SystemExit(f"error: mas-labels make ended with status {status}")
            watch.finish()
        seconds, busy = time.perf_counter() - begin, _busy_seconds() - busy
        clips = sum(len(mas_labels.open_shards(watch.out)) for watch in watches)
    run = Run(clips, seconds, watches, 0.0)
    run.foreign_seconds = max(0.0, busy - run.cpu_seconds())
    return run


def _start(root: Path, workers: int, flow: str) -> ProcessWatch:
    out = root.with_name(f"{root.name}-labels")
    command = [sys.executable, "-m", "mas_labels", "make", "--manifest", "folder", "--root", root]
    command += ["--out", out, "--workers", str(workers), "--flow", flow]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watch = ProcessWatch(process, out)
    watch.start()
    return watch


def _busy_seconds() -> float:
    """Return the CPU time of the whole machine since its start: all but idle time and waiting for disks."""
    times = [int(word) for word in Path("/proc/stat").read_text().split()[1:9]]
    return (sum(times) - times[3] - times[4]) / TICKS_PER_SECOND


def boot_time() -> float:
    """Return seconds since the machine's start, the clock of /proc."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _family(root: int) -> dict[int, str]:
    """Return the roles of a process and of all that it started, directly or not."""
    family = {root: COMMAND}
    for pid in (pids := [root]):
        try:
            children = [
                int(word) for path in Path(f"/proc/{pid}/task").iterdir() for word in _read(path / "children")
            ]
        except OSError:  # it ended meanwhile
            continue
        pids += children
        family |= {child: _role(child, family[pid]) for child in children}
    return family


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _role(pid: int, parent: str) -> str:
    """Return the role of a process by its command line; until it executes its own, it has its parent's."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return OTHER
    if CHILD_MODULE in line and parent in (COMMAND, WORKER):
        return CHILD
    return WORKER if WORKER_NAME in line and parent == COMMAND else OTHER
