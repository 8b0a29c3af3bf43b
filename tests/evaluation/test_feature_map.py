"""The map of features: principal axes by hand and against an eigendecomposition; pictures of any classes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mas_labels.errors import InputError
from mas_train.evaluation.feature_map import MARKERS, draw_map, project


def test_axes_by_hand() -> None:
    """Distances of 3 and 1 from the mean along the diagonals of a plane, so 90 % and 10 % of the variance."""
    along, across = np.array([-1, -1, 0]) / np.sqrt(2), np.array([1, -1, 0]) / np.sqrt(2)
    rows = np.array([5, 6, 7]) + np.array([3 * along, -3 * along, across, -across])
    places, shares = project(rows)
    np.testing.assert_allclose(shares, [0.9, 0.1])
    np.testing.assert_allclose(places, [[-3, 0], [3, 0], [0, 1], [0, -1]], atol=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(3, 30), st.integers(2, 30))
def test_axes_are_those_of_the_largest_variance_and_keep_their_signs(seed: int, rows: int, size: int) -> None:
    features = np.random.default_rng(seed).normal(size=(rows, size)) * np.arange(1, size + 1)
    places, shares = project(features)
    variances = np.linalg.eigvalsh(np.cov(features.T))[::-1]
    np.testing.assert_allclose(places.var(axis=0, ddof=1), variances[:2], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(shares, variances[:2] / variances.sum(), rtol=1e-6, atol=1e-9)
    order = np.random.default_rng(seed).permutation(rows)
    np.testing.assert_allclose(project(features[order]).places, places[order], atol=1e-6)


def test_features_that_do_not_vary_are_at_one_place_and_diverged_ones_are_refused() -> None:
    for rows in (np.ones((1, 5)), np.full((4, 3), 2.0), np.ones((3, 1))):
        places, shares = project(rows)
        assert shares == (0, 0) and (places == 0).all() and places.shape == (len(rows), 2)
    with pytest.raises(InputError, match="diverged"):
        project(np.array([[np.nan, 1]]))
    with pytest.raises(InputError, match=r"expected features \(V, D\), found \(0, 3\)"):
        project(np.zeros((0, 3)))


def test_maps_of_any_classes_are_drawn(tmp_path: Path) -> None:
    hostile = ["$\\frac_", "_hidden", "a\nb", "\u6f22\u5b57", "x" * 300, "\udcff"]
    many = [f"class {number}" for number in range(2 * len(MARKERS))]
    for name, classes in (("hostile", hostile), ("many", [*many, None]), ("none", [None] * 3)):
        features = np.random.default_rng(0).normal(size=(len(classes), 7))
        draw_map(features, classes, 9 * len(classes), tmp_path / f"{name}.png")
        assert cv2.imread(str(tmp_path / f"{name}.png")).std() > 10
        assert f"of {9 * len(classes)} videos, evenly spread" in (tmp_path / f"{name}.png").read_text(
            "latin-1"
        )
