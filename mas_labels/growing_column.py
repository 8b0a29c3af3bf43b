"""A data set that grows while it is written, a whole chunk at a time."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


class GrowingColumn:
    """Rows gather in memory until a chunk is full, so that each is compressed and written once.

    Parameters
    ----------
    dataset
        Empty, in chunks that are as wide as its rows; its first axis can grow.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._chunk_rows: int = dataset.chunks[0]
        self._waiting: list[NDArray[Any]] = []
        self._waiting_rows = 0
        self.dtype: np.dtype[Any] = dataset.dtype

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows of the data set's type, which must not change afterwards."""
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        if self._waiting_rows >= self._chunk_rows:
            self._write(self._waiting_rows // self._chunk_rows * self._chunk_rows)

    def finish(self) -> None:
        """Write the last chunk, which may not be full."""
        self._write(self._waiting_rows)

    def _write(self, count: int) -> None:
        """Write the first `count` of the rows that wait."""
        if not count:
            return
        rows = np.concatenate(self._waiting)
        before = self._dataset.shape[0]
        self._dataset.resize(before + count, axis=0)
        self._dataset[before:] = rows[:count]
        self._dataset.flush()  # or it waits for whoever still holds a view of our frames
        self._waiting = [rows[count:].copy()] if count < len(rows) else []
        self._waiting_rows = len(rows) - count
