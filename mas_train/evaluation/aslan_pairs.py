"""Reads the pairs of videos of ASLAN's protocol from its MATLAB files (paper, section 4.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError, unavailable
from mas_train.evaluation.svm import require_sklearn

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
