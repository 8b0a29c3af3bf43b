from __future__ import annotations

import numpy as np
import pytest
from helpers.brute_force import blocks_of_patterns

import mas_labels
from mas_labels.labels.patterns import BLOCK_SLICES, block_masks, block_pixels, mirrored_blocks
from mas_labels.schema import BLOCKS


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
def test_masks_are_the_blocks_in_order(diagonals):
    expected = blocks_of_patterns(diagonals == "shared")
    for name, masks in zip(BLOCKS, expected, strict=True):
        np.testing.assert_array_equal(block_masks(diagonals)[BLOCK_SLICES[name]], masks)


def test_shared_diagonals_belong_to_both_neighbours():
    assert block_pixels("shared")[BLOCK_SLICES["triangles"]].tolist() == [1596] * 8
    assert block_pixels("partition").sum() == 3 * 112 * 112


@pytest.mark.parametrize("diagonals", ["partition", "shared"])
def test_mirrored_blocks_are_the_blocks_of_the_mirrored_view(diagonals):
    masks = block_masks(diagonals)
    as_they_are, mirrored = mirrored_blocks()
    assert as_they_are.tolist() == list(range(28))
    np.testing.assert_array_equal(masks[mirrored], masks[:, :, ::-1])
