"""Progress of a run: a bar or, without a terminal, lines."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tqdm import tqdm

from mas_labels.pipeline.task import TaskResult
from mas_labels.plan.heartbeat import Beat, read_beats
from mas_labels.system.process import bar_settings

POLL_SECONDS: Final = 0.5
MIN_PAUSE: Final = 50
"""Shortest pause between two polls, as a multiple of the time that a poll takes."""


class ProgressBar:
    """Shows finished videos, clips, clips/s, failures and time left during a run.

    Parameters
    ----------
    out
        The folder of the heartbeats.
    videos
        Number of videos of this rank's share.
    finished
        Results of the tasks that were finished before.
    names
        Names of the tasks to be done; other runs may do others in the same folder.
    noun
        Word for what is made and counted: "clips", or "pairs" of frames.
    """

    def __init__(
        self, out: Path, videos: int, finished: Iterable[TaskResult], names: Iterable[str], noun: str
    ) -> None:
        self._out, self._noun = out, noun
        self._names = set(names)
        self._done = [0, 0, 0]
        for result in finished:
            self.add(result)
        self._clips_before = self._done[1]
        self._start = time.monotonic()
        self._bar: Any = tqdm(
            total=videos, initial=self._done[0], unit="video", dynamic_ncols=True, **bar_settings()
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def add(self, result: TaskResult) -> None:
        """Count a finished task."""
        for column, value in enumerate((result.planned, result.clips, result.failures)):
            self._done[column] += value

    def _poll(self) -> None:
        pause = POLL_SECONDS
        while not self._stop.wait(pause):
            start = time.monotonic()
            self._show()
            # listing a large remote folder must not dominate the run
            pause = max(POLL_SECONDS, MIN_PAUSE * (time.monotonic() - start))

    def _show(self, running: bool = True) -> None:
        beats: list[Beat] = []
        with contextlib.suppress(OSError):  # reported by the workers that write there
            beats += [beat for beat in read_beats(self._out) if running and beat.name in self._names]
        done = max(self._bar.n, self._done[0] + sum(beat.videos for beat in beats))
        clips = self._done[1] + sum(beat.clips for beat in beats)
        failures = self._done[2] + sum(beat.failures for beat in beats)
        rate = (clips - self._clips_before) / max(1e-9, time.monotonic() - self._start)
        text = f"{clips} {self._noun}, {rate:.1f} {self._noun}/s, {failures} failures"
        self._bar.set_postfix_str(text, refresh=False)
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
