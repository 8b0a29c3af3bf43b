from __future__ import annotations

import numpy as np
import pytest
from helpers.brute_force import blocks_of_patterns

import mas_labels
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.labels.patterns import block_masks, block_pixels, block_slices, mirrored_blocks

BLOCKS = DEFAULT_GEOMETRY.blocks
SIZES = ((112, 28, 14), (112, 14, 7), (96, 32, 16), (120, 40, 20), (84, 12, 7), (8, 8, 4))
"""View, block of the grid, ring, in pixels."""


def test_each_pixel_is_in_one_block_and_each_block_has_its_size():
    maps = mas_labels.block_maps()
    assert list(maps) == ["grid", "rings", "triangles"]
    for name, block_map in maps.items():
        assert block_map.shape == (112, 112)
        assert block_map.dtype == np.uint8
        assert set(np.unique(block_map)) == set(range(1, BLOCKS[name] + 1))
    assert (np.bincount(maps["grid"].ravel())[1:] == 28 * 28).all()
    assert np.bincount(maps["rings"].ravel())[1:].tolist() == [784, 2352, 3920, 5488]
    assert np.bincount(maps["triangles"].ravel())[1:].tolist() == [
        1540,
        1596,
        1596,
        1540,
        1540,
        1596,
        1596,
        1540,
    ]


def test_blocks_are_where_figure_4_shows_them():
    maps = mas_labels.block_maps()
    assert [maps["grid"][r, c] for r, c in ((0, 0), (0, 111), (30, 5), (111, 111))] == [1, 4, 5, 16]
    assert [maps["rings"][r, c] for r, c in ((55, 55), (41, 55), (27, 55), (0, 0))] == [1, 2, 3, 4]
    clockwise = ((40, 5), (5, 40), (5, 70), (40, 106), (70, 106), (106, 70), (106, 40), (70, 5))
    assert [maps["triangles"][r, c] for r, c in clockwise] == [1, 2, 3, 4, 8, 7, 6, 5]


def test_mirroring_a_pattern_only_renumbers_it():
    swaps = {"rings": [1, 2, 3, 4], "triangles": [4, 3, 2, 1, 8, 7, 6, 5]}
    swaps["grid"] = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13]
    for name, block_map in mas_labels.block_maps().items():
        renumbered = np.array([0, *swaps[name]])[block_map]
        np.testing.assert_array_equal(renumbered, block_map[:, ::-1])


@pytest.mark.parametrize("diagonals", ["partition", "shared"])
@pytest.mark.parametrize("sizes", SIZES)
def test_masks_are_the_blocks_in_order(diagonals, sizes):
    geometry = Geometry(16, 1, 128, 171, *sizes)
    expected = blocks_of_patterns(diagonals == "shared", sizes)
    slices = block_slices(geometry)
    assert list(slices) == ["grid", "rings", "triangles"]
    for name, masks in zip(slices, expected, strict=True):
        np.testing.assert_array_equal(block_masks(diagonals, geometry)[slices[name]], masks)


def test_shared_diagonals_belong_to_both_neighbours():
    assert block_pixels("shared")[block_slices()["triangles"]].tolist() == [1596] * 8
    assert block_pixels("partition").sum() == 3 * 112 * 112


@pytest.mark.parametrize("diagonals", ["partition", "shared"])
@pytest.mark.parametrize("sizes", SIZES)
def test_mirrored_blocks_are_the_blocks_of_the_mirrored_view(diagonals, sizes):
    geometry = Geometry(16, 1, 128, 171, *sizes)
    masks = block_masks(diagonals, geometry)
    as_they_are, mirrored = mirrored_blocks(geometry)
    assert as_they_are.tolist() == list(range(len(masks)))
    np.testing.assert_array_equal(masks[mirrored], masks[:, :, ::-1])
