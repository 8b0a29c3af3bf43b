from __future__ import annotations

import numpy as np
import pytest

from mas_labels.geometry import Geometry
from mas_labels.labels.views import centre_view, view_table


def test_the_centre_view_is_first_and_views_are_unique():
    for stride in (1, 4, 8, 59):
        table = view_table(stride)
        assert table[0].tolist() == centre_view(128, 171, 112)[0].tolist() == [8, 29, 0]
        assert len(np.unique(table, axis=0)) == len(table)


@pytest.mark.parametrize(
    ("stride", "mirrored", "views"), [(8, True, 50), (8, False, 25), (1, True, 2040), (59, True, 6)]
)
def test_number_of_views(stride, mirrored, views):
    """17 x 60 crops at stride 1 including the centre; 3 x 8 at stride 8 and the centre."""
    assert len(view_table(stride, mirrored)) == views


def test_the_grid_by_hand():
    assert view_table(59).tolist() == [[8, 29, 0], [8, 29, 1], [0, 0, 0], [0, 0, 1], [0, 59, 0], [0, 59, 1]]


def test_the_grid_of_another_geometry_by_hand():
    geometry = Geometry(frame_rows=128, frame_cols=171, view_size=96, grid_block=32, ring_width=16)
    table = view_table(40, mirrored=False, geometry=geometry)
    assert table.tolist() == [[16, 37, 0], [0, 0, 0], [0, 40, 0]]
    tall = Geometry(frame_rows=256, frame_cols=224, view_size=224, grid_block=56, ring_width=28)
    assert view_table(16, mirrored=False, geometry=tall).tolist() == [[16, 0, 0], [0, 0, 0], [32, 0, 0]]
