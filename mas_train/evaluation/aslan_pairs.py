"""Pairs of videos of ASLAN's protocol (paper, section 4.4): read from its files; their 12 similarities."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError, InputError, unavailable
from mas_train.evaluation.linear import require_sklearn

N_SIMILARITIES: Final = 12
MIN_PROBABILITY: Final = 1e-10
"""Smaller values are replaced by it inside a logarithm."""
VIEW2_VARIABLE: Final = "action_splits_pairs"
"""Name of the array in View2.mat, (600, 5, 10): id 1, id 2, same, action 1, action 2."""


class Pairs(NamedTuple):
    """Pairs of samples that show the same action or not; each split is one fold."""

    first: NDArray[np.int64]
    """(P,), number of the first sample."""
    second: NDArray[np.int64]
    """(P,), number of the second sample."""
    same: NDArray[np.bool_]
    """(P,), true if both show the same action."""
    split: NDArray[np.int64]
    """(P,), number of each pair's split, from 0."""


def read_view2(path: Path) -> Pairs:
    """Read the ten splits of `View2.mat`.

    Raises
    ------
    DatasetError
        If the file cannot be read, or holds something else.
    MissingDependencyError
        If SciPy, which comes with scikit-learn, is not installed.
    """
    table = _read_mat(path).get(VIEW2_VARIABLE)
    if table is None or table.ndim != 3 or table.shape[1] != 5:
        found = "nothing" if table is None else f"shape {table.shape}"
        raise DatasetError(
            f"expected {VIEW2_VARIABLE} of shape (600, 5, 10) in {path}, found {found}: give View2.mat"
        )
    rows = np.concatenate([table[:, :, split] for split in range(table.shape[2])])
    return _to_pairs(rows, np.repeat(np.arange(table.shape[2]), len(table)), path)


def read_view1(train_path: Path, test_path: Path) -> Pairs:
    """Read View 1, for development: split 0 is `train_pairs.mat`, split 1 `test_pairs.mat`.

    Raises
    ------
    DatasetError
        If a file cannot be read, or holds something else.
    MissingDependencyError
        If SciPy, which comes with scikit-learn, is not installed.
    """
    tables = []
    for path in (train_path, test_path):
        candidates = [array for array in _read_mat(path).values() if array.ndim == 2 and array.shape[1] == 5]
        if len(candidates) != 1:
            raise DatasetError(f"expected one table of 5 columns in {path}, found {len(candidates)}")
        tables.append(candidates[0])
    return _to_pairs(np.concatenate(tables), np.repeat([0, 1], [len(table) for table in tables]), test_path)


def _read_mat(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read the arrays of a MATLAB file."""
    require_sklearn()
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except OSError as error:
        raise unavailable(path, error) from error
    except (ValueError, TypeError, NotImplementedError) as error:
        raise DatasetError(f"expected a MATLAB file at {path}, found: {error}") from error
    return {name: np.asarray(value) for name, value in content.items() if not name.startswith("__")}


def _to_pairs(rows: NDArray[np.float64], split: NDArray[np.int64], path: Path) -> Pairs:
    """Convert rows (P, 5) of a table, as in View2.mat, to pairs."""
    if not np.isin(rows[:, 2], (0, 1)).all():
        raise DatasetError(f"expected 0 or 1 (same) in the third column of {path}, found others")
    numbers = rows.astype(np.int64)
    return Pairs(numbers[:, 0], numbers[:, 1], numbers[:, 2] == 1, split)


def similarities(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the 12 (dis)similarities of pairs of vectors, in the order of the reference's table 3.

    Parameters
    ----------
    first, second
        (P, D), non-negative: rows i of both are one pair.

    Returns
    -------
    (P, 12) float64.

    Raises
    ------
    InputError
        If a shape is wrong, or a value is negative or not finite.

    Notes
    -----
    Decided here, where the reference leaves it open:

    - A term 0 / 0 counts as 0.
    - For the last four the vectors are divided by their sums, because number 10 is a divergence of
      distributions; the reference says only "normalised". A vector of zeros stays zero.
    - In number 10, values below 1e-10 are replaced by 1e-10 inside the logarithm only, so that 0 log 0 is 0.
    """
    x1, x2 = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if x1.ndim != 2 or x1.shape != x2.shape:
        raise InputError(f"expected two arrays (P, D), found {x1.shape} and {x2.shape}")
    if not (
        np.isfinite(x1).all() and np.isfinite(x2).all() and min(x1.min(initial=0), x2.min(initial=0)) >= 0
    ):
        raise InputError("expected finite, non-negative features, found others: take them after the ReLU")
    p1, p2 = _to_sum_1(x1), _to_sum_1(x2)
    dot = (x1 * x2).sum(axis=1)
    log_ratio = np.log(np.maximum(p1, MIN_PROBABILITY) / np.maximum(p2, MIN_PROBABILITY))
    columns = (
        dot,
        np.sqrt(dot),
        np.sqrt(np.sqrt(x1 * x2).sum(axis=1)),
        np.sqrt(_divide(x1 * x2, x1 + x2).sum(axis=1)),
        _divide(dot, np.linalg.norm(x1, axis=1) * np.linalg.norm(x2, axis=1)),
        np.sqrt(_divide((x1 - x2) ** 2, x1 + x2).sum(axis=1)),
        np.abs(x1 - x2).sum(axis=1),
        np.sqrt(((np.sqrt(x1) - np.sqrt(x2)) ** 2).sum(axis=1)),
        np.sqrt(((p1 - p2) ** 2).sum(axis=1)),
        ((p1 - p2) * log_ratio).sum(axis=1) / 2,
        _divide(np.sqrt(np.maximum(p1, p2)), np.sqrt(p1 + p2)).sum(axis=1),
        _divide(np.minimum(p1, p2).sum(axis=1), p1.sum(axis=1) * p2.sum(axis=1)),
    )
    return np.stack(columns, axis=1)


def _divide(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide element by element; 0 / 0 gives 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _to_sum_1(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide each row by its sum; a row of zeros stays zero."""
    sums = vectors.sum(axis=1, keepdims=True)
    return _divide(vectors, np.broadcast_to(sums, vectors.shape))
