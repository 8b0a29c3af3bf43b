"""How far a folder of shards is that several machines may be filling, read from the outside."""

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


@dataclass
class Status:
    """What there is in a folder.

    Attributes
    ----------
    total
        Shards of the plan, as every shard's name and the plan files tell; of all batches together.
    batches
        Shards that each batch is planned to have and has: name -> [there, planned].
    done
        Shards that are complete.
    running
        Workers that are at a shard.
    silent
        Workers that gave no sign of life for `heartbeat.STALE_SECONDS`: they hang or are dead.
    left
        Shards that nobody works on.
    damaged
        Complete shards that are damaged, and why.
    unavailable
        Complete shards that could not be read now, and why.
    videos, clips, failures
        Of the complete shards: videos with clips, clips, videos that failed.
    clips_per_second
        Of the running workers together, since each began its shard.
    notes
        On the data set's folder, as they were when it was planned.
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
    clips_per_second: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def hours_left(self) -> float | None:
        """Time left at the present rate; None if nothing tells."""
        readable = self.done - len(self.damaged) - len(self.unavailable)
        if not readable or not self.clips_per_second:
            return None
        clips = self.clips / readable * (self.total - self.done) - sum(beat.clips for beat in self.running)
        return max(0.0, clips) / self.clips_per_second / 3600

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, for JSON."""
        return {**asdict(self), "hours_left": self.hours_left}


def read_status(out: Path) -> Status:
    """Look at a folder of shards; nothing in it is touched.

    Raises
    ------
    DatasetError
        If there is no such folder, or no shard in it, planned, finished or begun.
    ConfigError
        If a plan file is damaged.
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
        raise DatasetError(f"expected shards, finished or begun, in {out}, found none: check the folder")
    status = Status(total=sum(count for _, count in counts))
    status.batches = {name: [there, planned] for (name, planned), there in sorted(counts.items())}
    for path in plan_paths(out):
        status.notes += [note for note in read_plan_file(path).notes if note not in status.notes]
    _count_done(status, out, sorted(filter(SHARD_NAME.fullmatch, names)))
    begun = [beat for beat in read_beats(out) if beat.name not in names]
    status.running = [beat for beat in begun if beat.age_seconds < STALE_SECONDS]
    status.silent = [beat for beat in begun if beat.age_seconds >= STALE_SECONDS]
    status.left = max(0, status.total - status.done - len(status.running))
    status.clips_per_second = sum(_rate(beat) for beat in status.running)
    return status


def _count_done(status: Status, out: Path, names: Sequence[str]) -> None:
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


def _rate(beat: Beat) -> float:
    return beat.clips / max(1e-9, time.time() - beat.age_seconds - beat.started)


def describe_status(status: Status) -> str:
    """Return a status as text."""
    lines = [
        f"{status.done} of {status.total} shards done, {len(status.running)} running, {status.left} left",
        f"{status.clips} clips of {status.videos} videos, {status.failures} videos failed",
    ]
    if len(status.batches) > 1:
        lines += [f"{name}: {there} of {planned} shards" for name, (there, planned) in status.batches.items()]
    lines += _workers("running", status.running)
    lines += _workers("silent (dead or hanging; run the command again)", status.silent)
    lines += [f"damaged: {printable(text)}" for text in status.damaged]
    lines += [printable(text) for text in status.unavailable]
    lines += status.notes
    if status.running:
        left = "" if status.hours_left is None else f", about {status.hours_left:.2g} hours left"
        lines.append(f"{status.clips_per_second:.1f} clips/s{left}")
    return "\n".join(lines)


def _workers(title: str, beats: Iterable[Beat]) -> list[str]:
    return [
        f"{title}: {beat.name} on {beat.host} (process {beat.pid}): {beat.videos} of {beat.planned} videos, "
        f"{beat.clips} clips, {beat.failures} failed, {_rate(beat):.1f} clips/s, "
        f"last sign {beat.age_seconds:.0f} s ago"
        for beat in beats
    ]
