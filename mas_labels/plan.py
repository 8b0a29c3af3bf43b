"""The plan of a labelling run, and what of it is done.

A plan follows from the manifest alone: which shards there will be and which videos each holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import mas_labels
from mas_labels.config import LabelConfig, json_hash
from mas_labels.errors import OptionsDifferError
from mas_labels.manifest import Listing, VideoRecord
from mas_labels.shard_reader import Shard


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
    """

    manifest: str
    split: str
    index: int
    count: int
    videos: tuple[VideoRecord, ...]
    classes: tuple[str, ...]

    @property
    def name(self) -> str:
        """File name of the shard."""
        return f"{self.manifest}-{self.split}-{self.index:05d}-of-{self.count:05d}.h5"

    def as_dict(self) -> dict[str, Any]:
        """Return what is stored in the shard: enough to know it again."""
        return {
            "manifest": self.manifest,
            "split": self.split,
            "index": self.index,
            "count": self.count,
            "videos_hash": json_hash([asdict(video) for video in self.videos]),
            "classes_hash": json_hash(self.classes),
        }


def make_plan(listing: Listing, split: str, videos_per_shard: int) -> list[ShardPlan]:
    """Distribute the videos of a split over shards.

    Videos are dealt out like cards, so that each shard holds videos of many classes.

    Raises
    ------
    ConfigError, DatasetError
        If there is no such split, or it is empty.
    """
    videos = listing.select(split)
    count = -(-len(videos) // videos_per_shard)
    return [
        ShardPlan(listing.manifest_name, split, index, count, tuple(videos[index::count]), listing.classes)
        for index in range(count)
    ]


def versions() -> dict[str, str]:
    """Return the versions that decide a shard's bytes."""
    build = cv2.getBuildInformation()
    ffmpeg = [line.split("(")[-1].rstrip(") ") for line in build.splitlines() if "avcodec:" in line]
    return {
        "mas_labels": mas_labels.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "avcodec": ffmpeg[0] if ffmpeg else "none",
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


def shard_result(shard: Shard, plan: ShardPlan) -> ShardResult:
    """Count what a finished shard holds."""
    videos, failures = len(shard.read("videos/frames")), len(shard.read("failures/code"))
    return ShardResult(plan.name, len(plan.videos), videos, len(shard), failures)


def finished_shards(
    out: Path, plan: Sequence[ShardPlan], config: LabelConfig, root: Path
) -> dict[str, ShardResult]:
    """Find the shards of the plan that are already in the folder, by name.

    Raises
    ------
    OptionsDifferError
        If the folder holds a shard of another plan, of other options, by other versions or of other videos.
    ShardError
        If a shard there is damaged.
    """
    expected = {shard.name: shard for shard in plan}
    finished = {}
    for path in sorted(out.glob("*.h5")):
        shard_plan = expected.get(path.name, plan[0])
        with Shard(path) as shard:
            check_same_run(shard, shard_plan, config)
            _check_same_files(shard, root)
            finished[path.name] = shard_result(shard, shard_plan)
    return finished


MEANINGS = {
    "count": "the number of shards, by --videos-per-shard or the number of videos",
    "videos_hash": "the data set's videos, or their classes and splits",
    "classes_hash": "the data set's classes",
}
"""Where the name of what differs does not say it."""


def check_same_run(shard: Shard, plan: ShardPlan, config: LabelConfig) -> None:
    """Refuse a shard that this run would make otherwise, naming what differs.

    Raises
    ------
    OptionsDifferError
        Saying what was and what is now.
    """
    ours: Mapping[str, Any] = {**config.as_dict(), **plan.as_dict(), **versions()}
    theirs: Mapping[str, Any] = {**shard.config, **shard.plan, **shard.versions}
    differing = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if "count" in differing or "split" in differing or "manifest" in differing:  # then these follow
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


def _check_same_files(shard: Shard, root: Path) -> None:
    """Refuse a shard whose videos now have other sizes: it was made of another copy of the data set."""
    for path, size in zip(shard.read_texts("videos/path"), shard.read("videos/bytes").tolist(), strict=True):
        try:
            found = (root / path).stat().st_size
        except OSError:  # gone or unreadable now: the shard is the better for having been made
            continue
        if found != size:
            raise OptionsDifferError(
                f"{shard.path} was made of a {path!r} of {size} bytes, under {root} it has {found}: label "
                "another data set into another --out, or remove the shard to label the new file"
            )
