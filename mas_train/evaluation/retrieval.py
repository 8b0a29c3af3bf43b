"""Nearest-neighbour retrieval (journal version of the paper, T-PAMI 2021; Xu et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.schema import CLIP_FRAMES
from mas_labels.shards import ShardSet, match_names
from mas_train.data.class_match import match_classes
from mas_train.data.leakage import find_leaks
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.figures import NeighbourRow, Thumbnail, draw_thumbnails
from mas_train.evaluation.protocol import Evaluation, make_result, shards_of, with_classes
from mas_train.evaluation.results import Result
from mas_train.weights.load import Weights

NEIGHBOURS: Final = (1, 5, 10, 20, 50)
"""Numbers of nearest videos that are looked at."""
QUERY_BLOCK: Final = 512
"""Test videos that are compared at a time."""


def normalise_rows(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return features (V, D) with each row of length 1 (L2); a row of zeros stays one."""
    features = np.asarray(features, np.float64)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1.0)


def retrieval_accuracy(
    gallery: NDArray[np.floating],
    gallery_classes: NDArray[np.integer],
    queries: NDArray[np.floating],
    query_classes: NDArray[np.integer],
    failed_queries: int = 0,
) -> dict[int, float]:
    """Share of test videos with a training video of their class among their k nearest by cosine.

    Parameters
    ----------
    gallery, gallery_classes
        (G, D) features and (G,) classes of the training videos.
    queries, query_classes
        (Q, D) and (Q,), of the test videos.
    failed_queries
        Test videos without features; they are counted as misses.

    Returns
    -------
    Share for each k of `NEIGHBOURS`; where there are fewer than k training videos, all are looked at.

    Raises
    ------
    InputError
        A shape is wrong, a feature is not finite, or there is nothing to compare.

    Notes
    -----
    Of equally near videos the one earlier in the gallery counts as nearer.
    """
    gallery, queries = np.asarray(gallery), np.asarray(queries)
    if gallery.ndim != 2 or queries.ndim != 2 or gallery.shape[1] != queries.shape[1]:
        raise InputError(f"expected features (G, D) and (Q, D), found {gallery.shape} and {queries.shape}")
    if gallery_classes.shape != gallery.shape[:1] or query_classes.shape != queries.shape[:1]:
        raise InputError("expected one class a video, found other numbers of classes and features")
    if not len(gallery) or not len(queries):
        raise InputError(f"expected training and test videos, found {len(gallery)} and {len(queries)}")
    if not (np.isfinite(gallery).all() and np.isfinite(queries).all()):
        raise InputError("expected finite features, found others: the model has diverged")
    gallery = normalise_rows(gallery)
    hits = dict.fromkeys(NEIGHBOURS, 0)
    for start in range(0, len(queries), QUERY_BLOCK):
        block = slice(start, start + QUERY_BLOCK)
        similarity = normalise_rows(queries[block]) @ gallery.T  # (q, G)
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : max(NEIGHBOURS)]
        same = gallery_classes[nearest] == query_classes[block, None]
        for k in NEIGHBOURS:
            hits[k] += int(same[:, :k].any(axis=1).sum())
    return {k: count / (len(queries) + failed_queries) for k, count in hits.items()}


def evaluate_retrieval(evaluation: Evaluation, gallery: ShardSet, queries: ShardSet) -> Result:
    """Nearest-neighbour retrieval: test videos (`queries`) look for training videos (`gallery`).

    Draws `neighbours.png`: a few test videos, and the training videos nearest to them.

    Raises
    ------
    DatasetError
        If there are no clips or classes, or the two have no class in common.
    """
    match = match_classes(gallery.classes, queries)
    shards_of(queries)  # refuses before the work
    leaks = find_leaks(gallery, queries)

    def measure(weights: Weights) -> dict[str, float]:
        train = evaluation.features(weights, gallery)
        test = evaluation.features(weights, queries).in_classes(match)
        of_train, of_test = with_classes(train), with_classes(test)
        shares = retrieval_accuracy(
            train.values[of_train],
            train.classes[of_train],
            test.values[of_test],
            test.classes[of_test],
            len(test.failed),
        )
        return {f"top-{k}": share for k, share in shares.items()}

    figures = measure(evaluation.weights)
    test = evaluation.features(evaluation.weights, queries)
    train = evaluation.features(evaluation.weights, gallery)
    draw_neighbours(train, gallery, test, queries, evaluation.out / "neighbours.png")
    random = evaluation.random_figures(measure)
    details = {
        "features": evaluation.kind,
        "gallery_clips": len(gallery),
        "leaks": leaks,
        "left_out": match.left_out,
        "incomplete": [str(folder) for folder in gallery.incomplete],
    }
    return make_result(evaluation, "retrieval", queries, test.in_classes(match), figures, random, details)


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
