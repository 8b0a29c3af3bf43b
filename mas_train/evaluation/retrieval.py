"""Nearest-neighbour retrieval (journal version of the paper, T-PAMI 2021; Xu et al., CVPR 2019).

Features of training and test videos, the nearest training videos of each test video by cosine similarity, and
the share of test videos with one of their own class among the k nearest.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.shards import ShardSet, match_names, spread_evenly
from mas_train.data.class_match import match_classes
from mas_train.data.leakage import find_shard_leaks
from mas_train.evaluation.features import VideoFeatures, normalise_rows
from mas_train.evaluation.protocol import Evaluation, dataset_and_split, has_class, make_result
from mas_train.evaluation.results import Result
from mas_train.runtime.figures import make_figure, save_figure

NEIGHBOURS: Final = (1, 5, 10, 20, 50)
"""The values of k."""
QUERY_BLOCK: Final = 512
"""Number of test videos that are compared at a time."""
DRAWN_QUERIES: Final = 6
"""Number of test videos in the picture, evenly spread over all."""
DRAWN_NEIGHBOURS: Final = 5
"""Number of training videos next to each."""


def retrieval_accuracy(
    gallery: NDArray[np.floating],
    gallery_classes: NDArray[np.integer],
    queries: NDArray[np.floating],
    query_classes: NDArray[np.integer],
    failed_queries: int = 0,
) -> dict[int, float]:
    """Return the share of test videos with a training video of their class among their k nearest by cosine.

    Parameters
    ----------
    gallery, gallery_classes
        (G, D) features and (G,) classes of the training videos.
    queries, query_classes
        (Q, D) features and (Q,) classes of the test videos.
    failed_queries
        Number of test videos without features; they count as misses.

    Returns
    -------
    Share for each k of `NEIGHBOURS`; where there are fewer than k training videos, all count.

    Raises
    ------
    InputError
        If a shape is wrong, a feature is not finite, or there is nothing to compare.

    Notes
    -----
    Of equally near videos the one earlier in the gallery counts as nearer.
    """
    gallery, queries = np.asarray(gallery), np.asarray(queries)
    _check_retrieval(gallery, gallery_classes, queries, query_classes)
    gallery = normalise_rows(gallery)
    hits = dict.fromkeys(NEIGHBOURS, 0)
    for start in range(0, len(queries), QUERY_BLOCK):
        block = slice(start, start + QUERY_BLOCK)
        nearest = _nearest_rows(gallery, queries[block], max(NEIGHBOURS))
        same_class = gallery_classes[nearest] == query_classes[block, None]
        for k in NEIGHBOURS:
            hits[k] += int(same_class[:, :k].any(axis=1).sum())
    return {k: count / (len(queries) + failed_queries) for k, count in hits.items()}


def _check_retrieval(
    gallery: NDArray[np.floating],
    gallery_classes: NDArray[np.integer],
    queries: NDArray[np.floating],
    query_classes: NDArray[np.integer],
) -> None:
    """Refuse arrays that cannot be compared."""
    if gallery.ndim != 2 or queries.ndim != 2 or gallery.shape[1] != queries.shape[1]:
        raise InputError(f"expected features (G, D) and (Q, D), found {gallery.shape} and {queries.shape}")
    if gallery_classes.shape != gallery.shape[:1] or query_classes.shape != queries.shape[:1]:
        raise InputError("expected one class per video, found other numbers of classes and features")
    if not len(gallery) or not len(queries):
        raise InputError(f"expected training and test videos, found {len(gallery)} and {len(queries)}")
    if not (np.isfinite(gallery).all() and np.isfinite(queries).all()):
        raise InputError("expected finite features, found others: the model has diverged")


def nearest_videos(
    gallery: NDArray[np.floating], queries: NDArray[np.floating], count: int
) -> NDArray[np.int64]:
    """Find the nearest rows by cosine similarity.

    Parameters
    ----------
    gallery
        (G, D) features.
    queries
        (Q, D) features.
    count
        Number of rows to find for each query.

    Returns
    -------
    (Q, min(count, G)) int64, rows of `gallery`, the nearest first; of equally near ones the earlier.
    """
    return _nearest_rows(normalise_rows(gallery), queries, count)


def _nearest_rows(
    gallery: NDArray[np.float64], queries: NDArray[np.floating], count: int
) -> NDArray[np.int64]:
    """Find the nearest rows of a gallery whose rows have length 1."""
    similarity = normalise_rows(queries) @ gallery.T  # (Q, G)
    return np.argsort(-similarity, axis=1, kind="stable")[:, :count]


class Thumbnail(NamedTuple):
    """One video in the picture of neighbours."""

    frame: NDArray[np.uint8]
    """(rows, cols, 3)."""
    title: str
    is_hit: bool | None
    """True if the video is of the query's class; None for the query itself."""


class NeighbourRow(NamedTuple):
    """A test video and its neighbours, the nearest first."""

    query: Thumbnail
    neighbours: Sequence[Thumbnail]


def draw_neighbours(
    train: VideoFeatures, gallery: ShardSet, test: VideoFeatures, queries: ShardSet, path: Path
) -> None:
    """Draw a few test videos and the training videos nearest to them, one row each, as a PNG file.

    Raises the errors of `mas_train.runtime.figures.make_figure` and `save_figure`.

    Parameters
    ----------
    train, gallery
        Features of the training videos, and their shards.
    test, queries
        Features of the test videos, and their shards.
    """
    drawn = spread_evenly(len(test.paths), DRAWN_QUERIES, ends=False)
    nearest = nearest_videos(train.values, test.values[drawn], DRAWN_NEIGHBOURS)
    test_frames = _middle_frames(queries, {test.paths[row] for row in drawn})
    train_frames = _middle_frames(gallery, {train.paths[row] for row in nearest.ravel()})
    gallery_class = [*match_names(queries.classes, gallery.classes), -1]  # the last: of no class
    rows = []
    for row, neighbours in zip(drawn, nearest, strict=True):
        thumbnails = []
        for neighbour in neighbours:
            is_hit = 0 <= train.classes[neighbour] == gallery_class[test.classes[row]]
            name = _class_name(gallery, train.classes[neighbour])
            thumbnails.append(Thumbnail(train_frames[train.paths[neighbour]], name, is_hit))
        query = Thumbnail(test_frames[test.paths[row]], _class_name(queries, test.classes[row]), None)
        rows.append(NeighbourRow(query, thumbnails))
    _draw_thumbnails(rows, path)


def _middle_frames(shards: ShardSet, paths: Set[str]) -> dict[str, NDArray[np.uint8]]:
    """Read the middle frame of the first clip of each video: (rows, cols, 3) uint8, by path."""
    frames: dict[str, NDArray[np.uint8]] = {}
    for number in range(len(shards.paths)):
        shard = shards.shard(number)
        names = shard.read_texts("videos/path")
        if not paths & set(names):
            continue
        for clip, row in enumerate(shard.read("clips/video").tolist()):
            if names[row] in paths and names[row] not in frames:
                of_clip = shard.read_frames(clip)
                frames[names[row]] = of_clip[len(of_clip) // 2]
    return frames


def _class_name(shards: ShardSet, number: int) -> str:
    return shards.classes[number] if number >= 0 else "no class"


def _draw_thumbnails(rows: Sequence[NeighbourRow], path: Path) -> None:
    """Draw one row per test video; neighbours of another class are paler and have a cross.

    The cross shows the difference without colours, too.
    """
    columns = 1 + max(len(row.neighbours) for row in rows)
    figure = make_figure((1.75 * columns, 1.62 * len(rows)))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, axes in zip(rows, grid, strict=True):
        for panel in axes:
            panel.set_axis_off()
        for panel, thumbnail in zip(axes, (row.query, *row.neighbours), strict=False):
            mark = {None: "", True: "\u2713 ", False: "\u2717 "}[thumbnail.is_hit]
            panel.imshow(thumbnail.frame, alpha=0.6 if thumbnail.is_hit is False else 1.0)
            weight = "bold" if thumbnail.is_hit is None else "normal"
            title = f"{mark}{thumbnail.title[:22]}"
            panel.set_title(title, fontsize=8, fontweight=weight, parse_math=False, pad=3)
    save_figure(figure, path)


def evaluate_retrieval(evaluation: Evaluation, gallery: ShardSet, queries: ShardSet) -> Result:
    """Measure how often a test video finds a training video of its class; draws `neighbours.png`.

    Parameters
    ----------
    evaluation
        The weights, and where to write.
    gallery
        The training videos, which are retrieved.
    queries
        The test videos, which are the queries.

    Raises
    ------
    DatasetError
        If there are no clips or classes, or the two have no class in common.
    """
    match = match_classes(gallery.classes, queries)
    dataset_and_split(queries)  # refuses mixed shards before any work
    evaluation.require_same_length(gallery, queries)
    leaks = find_shard_leaks(gallery, queries)
    train = evaluation.features(evaluation.weights, gallery)
    test = evaluation.features(evaluation.weights, queries)
    tested = test.in_classes(match)
    figures = _measure_retrieval(train, tested)
    draw_neighbours(train, gallery, test, queries, evaluation.out / "neighbours.png")
    random = evaluation.random_figures(
        lambda weights: _measure_retrieval(
            evaluation.features(weights, gallery), evaluation.features(weights, queries).in_classes(match)
        )
    )
    details = {
        "features": evaluation.feature_kind,
        "gallery_clips": len(gallery),
        "leaks": leaks,
        "left_out": match.left_out,
        "incomplete": [str(folder) for folder in gallery.incomplete],
    }
    return make_result(evaluation, "retrieval", queries, tested, figures, random, details)


def _measure_retrieval(train: VideoFeatures, test: VideoFeatures) -> dict[str, float]:
    """Return top-k retrieval accuracy of videos whose classes have the same numbers."""
    in_gallery, in_test = has_class(train), has_class(test)
    shares = retrieval_accuracy(
        train.values[in_gallery],
        train.classes[in_gallery],
        test.values[in_test],
        test.classes[in_test],
        len(test.failed),
    )
    return {f"top-{k}": share for k, share in shares.items()}
