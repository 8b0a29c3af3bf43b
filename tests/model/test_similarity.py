"""Nearest rows by hand."""

from __future__ import annotations

import numpy as np

from mas_train.model.similarity import nearest_rows, normalise_rows


def test_the_nearest_rows_by_hand() -> None:
    gallery = np.array([[0, 1], [1, 0], [2, 0.1], [-1, 0]], float)
    similarity = np.array([[1, 0], [0, -1]]) @ normalise_rows(gallery).T
    assert nearest_rows(similarity, 3).tolist() == [[1, 2, 0], [1, 3, 2]]  # of equally near ones the earlier
    assert nearest_rows(similarity, 9).shape == (2, 4)
    assert nearest_rows(similarity, 2, left_out=[1, 3]).tolist() == [[2, 0], [1, 2]]
    assert normalise_rows(np.array([[3.0, 4], [0, 0]])).tolist() == [[0.6, 0.8], [0, 0]]
