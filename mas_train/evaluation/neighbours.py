"""Retrieval to look at: a few test videos, and the training videos nearest to them."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.schema import CLIP_FRAMES
from mas_labels.shard import ShardSet, match_names
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.figures import NeighbourRow, Thumbnail, draw_thumbnails
from mas_train.evaluation.retrieval import normalise_rows

QUERIES: Final = 6
"""Test videos that are shown: evenly spread ones."""
NEAREST: Final = 5
"""Training videos beside each."""


def nearest_videos(
    gallery: NDArray[np.floating], queries: NDArray[np.floating], count: int
) -> NDArray[np.int64]:
    """Find the nearest rows by cosine.

    Parameters
    ----------
    gallery
        (G, D) features.
    queries
        (Q, D) features.
    count
        How many to find.

    Returns
    -------
    (Q, min(count, G)) int64, rows of `gallery`, the nearest first; of equally near ones the earlier.
    """
    similarity = normalise_rows(queries) @ normalise_rows(gallery).T
    return np.argsort(-similarity, axis=1, kind="stable")[:, :count]


def spread_evenly(count: int, most: int) -> NDArray[np.int64]:
    """Choose at most `most` of `count` places, evenly spread: (n,) int64, from the middle of equal parts."""
    chosen = min(count, most)
    return np.linspace(0, count - 1, 2 * chosen + 1)[1::2].round().astype(np.int64)


def draw_neighbours(
    train: VideoFeatures, gallery: ShardSet, test: VideoFeatures, queries: ShardSet, path: Path
) -> None:
    """Draw a few test videos and the training videos nearest to them, a row each, as a PNG file.

    Parameters
    ----------
    train, gallery
        Features of the training videos, and their shards.
    test, queries
        The same of the test videos.
    path
        The picture.

    Raises
    ------
    ConfigError
        The picture cannot be written.
    MissingDependencyError
        matplotlib is not installed.
    """
    asked = spread_evenly(len(test.paths), QUERIES)
    nearest = nearest_videos(train.values, test.values[asked], NEAREST)
    of_test = _middle_frames(queries, {test.paths[row] for row in asked})
    of_train = _middle_frames(gallery, {train.paths[row] for row in nearest.ravel()})
    numbers = [*match_names(queries.classes, gallery.classes), -1]  # the last: of no class
    rows = []
    for row, found in zip(asked, nearest, strict=True):
        name = _class_name(queries, test.classes[row])
        others = []
        for other in found:
            hit = 0 <= train.classes[other] == numbers[test.classes[row]]
            label = _class_name(gallery, train.classes[other])
            others.append(Thumbnail(of_train[train.paths[other]], label, hit))
        video = Thumbnail(of_test[test.paths[row]], name, None)
        rows.append(NeighbourRow(video, others))
    draw_thumbnails(rows, path)


def _class_name(shards: ShardSet, number: int) -> str:
    return shards.classes[number] if number >= 0 else "no class"


def _middle_frames(shards: ShardSet, paths: Set[str]) -> dict[str, NDArray[np.uint8]]:
    """Read for each video the middle frame of its first clip: (128, 171, 3) uint8."""
    frames: dict[str, NDArray[np.uint8]] = {}
    for number in range(len(shards.paths)):
        shard = shards.shard(number)
        names = shard.read_texts("videos/path")
        if not paths & set(names):
            continue
        for clip, row in enumerate(shard.read("clips/video").tolist()):
            if names[row] in paths and names[row] not in frames:
                frames[names[row]] = shard.read_frames(clip)[CLIP_FRAMES // 2]
    return frames
