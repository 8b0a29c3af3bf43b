"""Heartbeat files: which worker makes a shard, or does another task of a run, and its progress.

The heartbeat file of a task is locked while its worker lives, so it is the claim to the task as well. Locks
reach other machines on most network file systems (NFS, CephFS, GPFS, Lustre mounted with `flock`). Where they
do not, the age of the file decides: a task whose file another machine wrote recently is left to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from mas_labels.errors import ConfigError, WorkerError
from mas_labels.plan.file_names import (
    HEARTBEAT_NAME,
    HEARTBEAT_SUFFIX,
    LEFTOVER_NAME,
    PARTIAL_SUFFIX,
    heartbeat_path,
)
from mas_labels.system.files import lock_file, take_lock
from mas_labels.system.signals import raise_pending_signal

BEAT_SECONDS: Final = 0.5
"""Time between two writes of a worker."""
BEAT_BYTES: Final = 1024
"""Size of a heartbeat file: text, then blanks, so that a shorter text overwrites a longer one completely and
the file need not be truncated."""
STALE_SECONDS: Final = 180.0
"""Age from which a worker on another machine counts as dead: far more than clocks differ and than network
file systems delay."""
RETRY_SECONDS: Final = 1.0
MAX_DEATHS: Final = 3
"""Number of workers that may die on a task before it is given up."""


@dataclass
class Beat:
    """State of a worker on its task, as the heartbeat file holds it.

    Attributes
    ----------
    name
        Name of the task: a shard's file name.
    run
        Name of the run that it is part of.
    host, pid
        Machine and process of the worker.
    started
        Start time of the task, in seconds since 1970.
    planned, videos
        Number of videos of the task, and of those that are done.
    clips, failures
        Number of clips or pairs of frames so far, and of videos that could not be used.
    deaths
        Number of workers of the same run that died on the task before.
    age_seconds
        Time since the file was written; 0 in the file.
    """

    name: str
    run: str
    host: str
    pid: int
    started: float
    planned: int
    videos: int = 0
    clips: int = 0
    failures: int = 0
    deaths: int = 0
    age_seconds: float = 0.0


class Heartbeat:
    """A worker's claim to a task and its counts on it; use it in a ``with`` block.

    Parameters
    ----------
    out
        Folder of what is made.
    name
        Name of the task: a shard's file name.
    planned
        Number of its videos.
    run
        Name of the run.

    Raises
    ------
    ConfigError
        On entering, if another process is doing the task.
    WorkerError
        On entering, if the run has lost `MAX_DEATHS` workers on the task.
    """

    def __init__(self, out: Path, name: str, planned: int, run: str) -> None:
        self._made = out / name
        self._path = heartbeat_path(self._made)
        self._beat = Beat(name, run, socket.gethostname(), os.getpid(), time.time(), planned)
        self._written = -BEAT_SECONDS

    def __enter__(self) -> Heartbeat:
        busy = f"another process is making {self._made}: let it finish, or end it first"
        self._descriptor = lock_file(self._path, busy)
        try:
            self._beat.deaths = self._deaths_before(busy)
            if self._beat.deaths >= MAX_DEATHS:
                raise WorkerError(
                    f"its worker process died {self._beat.deaths} times, killed or out of memory: give "
                    "fewer --workers, or find out what kills them"
                )
            self.touch()
        except BaseException:
            self._release()
            raise
        return self

    def _deaths_before(self, busy: str) -> int:
        """Return how many workers died on the task; wait until one on another machine is silent for long."""
        while (last := read_beat(self._path)) is not None:
            if not _may_live(last):
                return last.deaths + 1 if last.run == self._beat.run else 0
            if time.time() - self._beat.started > STALE_SECONDS + RETRY_SECONDS:
                raise ConfigError(f"{busy} (on {last.host})")
            raise_pending_signal()
            time.sleep(RETRY_SECONDS)
        return 0

    def count(self, videos: int = 0, clips: int = 0, failures: int = 0) -> None:
        """Add to the counts, and `touch`."""
        self._beat.videos += videos
        self._beat.clips += clips
        self._beat.failures += failures
        self.touch()

    def touch(self) -> None:
        """Write the heartbeat if the last one is `BEAT_SECONDS` old; raise if a stop was requested.

        Raises
        ------
        Interrupted
            If a signal is pending.
        """
        raise_pending_signal()
        if time.monotonic() - self._written < BEAT_SECONDS:
            return
        self._written = time.monotonic()
        text = json.dumps(asdict(self._beat)).encode("ascii")
        with contextlib.suppress(OSError):  # a full disk is reported when the shard is written
            size = max(BEAT_BYTES, os.fstat(self._descriptor).st_size)
            os.pwrite(self._descriptor, text.ljust(size), 0)

    def _release(self) -> None:
        with contextlib.suppress(OSError):  # the task is done or has failed; the next run removes the file
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()


def read_beat(path: Path) -> Beat | None:
    """Read a heartbeat file; None if it is gone, empty or half written."""
    try:
        beat = Beat(**json.loads(path.read_bytes()))
        beat.age_seconds = max(0.0, time.time() - path.stat().st_mtime)
    except (OSError, ValueError, TypeError):
        return None
    return beat


def read_beats(out: Path) -> list[Beat]:
    """Read the heartbeats of all workers in a folder, sorted by task."""
    beats = (read_beat(path) for path in sorted(_list_files(out, HEARTBEAT_NAME)))
    return [beat for beat in beats if beat is not None]


def _may_live(beat: Beat) -> bool:
    """Return whether a worker may be alive although its lock is free: locks may not reach other machines."""
    return beat.host != socket.gethostname() and beat.age_seconds < STALE_SECONDS


def remove_leftovers(out: Path) -> int:
    """Remove the files that killed runs left in a folder, and none of runs that live.

    Returns
    -------
    int
        Number of unfinished shards that were removed.
    """
    removed = 0
    for path in _list_files(out, LEFTOVER_NAME):
        beat = read_beat(path.with_suffix(HEARTBEAT_SUFFIX))
        if beat is not None and _may_live(beat):
            continue
        descriptor = take_lock(path)
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            removed += path.suffix == PARTIAL_SUFFIX
    return removed


def _list_files(out: Path, pattern: re.Pattern[str]) -> list[Path]:
    """List files by their names alone: there may be very many shards in the folder."""
    return [out / entry.name for entry in os.scandir(out) if pattern.fullmatch(entry.name)]
