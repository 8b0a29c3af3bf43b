"""The plan of a labelling run, and what of it is done.

A plan follows from the manifest alone: which shards there will be and which videos each holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import mas_labels
from mas_labels.config import LabelConfig, RunOptions, json_hash
from mas_labels.errors import OptionsDifferError
from mas_labels.manifest import Listing, VideoRecord
from mas_labels.shard_header import ShardHeader, read_header


@dataclass(frozen=True)
class ShardPlan:
    """One shard of a plan.

    Attributes
    ----------
    manifest, split
        What the plan is of.
    index, count
        Number of this shard from 0, and how many there are.
    videos
        Its videos.
    classes
        Names of all classes of the data set.
    limit
        How many videos the plan was limited to; None if that left none out.
    """

    manifest: str
    split: str
    index: int
    count: int
    videos: tuple[VideoRecord, ...]
    classes: tuple[str, ...]
    limit: int | None = None

    @property
    def name(self) -> str:
        """File name of the shard."""
        return f"{self.manifest}-{self.split}-{self.index:05d}-of-{self.count:05d}.h5"

    def as_dict(self) -> dict[str, Any]:
        """Return what is stored in the shard: enough to know it again."""
        limited = {} if self.limit is None else {"limit": self.limit}
        return {
            "manifest": self.manifest,
            "split": self.split,
            "index": self.index,
            "count": self.count,
            "videos_hash": json_hash([vars(video) for video in self.videos]),
            "classes_hash": _hash_of_classes(self.classes),
            **limited,
        }


@lru_cache(maxsize=1)
def _hash_of_classes(classes: tuple[str, ...]) -> str:
    """Return the hash that all shards of a plan share."""
    return json_hash(classes)


def make_plan(
    listing: Listing, split: str, videos_per_shard: int, limit: int | None = None
) -> list[ShardPlan]:
    """Distribute the videos of a split over shards.

    Videos are dealt out like cards, so that each shard holds videos of many classes.

    Parameters
    ----------
    listing
        The data set.
    split
        Name of the split.
    videos_per_shard
        Most videos of a shard.
    limit
        Take the first so many videos of the split only; None: all.

    Raises
    ------
    ConfigError, DatasetError
        If there is no such split, or it is empty.
    """
    whole = listing.select(split)
    videos = whole[:limit]
    if len(videos) == len(whole):
        limit = None
    count = -(-len(videos) // videos_per_shard)
    return [
        ShardPlan(
            listing.manifest_name, split, index, count, tuple(videos[index::count]), listing.classes, limit
        )
        for index in range(count)
    ]


def versions() -> dict[str, str]:
    """Return the versions that decide a shard's bytes."""
    return {
        "mas_labels": mas_labels.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pyav": av.__version__,
        "ffmpeg": av.ffmpeg_version_info,
    }


@dataclass(frozen=True)
class ShardResult:
    """What became of one shard.

    Attributes
    ----------
    name
        Its file name.
    planned, videos, clips, failures
        Videos it was to hold; videos that gave clips; clips; videos that failed, some of them after clips.
    error
        None, or what kept it from being written.
    """

    name: str
    planned: int
    videos: int = 0
    clips: int = 0
    failures: int = 0
    error: str | None = None


def shard_result(shard: ShardHeader, plan: ShardPlan) -> ShardResult:
    """Count what a finished shard holds."""
    return ShardResult(plan.name, len(plan.videos), len(shard.videos), shard.clips, len(shard.failures))


def finished_shards(
    out: Path,
    plan: Sequence[ShardPlan],
    config: LabelConfig,
    root: Path,
    how: RunOptions,
) -> dict[str, ShardResult]:
    """Find the shards of our share of the plan that are already in the folder, by name.

    With `retry_failed`, shards that hold failures are not finished. Of the other ranks' shards one is looked
    at, since each rank looks at its own.

    Raises
    ------
    OptionsDifferError
        If the folder holds a shard of another plan, of other options, by other versions or of other videos.
    ShardError
        If a shard there is damaged.
    """
    ours = {shard.name: shard for shard in plan[how.rank :: how.world_size]}
    others = {shard.name: shard for shard in plan} if how.world_size > 1 else {}
    finished, seen_others = {}, False
    names = (entry.name for entry in os.scandir(out))
    for name in sorted(name for name in names if name.endswith(".h5") and name[0] != "."):
        if name not in ours and name in others and seen_others:
            continue
        shard_plan = ours.get(name, others.get(name, plan[0]))
        shard = read_header(out / name)
        check_same_run(shard, shard_plan, config)
        if name not in ours:
            seen_others = True
            continue
        _check_same_files(shard, root, how.retry_failed)
        if not (how.retry_failed and shard.failures):
            finished[name] = shard_result(shard, shard_plan)
    return finished


MEANINGS = {
    "count": "the number of shards, by --videos-per-shard or the number of videos",
    "videos_hash": "the data set's videos, or their classes and splits",
    "classes_hash": "the data set's classes",
    "limit": "--limit",
}
"""Where the name of what differs does not say it."""


def check_same_run(shard: ShardHeader, plan: ShardPlan, config: LabelConfig) -> None:
    """Refuse a shard that this run would make otherwise, naming what differs.

    Raises
    ------
    OptionsDifferError
        Saying what was and what is now.
    """
    ours: Mapping[str, Any] = {**config.as_dict(), **plan.as_dict(), **versions()}
    theirs: Mapping[str, Any] = {**shard.config, **shard.plan, **shard.versions}
    differing = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if not {"count", "split", "manifest", "limit"}.isdisjoint(differing):  # then these follow
        differing = [name for name in differing if name not in ("index", "videos_hash")]
    found = [
        f"{MEANINGS.get(name, name)} was {_short(theirs.get(name))}, is now {_short(ours.get(name))}"
        for name in differing
    ]
    if found:
        raise OptionsDifferError(
            f"{shard.path} was made with other options: {'; '.join(found)}. "
            "Use the same options, or choose another --out"
        )


def _short(value: Any) -> str:
    """Show a value, the start of a hash."""
    return f"{value[:8]}..." if isinstance(value, str) and len(value) == 64 else repr(value)


def _check_same_files(shard: ShardHeader, root: Path, retry_failed: bool) -> None:
    """Refuse a shard whose videos now have other sizes: it was made of another copy of the data set."""
    failed = set(shard.failures)
    for path, size in shard.videos.items():
        if retry_failed and path in failed:  # mended, we hope
            continue
        try:
            found = (root / path).stat().st_size
        except OSError:  # gone or unreadable now: the shard is the better for having been made
            continue
        if found != size:
            mended = " (or, if it was mended, --retry-failed)" if path in failed else ""
            raise OptionsDifferError(
                f"{shard.path} was made of a {path!r} of {size} bytes, under {root} it has {found}: label "
                f"another data set into another --out, or remove the shard to label the new file{mended}"
            )
