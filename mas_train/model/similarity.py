"""Similarity of features: their check, lengths of 1, and the nearest rows by cosine similarity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError


def require_finite_outputs(name: str, *outputs: NDArray[np.floating]) -> None:
    """Raise `InputError` if outputs of a network, ``"features"`` or ``"scores"``, are not finite."""
    if not all(np.isfinite(values).all() for values in outputs):
        raise InputError(
            f"expected finite {name}, found others: the model has diverged, train it again with a lower --lr"
        )


def normalise_rows(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return features (V, D) with each row scaled to length 1 (L2); a row of zeros stays zero."""
    features = np.asarray(features, np.float64)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1.0)


def nearest_rows(
    similarity: NDArray[np.floating], count: int, left_out: Sequence[int] | None = None
) -> NDArray[np.int64]:
    """Find the rows of a gallery that are nearest to each query.

    Parameters
    ----------
    similarity
        (Q, G), of each query with each row of the gallery.
    count
        Number of rows to find for each query.
    left_out
        A row of the gallery for each query that is not found, such as the query itself; None: all may be.

    Returns
    -------
    (Q, n) int64, the nearest first, of equally near ones the earlier; n is `count`, or all where there are
    fewer.
    """
    order = np.argsort(-similarity, axis=1, kind="stable")
    if left_out is not None:
        others = order != np.asarray(left_out, np.int64)[:, None]
        order = order[others].reshape(len(order), -1)
    return order[:, :count]
