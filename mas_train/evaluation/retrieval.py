"""Nearest-neighbour retrieval (journal version of the paper, T-PAMI 2021; Xu et al., CVPR 2019).

Features of training and test videos, the nearest training videos of each test video by cosine similarity, and
the share of test videos with one of their own class among the k nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.shards import ShardSet, match_names, spread_evenly
from mas_train.data.class_match import match_classes
from mas_train.data.leakage import find_shard_leaks
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.protocol import Evaluation, Measured, dataset_and_split, has_class, make_result
from mas_train.evaluation.results import Result
from mas_train.inference.neighbours import DRAWN_QUERIES, PicturedVideos, draw_neighbours, read_middle_frames
from mas_train.model.similarity import nearest_rows, normalise_rows, require_finite_outputs

NEIGHBOURS: Final = (1, 5, 10, 20, 50)
"""The values of k."""
QUERY_BLOCK: Final = 512
"""Number of test videos that are compared at a time."""
PRECISION_AT: Final = 10
"""Number of neighbours whose share with the class of the test video is the precision."""


def retrieved_classes(
    gallery: NDArray[np.floating],
    gallery_classes: NDArray[np.integer],
    queries: NDArray[np.floating],
    query_classes: NDArray[np.integer],
) -> dict[str, NDArray[np.bool_]]:
    """Find which test videos have training videos of their class among their nearest by cosine.

    Parameters
    ----------
    gallery, gallery_classes
        (G, D) features and (G,) classes of the training videos.
    queries, query_classes
        (Q, D) features and (Q,) classes of the test videos.

    Returns
    -------
    For each k of `NEIGHBOURS` that is less than G, and for 1 in any case: ``"top-<k>"``, (Q,) bool, whether
    one of the k nearest has the class. The G nearest are all videos, and say nothing. If 10 is less than G:
    ``"precision at 10"``, (10, Q) bool, whether each of the ten nearest has it.

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
    ks = [k for k in NEIGHBOURS if k == 1 or k < len(gallery)]
    blocks = []
    for start in range(0, len(queries), QUERY_BLOCK):
        block = slice(start, start + QUERY_BLOCK)
        similarity = normalise_rows(queries[block]) @ gallery.T
        nearest = nearest_rows(similarity, max(ks))
        blocks.append(gallery_classes[nearest] == query_classes[block, None])
    has_class_of_query = np.concatenate(blocks)  # (Q, largest k), the nearest first
    right: dict[str, NDArray[np.bool_]] = {f"top-{k}": np.any(has_class_of_query[:, :k], axis=1) for k in ks}
    if PRECISION_AT in ks:
        right[f"precision at {PRECISION_AT}"] = has_class_of_query[:, :PRECISION_AT].T
    return right


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
    require_finite_outputs("features", gallery, queries)


def draw_retrieved(
    train: VideoFeatures, gallery: ShardSet, test: VideoFeatures, queries: ShardSet, path: Path
) -> None:
    """Draw a few test videos and the training videos nearest to them, as a PNG file.

    Raises the errors of `mas_train.inference.neighbours.draw_neighbours`.

    Parameters
    ----------
    train, gallery
        Features of the training videos, and their shards.
    test, queries
        Features of the test videos, and their shards.
    """
    numbers = match_names(queries.classes, gallery.classes)
    spelled = [
        name if number < 0 else gallery.classes[number]
        for name, number in zip(queries.classes, numbers, strict=True)
    ]
    draw_neighbours(
        _pictured(train, gallery, gallery.classes),
        _pictured(test, queries, spelled),
        spread_evenly(len(test.paths), DRAWN_QUERIES, ends=False).tolist(),
        path,
    )


def _pictured(features: VideoFeatures, shards: ShardSet, classes: Sequence[str]) -> PicturedVideos:
    """Return videos as the picture of neighbours needs them."""
    names = [classes[number] if number >= 0 else None for number in features.classes]
    return PicturedVideos(features.paths, features.values, names, partial(read_middle_frames, shards))


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
    measured = _measure_retrieval(train, tested)
    draw_retrieved(train, gallery, test, queries, evaluation.out / "neighbours.png")
    random = evaluation.random_baseline(
        lambda weights: _measure_retrieval(
            evaluation.features(weights, gallery), evaluation.features(weights, queries).in_classes(match)
        ),
        gallery,
    )
    details = {
        "features": evaluation.feature_kind,
        "gallery_clips": len(gallery),
        "gallery_videos": int(has_class(train).sum()),
        "left_out_ranks": [k for k in NEIGHBOURS if f"top-{k}" not in measured.right],
        "leaks": leaks,
        "left_out": match.left_out,
        "incomplete": [str(folder) for folder in gallery.incomplete],
    }
    return make_result(evaluation, "retrieval", queries, tested, measured, random, details)


def _measure_retrieval(train: VideoFeatures, test: VideoFeatures) -> Measured:
    """Measure retrieval of videos whose classes have the same numbers."""
    in_gallery, in_test = has_class(train), has_class(test)
    found = retrieved_classes(
        train.values[in_gallery], train.classes[in_gallery], test.values[in_test], test.classes[in_test]
    )
    failed = len(test.failed)
    return Measured(
        {name: np.pad(hits, [(0, 0)] * (hits.ndim - 1) + [(0, failed)]) for name, hits in found.items()}
    )
