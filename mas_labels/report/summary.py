"""A set of shards in numbers: sizes, classes, how often each label has each value."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mas_labels.folder import printable
from mas_labels.label_counts import LabelCounts
from mas_labels.shard import ShardSet


@dataclass
class Summary:
    """What a set of shards holds, in numbers.

    Attributes
    ----------
    bytes
        Size of all shards.
    planned
        Shards of the whole plan; more than there are if a run is not finished.
    motionless
        Clips whose flow fields have no motion boundary at all; None where motion is not stored.
    counts
        How often each label has each value, over all views of all clips.
    videos
        Videos with clips, by class.
    versions
        What made the shards.
    """

    bytes: int = 0
    planned: int = 0
    motionless: int | None = None
    counts: LabelCounts = field(default_factory=LabelCounts)
    videos: Counter[str] = field(default_factory=Counter)
    versions: dict[str, str] = field(default_factory=dict)


def summarise(shards: ShardSet) -> Summary:
    """Read what the page counts, shard by shard.

    Raises
    ------
    ShardError
        A shard is damaged, or holds a label out of its range.
    """
    summary = Summary()
    plans: set[tuple[str, str, int]] = set()
    for number in range(len(shards.paths)):
        shard = shards.shard(number)
        summary.bytes += shard.path.stat().st_size
        summary.versions.update(shard.versions)
        plans.add((shard.plan["manifest"], shard.plan["split"], shard.plan["count"]))
        if "clips/motion" in shard:
            still = int((shard.read("clips/motion") == 0).all(axis=(1, 2)).sum())
            summary.motionless = (summary.motionless or 0) + still
        if shards.has_labels:
            summary.counts.add(shard.read("clips/labels"), shard.path)
    summary.planned = sum(count for _, _, count in plans)
    summary.videos = Counter(printable(video.class_name or "no class") for video in shards.videos)
    return summary
