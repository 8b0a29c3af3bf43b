"""Statistics of a set of shards, gathered shard by shard in memory that does not grow with the clips."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.labels.label_counts import LabelCounts
from mas_labels.names import printable
from mas_labels.plan.completeness import planned_counts
from mas_labels.report.examples import ExamplePicker
from mas_labels.report.letterbox import is_letterboxed, read_some_frames
from mas_labels.report.stability import LabelStability
from mas_labels.shards.columns import mean_motion
from mas_labels.shards.reader import Shard
from mas_labels.shards.shard_set import ShardSet
from mas_labels.shards.tables import Failure, read_failures

FAILURES_SHOWN: Final = 50
"""Maximum number of failures that are listed; all of them are counted."""
CLIPS_SHOWN: Final = 8
"""Maximum number of clips that are shown of each kind: motionless, letterboxed, most motion."""
MAX_SEARCHED: Final = 2000
"""Maximum number of clips that are searched for dark bars, spread evenly over all."""
MOTION_EDGES: Final[tuple[float, ...]] = tuple(float(10 ** (exponent / 4)) for exponent in range(-16, 5))
"""Edges in pixels of the bins of motion magnitude, four per decade; the outer bins hold all values beyond."""


@dataclass
class Summary:
    """Statistics of a set of shards.

    Attributes
    ----------
    bytes, parts
        Size of all shards, and of each data set (table or array) in them.
    finished
        When the first and the last file was written, in seconds since 1970, by the dates of the files.
    planned
        Number of shards of the whole plan; more than there are if a run is not finished.
    motionless, motionless_clips
        Number of clips whose flow fields have no motion boundary at all (None if motion is not stored), and
        the first few of them.
    cut, cut_clips
        Number of clips across a shot cut (None if that is not stored), and the first few of them.
    cut_unknown
        Number of clips in shards that do not store it.
    skipped_clips
        Number of clips that `LabelConfig.skip_cuts` left out.
    motion
        (20,) int64: number of clips by mean magnitude of motion boundaries, in the bins of `MOTION_EDGES`.
    liveliest
        (magnitude, clip) of the few clips with the largest magnitude, in descending order.
    searched, letterboxed, letterboxed_clips
        Number of clips that were searched for dark bars, of those that have some, and the first few of these.
    counts
        How often each label has each value, over all views of all clips.
    stability
        How often the centre view's labels are those of near views, and of the video's next clip.
    examples
        One clip for each value of each label.
    classes, frames, seconds
        Number of videos with clips by class; number of decoded frames, and their duration.
    failures, first_failures
        Number of failed videos by (stage, code); the first few of them.
    versions
        Versions of the programs that made the shards.
    """

    bytes: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    finished: tuple[float, float] = (0.0, 0.0)
    planned: int = 0
    motionless: int | None = None
    motionless_clips: list[int] = field(default_factory=list)
    cut: int | None = None
    cut_clips: list[int] = field(default_factory=list)
    cut_unknown: int = 0
    skipped_clips: int = 0
    motion: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(MOTION_EDGES) - 1, np.int64))
    liveliest: list[tuple[float, int]] = field(default_factory=list)
    searched: int = 0
    letterboxed: int = 0
    letterboxed_clips: list[int] = field(default_factory=list)
    counts: LabelCounts = field(default_factory=LabelCounts)
    stability: LabelStability = field(default_factory=LabelStability)
    examples: ExamplePicker = field(default_factory=ExamplePicker)
    classes: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    seconds: float = 0.0
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_failures: list[Failure] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


def summarise(shards: ShardSet) -> Summary:
    """Gather the statistics, shard by shard.

    Raises
    ------
    ShardError
        If a shard is corrupt, or holds a label out of range.
    """
    summary = Summary(counts=LabelCounts(shards.geometry, of_clips=len(shards)))
    times = []
    for number, shard in shards.each_shard():
        start = shards.start(number)
        status = shard.path.stat()
        summary.bytes += status.st_size
        times.append(status.st_mtime)
        summary.parts.update(shard.stored_bytes())
        summary.versions.update(shard.versions)
        _add_videos(summary, shard)
        _add_cuts(summary, shard, start)
        _add_motion(summary, shard, start)
        _add_dark_bars(summary, shards, shard, start)
        if shards.has_labels:
            labels = shard.read("clips/labels")
            summary.counts.add(labels, shard.path)
            summary.examples.add(labels[:, 0], start)
            summary.stability.add(labels, shard.views, shard.read("clips/video"))
    summary.finished = (min(times), max(times))
    folders = {path.parent for path in shards.paths}
    summary.planned = sum(count for folder in folders for _, count in planned_counts(folder))
    return summary


def _add_videos(summary: Summary, shard: Shard) -> None:
    """Count the used and the failed videos of a shard."""
    classes = [printable(name) for name in shard.class_names]
    for index, videos in zip(*np.unique(shard.read_class_indices(), return_counts=True), strict=True):
        summary.classes[classes[index] if index >= 0 else "no class"] += int(videos)
    frames, rates = shard.read("videos/frames"), shard.read("videos/fps")
    summary.frames += int(frames.sum())
    known = np.isfinite(rates) & (rates > 0)
    summary.seconds += float((frames[known] / rates[known]).sum())
    failures = read_failures(shard)
    summary.failures.update((printable(failure.stage), printable(failure.code)) for failure in failures)
    summary.first_failures += failures[: FAILURES_SHOWN - len(summary.first_failures)]


def _add_cuts(summary: Summary, shard: Shard, start: int) -> None:
    """Count the clips of a shard across a shot cut, and those left out for it; keep the first few."""
    if "clips/cut" in shard:
        across = np.flatnonzero(shard.read("clips/cut"))
        summary.cut = (summary.cut or 0) + len(across)
        summary.cut_clips += (start + across[: CLIPS_SHOWN - len(summary.cut_clips)]).tolist()
    else:
        summary.cut_unknown += len(shard)
    if "videos/skipped_clips" in shard:
        summary.skipped_clips += int(shard.read("videos/skipped_clips").sum())


def _add_motion(summary: Summary, shard: Shard, start: int) -> None:
    """Count the clips of a shard by motion; keep those without any and those with most."""
    if "clips/motion" not in shard:
        return
    motionless = np.flatnonzero((shard.read("clips/motion") == 0).all(axis=(1, 2)))
    summary.motionless = (summary.motionless or 0) + len(motionless)
    summary.motionless_clips += (start + motionless[: CLIPS_SHOWN - len(summary.motionless_clips)]).tolist()
    motion = mean_motion(shard)
    # in double precision: the lowest edge is less than itself in single
    bounded = np.clip(motion.astype(np.float64), MOTION_EDGES[0], MOTION_EDGES[-1])
    summary.motion += np.histogram(bounded, MOTION_EDGES)[0]
    here = zip(motion.tolist(), range(start, start + len(motion)), strict=True)
    summary.liveliest = sorted([*summary.liveliest, *here], reverse=True)[:CLIPS_SHOWN]


def _add_dark_bars(summary: Summary, shards: ShardSet, shard: Shard, start: int) -> None:
    """Search some clips of a shard for dark bars."""
    every, last = max(1, -(-len(shards) // MAX_SEARCHED)), shards.geometry.clip_frames - 1
    for clip in range(-start % every, len(shard), every):
        summary.searched += 1
        if is_letterboxed(read_some_frames(shard, clip, (0, last // 2, last))):
            summary.letterboxed += 1
            summary.letterboxed_clips += [start + clip][: CLIPS_SHOWN - len(summary.letterboxed_clips)]
