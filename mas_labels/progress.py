"""How far a run has come, told between processes by tiny files: works on any backend, on any machine."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from tqdm import tqdm

from mas_labels import interruption

POLL_SECONDS = 0.5
LOG_SECONDS = 10.0
"""Between two lines where the output is no terminal."""


class Counted(Protocol):
    """Anything that counts what was done."""

    @property
    def planned(self) -> int:
        """Videos of the shard, usable or not."""

    @property
    def clips(self) -> int:
        """Clips."""

    @property
    def failures(self) -> int:
        """Videos that could not be used."""


@dataclass
class Heartbeat:
    """A worker's counts on the shard it is at, kept in a hidden file beside the shard while it works."""

    out: Path
    name: str
    videos: int = 0
    clips: int = 0
    failures: int = 0

    @property
    def path(self) -> Path:
        """The hidden file."""
        return self.out / f".{self.name}.progress"

    def count(self, videos: int = 0, clips: int = 0, failures: int = 0) -> None:
        """Add to the counts, let others see them, and end here if the run was asked to end."""
        interruption.check()
        self.videos += videos
        self.clips += clips
        self.failures += failures
        with contextlib.suppress(OSError):  # a full disk is told of by who writes the shard
            self.path.write_text(f"{self.videos} {self.clips} {self.failures}\n")

    def __enter__(self) -> Heartbeat:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)


def read_heartbeats(out: Path) -> tuple[int, int, int]:
    """Add up what all workers in a folder are at: (videos, clips, failures)."""
    totals = (0, 0, 0)
    for path in out.glob(".*.progress"):
        try:
            counts = tuple(map(int, path.read_text().split()))
        except (OSError, ValueError):  # removed, or half written, while we looked: the next look will tell
            continue
        if len(counts) == len(totals):
            totals = (totals[0] + counts[0], totals[1] + counts[1], totals[2] + counts[2])
    return totals


class ProgressBar:
    """Shows videos done, clips, clips/s, failures and time left while a run works.

    Parameters
    ----------
    out
        The folder of shards.
    videos
        Videos of the whole plan.
    finished
        Results of the shards that were there before.
    """

    def __init__(self, out: Path, videos: int, finished: Iterable[Counted]) -> None:
        self._out = out
        self._done = [0, 0, 0]
        for result in finished:
            self.add(result)
        self._clips_before = self._done[1]
        self._start = time.monotonic()
        quiet = {} if sys.stderr.isatty() else {"mininterval": LOG_SECONDS, "maxinterval": LOG_SECONDS}
        self._bar: Any = tqdm(total=videos, initial=self._done[0], unit="video", dynamic_ncols=True, **quiet)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def add(self, result: Counted) -> None:
        """Count a finished shard."""
        for column, value in enumerate((result.planned, result.clips, result.failures)):
            self._done[column] += value

    def _poll(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self._show()

    def _show(self, running: bool = True) -> None:
        videos, clips, failures = read_heartbeats(self._out) if running else (0, 0, 0)
        done = max(self._bar.n, self._done[0] + videos)
        clips += self._done[1]
        rate = (clips - self._clips_before) / max(1e-9, time.monotonic() - self._start)
        self._bar.set_postfix_str(
            f"{clips} clips, {rate:.1f} clips/s, {self._done[2] + failures} failures", refresh=False
        )
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> ProgressBar:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._show(running=kind is not None)
        self._bar.close()
