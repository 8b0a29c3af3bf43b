"""Labelled clips to fine-tune on: all, or those of a stratified subset of the videos."""

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
    """Clips to train on, with the classes of their videos.

    Attributes
    ----------
    clips
        (N,) int64, numbers of the clips in the set of shards.
    classes
        (N,) int64, the class of each.
    videos
        Number of videos they are cut from.
    """

    clips: NDArray[np.int64]
    classes: NDArray[np.int64]
    videos: int


def classes_to_learn(shards: ShardSet, where: str) -> list[str]:
    """Return the names of the classes to tell apart: all, or with filters those of the chosen clips."""
    with_clips = {video.class_name for video in shards.videos}
    return [name for name in shards.classes if not where or name in with_clips]


def label_clips(shards: ShardSet, fraction: float, seed: int) -> LabelledClips:
    """Choose the clips of a stratified subset of the videos: the same share of each class.

    Parameters
    ----------
    shards
        Videos with classes; videos without a class are left out.
    fraction
        Share of each class's videos, more than 0 and at most 1; at least one video per class is chosen.
    seed
        Of the choice. With the same seed, a larger share contains every smaller one.

    Raises
    ------
    ConfigError
        If the share is out of range.
    DatasetError
        If the videos have no classes.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"--labels must be more than 0 and at most 100%, not {fraction:.3%}")
    classes = np.array([video.class_index for video in shards.videos], np.int64)
    if not (classes >= 0).any():
        raise DatasetError(
            f"the videos in {shards.paths[0]} have no classes, which fine-tuning needs: label class folders"
        )
    chosen = choose_videos(classes, fraction, seed)
    videos = shards.clip_videos()
    clips = np.flatnonzero(chosen[videos])
    return LabelledClips(clips, classes[videos[clips]], int(chosen.sum()))


def choose_videos(classes: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return a stratified subset of videos as a mask, (V,) bool; see `label_clips` for the parameters."""
    chosen = np.zeros(len(classes), bool)
    for number in np.unique(classes[classes >= 0]):
        order = np.random.default_rng([seed, int(number)]).permutation(np.flatnonzero(classes == number))
        count = math.ceil(fraction * len(order) - 1e-9)  # 0.07 * 100 is 7 and a little
        chosen[order[: max(count, 1)]] = True
    return chosen


def failed_videos(shards: ShardSet) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the paths of the videos without clips, and the class of each.

    Shards do not record these classes. A failed video gets the class of the other videos in its folder; if
    there are none, the class with the folder's name; otherwise -1.
    """
    with_clips = {video.path for video in shards.videos}
    classes: dict[str, set[int]] = {}
    for video in shards.videos:
        classes.setdefault(os.path.dirname(video.path), set()).add(video.class_index)  # noqa: PTH120 - a text
    failed = tuple(sorted({failure.video for failure in shards.failures} - with_clips))
    numbers = []
    for folder in (os.path.dirname(path) for path in failed):  # noqa: PTH120
        known = classes.get(folder) or {*match_names([os.path.basename(folder)], shards.classes)}  # noqa: PTH119
        numbers.append(next(iter(known)) if len(known) == 1 else -1)
    return failed, np.array(numbers, np.int64)
