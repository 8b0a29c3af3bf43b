"""The three patterns of the paper's figure 4, as maps of block numbers and as masks.

The geometry is data: one table of masks, 28 by default, serves all three patterns and both conventions, and
the blocks of a mirrored view are those of the view in another order.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.schema import PATTERNS


@cache
def block_slices(geometry: Geometry = DEFAULT_GEOMETRY) -> dict[str, slice]:
    """Return the indices of the blocks of each pattern in the list of all blocks."""
    ends = np.cumsum([geometry.blocks[name] for name in PATTERNS]).tolist()
    return {name: slice(end - geometry.blocks[name], end) for name, end in zip(PATTERNS, ends, strict=True)}


def block_count(geometry: Geometry = DEFAULT_GEOMETRY) -> int:
    """Return the number of blocks of all patterns: 28; as an index it stands for the whole view."""
    return sum(geometry.blocks.values())


def block_maps(geometry: Geometry = DEFAULT_GEOMETRY) -> dict[str, NDArray[np.uint8]]:
    """Return maps of the block number of each pixel of a view, for each pattern.

    Parameters
    ----------
    geometry
        Defines the sizes of view and blocks.

    Returns
    -------
    dict
        ``{"grid", "rings", "triangles"}``, each (view_size, view_size) uint8, by default (112, 112), numbered
        from 1 as in figure 4: the grid row by row, the rings from the centre outwards, the triangles from
        left to right, 1..4 in the top half and 5..8 in the bottom half. Every pixel is in exactly one block
        of each pattern.

    Notes
    -----
    The paper does not assign the pixels on a diagonal to a triangle. Here they belong to the one that touches
    the top or bottom side (2, 3, 6, 7), a rule that is invariant to mirroring.
    """
    size, side = geometry.view_size, geometry.grid_block
    row, col = np.indices((size, size))
    half = size // 2
    row_out = np.where(row < half, half - 1 - row, row - half)  # distance from the centre line, 0..half - 1
    col_out = np.where(col < half, half - 1 - col, col - half)
    grid = 1 + size // side * (row // side) + col // side
    rings = 1 + np.maximum(row_out, col_out) // geometry.ring_width
    touches_side = col_out > row_out
    in_half = np.where(col < half, np.where(touches_side, 1, 2), np.where(touches_side, 4, 3))
    triangles = in_half + 4 * (row >= half)
    maps = {"grid": grid, "rings": rings, "triangles": triangles}
    return {name: maps[name].astype(np.uint8) for name in PATTERNS}


def diagonal_map(size: int) -> NDArray[np.bool_]:
    """Return (size, size) bool: the pixels on the two diagonals of a view."""
    row, col = np.indices((size, size))
    return (row == col) | (row + col == size - 1)


@cache
def block_masks(diagonals: str, geometry: Geometry = DEFAULT_GEOMETRY) -> NDArray[np.bool_]:
    """Return (blocks, view_size, view_size) bool: the pixels of each block of grid, rings and triangles.

    Parameters
    ----------
    diagonals
        ``"partition"``: every pixel is in one block of each pattern. ``"shared"``: pixels on a diagonal are
        in both triangles that touch there.
    geometry
        Defines the sizes of view and blocks.
    """
    maps = block_maps(geometry)
    masks = np.concatenate(
        [maps[name] == np.arange(1, geometry.blocks[name] + 1)[:, None, None] for name in PATTERNS], axis=0
    )
    if diagonals == "shared":
        triangles, diagonal = masks[block_slices(geometry)["triangles"]], diagonal_map(geometry.view_size)
        for block, neighbour in ((2, 1), (3, 4), (6, 5), (7, 8)):
            triangles[neighbour - 1] |= triangles[block - 1] & diagonal
    masks.setflags(write=False)
    return masks


@cache
def block_pixels(diagonals: str, geometry: Geometry = DEFAULT_GEOMETRY) -> NDArray[np.int64]:
    """Return (blocks,) int64: the number of pixels of each block."""
    return block_masks(diagonals, geometry).sum(axis=(1, 2))


@cache
def mirrored_blocks(geometry: Geometry = DEFAULT_GEOMETRY) -> NDArray[np.intp]:
    """Return (2, blocks) intp: the view's own blocks (row 0), and at each block of its mirror (row 1)."""
    mirrored = np.arange(block_count(geometry))
    slices = block_slices(geometry)
    for name, numbers in block_maps(geometry).items():
        _, pixel = np.unique(numbers, return_index=True)  # one of each block
        mirrored[slices[name]] = slices[name].start + numbers[:, ::-1].ravel()[pixel] - 1
    return np.array([np.arange(len(mirrored)), mirrored])
