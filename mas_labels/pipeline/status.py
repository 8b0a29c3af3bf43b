"""Status of a folder of shards that one or more machines are filling, read without touching it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mas_labels.errors import DatasetError, ShardError, UnavailableError, unavailable
from mas_labels.names import printable
from mas_labels.plan.completeness import planned_counts
from mas_labels.plan.file_names import SHARD_NAME
from mas_labels.plan.heartbeat import STALE_SECONDS, Beat, read_beats
from mas_labels.plan.plan_file import plan_paths, read_plan_file
from mas_labels.shards.header import read_header
from mas_labels.system.amounts import format_time


@dataclass
class FolderStatus:
    """Status of a folder of shards; ``mas-labels status --json`` prints these names.

    Attributes
    ----------
    total
        Number of planned shards of all batches, by the shards' names and the plan files.
    batches
        Name of each batch -> [number of finished shards, number of planned shards].
    done
        Number of finished shards.
    running
        Heartbeats of the workers that are making a shard.
    silent
        Heartbeats that are older than `heartbeat.STALE_SECONDS`: these workers hang or are dead.
    left
        Number of shards that no worker is making.
    damaged
        Messages about finished shards that are corrupt.
    unavailable
        Messages about finished shards that cannot be read now.
    videos, clips, failures
        Number of videos with clips, of clips, and of failed videos in the finished shards.
    cut_clips, skipped_clips
        Number of clips across a shot cut in the finished shards, and of those that were left out.
    clips_per_second
        Rate of all running workers together, since each began its shard.
    notes
        The notes on the data set's folder when it was planned.
    """

    total: int = 0
    batches: dict[str, list[int]] = field(default_factory=dict)
    done: int = 0
    running: list[Beat] = field(default_factory=list)
    silent: list[Beat] = field(default_factory=list)
    left: int = 0
    damaged: list[str] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    videos: int = 0
    clips: int = 0
    failures: int = 0
    cut_clips: int = 0
    skipped_clips: int = 0
    clips_per_second: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def hours_left(self) -> float | None:
        """Time left at the present rate; None if it cannot be estimated."""
        readable = self.done - len(self.damaged) - len(self.unavailable)
        if not readable or not self.clips_per_second:
            return None
        clips = self.clips / readable * (self.total - self.done) - sum(beat.clips for beat in self.running)
        return max(0.0, clips) / self.clips_per_second / 3600

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, for JSON."""
        return {**asdict(self), "hours_left": self.hours_left}


def read_status(out: Path) -> FolderStatus:
    """Read the status of a folder of shards.

    Raises
    ------
    DatasetError
        If there is no such folder, or no planned, finished or started shard in it.
    ConfigError
        If a plan file is corrupt.
    UnavailableError
        If the folder cannot be read now.
    """
    try:
        counts = planned_counts(out)
        names = [entry.name for entry in os.scandir(out)]
    except (FileNotFoundError, NotADirectoryError):
        counts, names = {}, []
    except OSError as error:
        raise unavailable(out, error) from error
    if not counts:
        raise DatasetError(f"expected shards, finished or started, in {out}, found none: check the folder")
    status = FolderStatus(total=sum(count for _, count in counts))
    status.batches = {name: [there, planned] for (name, planned), there in sorted(counts.items())}
    for path in plan_paths(out):
        status.notes += [note for note in read_plan_file(path).notes if note not in status.notes]
    _count_done(status, out, sorted(filter(SHARD_NAME.fullmatch, names)))
    unfinished = [beat for beat in read_beats(out) if beat.name not in names]
    status.running = [beat for beat in unfinished if beat.age_seconds < STALE_SECONDS]
    status.silent = [beat for beat in unfinished if beat.age_seconds >= STALE_SECONDS]
    status.left = max(0, status.total - status.done - len(status.running))
    status.clips_per_second = sum(_rate(beat) for beat in status.running)
    return status


def _count_done(status: FolderStatus, out: Path, names: Sequence[str]) -> None:
    """Add the finished shards to the counts."""
    for name in names:
        status.done += 1
        try:
            shard = read_header(out / name)
        except ShardError as error:
            status.damaged.append(str(error))
            continue
        except UnavailableError as error:
            status.unavailable.append(str(error))
            continue
        status.videos += len(shard.videos)
        status.clips += shard.clips
        status.failures += len(shard.failures)
        status.cut_clips += shard.cut_clips
        status.skipped_clips += shard.skipped_clips


def _rate(beat: Beat) -> float:
    """Return the clips per second of a worker since it began its shard."""
    return beat.clips / max(1e-9, time.time() - beat.age_seconds - beat.started)


def describe_status(status: FolderStatus) -> str:
    """Return a status as text."""
    lines = [
        f"{status.done} of {status.total} shards done, {len(status.running)} running, {status.left} left",
        f"{status.clips} clips of {status.videos} videos, {status.failures} videos failed",
    ]
    if status.cut_clips or status.skipped_clips:
        lines.append(f"{status.cut_clips} clips across a shot cut, {status.skipped_clips} left out")
    if len(status.batches) > 1:
        lines += [f"{name}: {there} of {planned} shards" for name, (there, planned) in status.batches.items()]
    lines += _worker_lines("running", status.running)
    lines += _worker_lines("silent (dead or hanging; run the command again)", status.silent)
    lines += [f"damaged: {printable(text)}" for text in status.damaged]
    lines += [printable(text) for text in status.unavailable]
    lines += status.notes
    if status.running:
        left = "" if status.hours_left is None else f", about {format_time(3600 * status.hours_left)} left"
        lines.append(f"{status.clips_per_second:.1f} clips/s{left}")
    return "\n".join(lines)


def _worker_lines(title: str, beats: Iterable[Beat]) -> list[str]:
    """Return one line per worker."""
    return [
        f"{title}: {beat.name} on {beat.host} (process {beat.pid}): {beat.videos} of {beat.planned} videos, "
        f"{beat.clips} clips, {beat.failures} failed, {_rate(beat):.1f} clips/s, "
        f"last sign {beat.age_seconds:.0f} s ago"
        for beat in beats
    ]
