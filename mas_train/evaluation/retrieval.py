"""Nearest-neighbour retrieval (journal version of the paper, T-PAMI 2021; Xu et al., CVPR 2019)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError

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
