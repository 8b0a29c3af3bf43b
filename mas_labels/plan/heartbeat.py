"""Who is at which shard, told by a tiny hidden file beside it: works on any backend, on many machines.

The file of a shard is locked while its worker lives, so it is the claim to the shard as well. Locks reach
other machines on most network file systems (NFS, CephFS, GPFS, Lustre mounted with `flock`). Where they do
not, the age of the file decides: a shard that another machine has touched of late is left to it.
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

from mas_labels.errors import ConfigError, WorkerError
from mas_labels.system.files import lock_file, take_lock
from mas_labels.system.signals import raise_pending_signal

BEAT_SECONDS = 0.5
"""Between two writes of a worker."""
BEAT_BYTES = 1024
"""Of a file, blanks behind its text: no counts of a longer text from before stay, and nothing is cut."""
STALE_SECONDS = 180.0
"""Age from which a file of another machine tells that its worker is gone: far above what clocks differ by and
what network file systems hold back."""
RETRY_SECONDS = 1.0
BEATS = re.compile(r"\..+\.h5\.progress", re.DOTALL)
LEFTOVERS = re.compile(
    r"\..+\.h5\.(progress|partial)|\..+\.plan\.json\.\d+-\d+|\.lock(-\d+-of-\d+)?", re.DOTALL
)
"""Names of heartbeats; names of all that a run may leave behind."""
MAX_DEATHS = 3
"""Workers a shard may cost before it is given up."""


@dataclass
class Beat:
    """What a worker says of the shard it is at.

    Attributes
    ----------
    name
        File name of the shard.
    run
        The run it is made for.
    host, pid
        Who works on it.
    started
        When it was begun, seconds since 1970.
    planned, videos
        Videos of the shard, and those done by now.
    clips, failures
        Clips so far, videos that could not be used.
    deaths
        Workers of the same run that died on the shard before.
    age_seconds
        Time since the last sign of life; 0 when written.
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
    """A worker's claim to a shard and its counts on it; use it in a ``with`` block.

    Parameters
    ----------
    out
        The folder of shards.
    name
        File name of the shard.
    planned
        Videos of the shard.
    run
        Name of the run.

    Raises
    ------
    ConfigError
        On entering, if another process is at the shard.
    WorkerError
        On entering, if the run has lost `MAX_DEATHS` workers on the shard.
    """

    def __init__(self, out: Path, name: str, planned: int, run: str) -> None:
        self._out = out
        self._path = out / f".{name}.progress"
        self._beat = Beat(name, run, socket.gethostname(), os.getpid(), time.time(), planned)
        self._written = -BEAT_SECONDS

    def __enter__(self) -> Heartbeat:
        busy = f"another process is making {self._out / self._beat.name}: let it finish, or end it first"
        self._descriptor = lock_file(self._path, busy)
        try:
            self._beat.deaths = self._deaths_before(busy)
            if self._beat.deaths >= MAX_DEATHS:
                raise WorkerError(
                    f"its worker process died {self._beat.deaths} times, killed or out of memory: label with "
                    "fewer --workers, or look for what kills them"
                )
            self.touch()
        except BaseException:
            self._give_up()
            raise
        return self

    def _deaths_before(self, busy: str) -> int:
        """Return how many workers died on the shard; wait until a silent one of another machine counts so."""
        while (last := read_beat(self._path)) is not None:
            if not _may_live(last):
                return last.deaths + 1 if last.run == self._beat.run else 0
            if time.time() - self._beat.started > STALE_SECONDS + RETRY_SECONDS:
                raise ConfigError(f"{busy} (on {last.host})")
            raise_pending_signal()
            time.sleep(RETRY_SECONDS)
        return 0

    def count(self, videos: int = 0, clips: int = 0, failures: int = 0) -> None:
        """Add to the counts, let others see them, and end here if the run was asked to end."""
        self._beat.videos += videos
        self._beat.clips += clips
        self._beat.failures += failures
        self.touch()

    def touch(self) -> None:
        """Show that we live, now and then, and end here if the run was asked to end."""
        raise_pending_signal()
        if time.monotonic() - self._written < BEAT_SECONDS:
            return
        self._written = time.monotonic()
        text = json.dumps(asdict(self._beat)).encode("ascii")
        with contextlib.suppress(OSError):  # a full disk is told of by who writes the shard
            size = max(BEAT_BYTES, os.fstat(self._descriptor).st_size)
            os.pwrite(self._descriptor, text.ljust(size), 0)

    def _give_up(self) -> None:
        with contextlib.suppress(OSError):  # the shard's fate is settled; the next run removes it
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_up()


def read_beat(path: Path) -> Beat | None:
    """Read a heartbeat file; None if it is gone, empty or half written."""
    try:
        beat = Beat(**json.loads(path.read_bytes()))
        beat.age_seconds = max(0.0, time.time() - path.stat().st_mtime)
    except (OSError, ValueError, TypeError):
        return None
    return beat


def read_beats(out: Path) -> list[Beat]:
    """Read the heartbeats of all workers in a folder, by shard."""
    beats = (read_beat(path) for path in sorted(_hidden(out, BEATS)))
    return [beat for beat in beats if beat is not None]


def _may_live(beat: Beat) -> bool:
    """Whether a worker may be alive although its lock is free: on another machine, locks may not reach us."""
    return beat.host != socket.gethostname() and beat.age_seconds < STALE_SECONDS


def remove_leftovers(out: Path) -> int:
    """Remove what killed runs left in a folder, and nothing of those that live; return how many shards."""
    removed = 0
    for path in _hidden(out, LEFTOVERS):
        beat = read_beat(path.with_suffix(".progress"))
        if beat is not None and _may_live(beat):
            continue
        descriptor = take_lock(path)
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            removed += path.suffix == ".partial"
    return removed


def _hidden(out: Path, pattern: re.Pattern[str]) -> list[Path]:
    """List hidden files by their names alone, since there may be very many shards beside them."""
    return [out / entry.name for entry in os.scandir(out) if pattern.fullmatch(entry.name)]
