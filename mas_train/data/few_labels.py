"""Clips with the class of their video, and the part of them that a fine-tuning run learns from."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.shards import ShardSet, match_names


@dataclass(frozen=True)
class LabelledClips:
    """Clips to learn from.

    Attributes
    ----------
    clips
        (N,) int64, numbers of the clips in the set of shards.
    classes
        (N,) int64, the class of each.
    videos
        Videos they are of.
    """

    clips: NDArray[np.int64]
    classes: NDArray[np.int64]
    videos: int


def label_clips(shards: ShardSet, fraction: float, seed: int) -> LabelledClips:
    """Choose the clips of a share of the videos of each class.

    Parameters
    ----------
    shards
        Videos with classes; those without are left out.
    fraction
        Share of each class's videos, more than 0 and at most 1; at least one video of each class is taken.
    seed
        Of the choice. A larger share holds the smaller ones of the same seed.

    Raises
    ------
    ConfigError
        If the share is out of its range.
    DatasetError
        If the videos have no classes.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"--labels must be more than 0 and at most 100%, not {fraction:.3%}")
    classes = np.array([video.class_index for video in shards.videos], np.int64)
    if not (classes >= 0).any():
        raise DatasetError(f"the videos in {shards.paths[0]} have no classes: fine-tuning needs them")
    chosen = choose_videos(classes, fraction, seed)
    videos = shards.clip_videos()
    clips = np.flatnonzero(chosen[videos])
    return LabelledClips(clips, classes[videos[clips]], int(chosen.sum()))


def choose_videos(classes: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Choose a share of the videos of each class, as `label_clips` does: (V,) bool, False without a class."""
    chosen = np.zeros(len(classes), bool)
    for number in np.unique(classes[classes >= 0]):
        order = np.random.default_rng([seed, int(number)]).permutation(np.flatnonzero(classes == number))
        chosen[order[: math.ceil(fraction * len(order))]] = True
    return chosen


def failed_videos(shards: ShardSet) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the videos that gave no clip, and their classes.

    A shard does not tell these classes: they are those of the other videos in the same folder, or else of the
    folder's name, or else -1.
    """
    used = {video.path for video in shards.videos}
    classes: dict[str, set[int]] = {}
    for video in shards.videos:
        classes.setdefault(os.path.dirname(video.path), set()).add(video.class_index)  # noqa: PTH120 - a text
    failed = tuple(sorted({failure.video for failure in shards.failures} - used))
    numbers = []
    for folder in (os.path.dirname(path) for path in failed):  # noqa: PTH120
        known = classes.get(folder) or {*match_names([os.path.basename(folder)], shards.classes)}  # noqa: PTH119
        numbers.append(next(iter(known)) if len(known) == 1 else -1)
    return failed, np.array(numbers, np.int64)
