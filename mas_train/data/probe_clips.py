"""Clips of the online probe: videos with classes, and which of them may be whose nearest neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError
from mas_labels.shards import ShardSet, spread_evenly
from mas_train.data.leakage import find_shard_leaks
from mas_train.data.training_shards import incomplete_warnings, open_training_shards

SEEN_SIZES: Final = ("clip_frames", "frame_step", "frame_rows", "frame_cols", "view_size")
"""Sizes of the geometry that decide what a network sees of a clip."""


@dataclass(frozen=True)
class ProbeVideos:
    """The videos of a probe, V of them, each a query among all others outside its own group.

    Attributes
    ----------
    shards
        Their clips.
    classes
        (V,) int64, the class of each, in the order of `ShardSet.videos`.
    groups
        (V,) int64, the group of each, none of which is its neighbour: videos of one class and group are cut
        from one recording in some data sets (UCF101). A video without a group is alone in one.
    queries
        (Q,) int64, the videos that are counted: those with another one of their class outside their group.
    chance
        Mean share of videos of a query's class among those outside its group.
    description
        One line about them.
    """

    shards: ShardSet
    classes: NDArray[np.int64]
    groups: NDArray[np.int64]
    queries: NDArray[np.int64]
    chance: float
    description: str


def choose_probe_videos(shards: ShardSet, max_clips: int) -> ProbeVideos:
    """Choose videos with a class, and clips of them, spread evenly if there are more than `max_clips`.

    Raises
    ------
    ConfigError
        If no video of two classes or more has another one of its class that may be its nearest.
    """
    kept = choose_clips_evenly(shards, max_clips)
    videos = kept.videos
    classes = np.array([video.class_index for video in videos], np.int64)
    keys = [
        place if video.group is None else (video.class_index, video.group)
        for place, video in enumerate(videos)
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    groups = np.array([numbers[key] for key in keys], np.int64)
    of_class, of_group = np.bincount(classes)[classes], np.bincount(groups)[groups]
    queries = np.flatnonzero(of_class > of_group)  # a group is of one class
    found = len(np.unique(classes))
    if not len(queries) or found < 2:
        raise ConfigError(
            "expected --probe-shards with two classes or more, and two videos of a class that are not of one "
            f"group, found {found} classes in {len(videos)} videos of {shards.paths[0].parent}: give others"
        )
    chance = float(((of_class - of_group) / (len(videos) - of_group))[queries].mean())
    left_out = len(shards.videos) - len(videos)
    has_groups = any(video.group is not None for video in videos)
    description = (
        f"probe: nearest neighbours of {len(queries)} videos of {found} classes ({len(kept)} clips"
        f"{f', {left_out} videos left out' if left_out else ''}), "
        f"{'none of one group' if has_groups else 'which state no groups: near duplicates count'}; "
        f"chance {chance:.1%}"
    )
    return ProbeVideos(kept, classes, groups, queries, chance, description)


def choose_clips_evenly(shards: ShardSet, max_clips: int) -> ShardSet:
    """Choose at most `max_clips` clips of videos with a class: as many videos as may be, then equal shares.

    The videos are spread evenly over the list sorted by class, and so over classes; the clips of a video over
    its length.
    """
    of_clip = shards.clip_videos()
    classes = np.array([video.class_index for video in shards.videos], np.int64)
    by_class = np.argsort(classes, kind="stable")
    known = by_class[classes[by_class] >= 0]
    if not len(known):
        raise ConfigError(
            f"the videos of {shards.paths[0].parent} (--probe-shards) have no classes, by which neighbours "
            "are counted: give shards of videos in class folders"
        )
    videos = known[spread_evenly(len(known), max_clips)]
    share = max(1, max_clips // len(videos))
    ends = np.cumsum(np.bincount(of_clip))
    clips = np.split(np.argsort(of_clip, kind="stable"), ends[:-1])  # of each video
    return shards.subset(np.sort(np.concatenate([_spread(clips[video], share) for video in videos])))


def _spread(clips: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Choose at most `limit` clips of a video, the middle one if it is one."""
    return clips[spread_evenly(len(clips), limit, ends=False)]


def open_probe(
    paths: Sequence[str | Path], training: ShardSet, max_clips: int, is_incomplete_allowed: bool
) -> tuple[ProbeVideos, list[str]]:
    """Open the shards of a probe, and choose their videos; return these, and lines for the user.

    Raises
    ------
    ConfigError
        If clips are of other sizes than those of training, or neighbours cannot be counted by class.
    DatasetError, ShardError
        Those of `mas_train.data.training_shards.open_training_shards`.
    """
    shards = open_training_shards(paths, is_incomplete_allowed)
    require_same_view(shards, training)
    videos = choose_probe_videos(shards, max_clips)
    leaks = find_shard_leaks(training, videos.shards, "probe")
    overlap = [f"warning: {leak}: the probe measures what the network was trained on" for leak in leaks]
    return videos, [*incomplete_warnings([shards]), *overlap, videos.description]


def require_same_view(probe: ShardSet, training: ShardSet) -> None:
    """Raise an error if a network would see other clips of the probe than those that it is trained on.

    Raises
    ------
    ConfigError
        If lengths or sizes of clips, frames or views differ.
    """
    sizes: Sequence[dict[str, int]] = [
        {name: getattr(shards.geometry, name) for name in SEEN_SIZES} for shards in (probe, training)
    ]
    if sizes[0] != sizes[1]:
        differ = [name for name in SEEN_SIZES if sizes[0][name] != sizes[1][name]]
        found, expected = (", ".join(f"{name} {each[name]}" for name in differ) for each in sizes)
        raise ConfigError(
            f"--probe-shards were made with {found}, --shards with {expected}: make one set again with "
            "`mas-labels make`"
        )
