"""The three patterns of the paper's figure 4, as maps of block numbers and as masks.

The geometry is data: one table of 28 masks serves all three patterns and both conventions, and the blocks of
a mirrored view are those of the view in another order.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.schema import BLOCKS, PATTERNS, VIEW_SIZE

BLOCK_SLICES: Final = {"grid": slice(0, 16), "rings": slice(16, 20), "triangles": slice(20, 28)}
"""Indices of the blocks of each pattern in the list of all blocks."""
ALL_BLOCKS: Final = sum(BLOCKS.values())
WHOLE_VIEW: Final = ALL_BLOCKS
"""Index that stands for the whole view instead of a block."""
RING_WIDTH: Final = VIEW_SIZE // 8
"""Width of each of the 4 rings, in pixels."""
GRID_SIDE: Final = VIEW_SIZE // 4
"""Side of each of the 16 blocks of the grid, in pixels."""


def block_maps() -> dict[str, NDArray[np.uint8]]:
    """Return maps of the block number of each pixel of a view, for each pattern.

    Returns
    -------
    dict
        ``{"grid", "rings", "triangles"}``, each (112, 112) uint8, numbered from 1 as in figure 4: the grid
        row by row, the rings from the centre outwards, the triangles from left to right, 1..4 in the top
        half and 5..8 in the bottom half. Every pixel is in exactly one block of each pattern.

    Notes
    -----
    The paper does not assign the pixels on a diagonal to a triangle. Here they belong to the one that touches
    the top or bottom side (2, 3, 6, 7), a rule that is invariant to mirroring.
    """
    row, col = np.indices((VIEW_SIZE, VIEW_SIZE))
    half = VIEW_SIZE // 2
    row_out = np.where(row < half, half - 1 - row, row - half)  # distance from the centre line, 0..55
    col_out = np.where(col < half, half - 1 - col, col - half)
    grid = 1 + 4 * (row // GRID_SIDE) + col // GRID_SIDE
    rings = 1 + np.maximum(row_out, col_out) // RING_WIDTH
    touches_side = col_out > row_out
    in_half = np.where(col < half, np.where(touches_side, 1, 2), np.where(touches_side, 4, 3))
    triangles = in_half + 4 * (row >= half)
    maps = {"grid": grid, "rings": rings, "triangles": triangles}
    return {name: maps[name].astype(np.uint8) for name in PATTERNS}


def diagonal_map() -> NDArray[np.bool_]:
    """Return (112, 112) bool: the pixels on the two diagonals."""
    row, col = np.indices((VIEW_SIZE, VIEW_SIZE))
    return (row == col) | (row + col == VIEW_SIZE - 1)


@cache
def block_masks(diagonals: str) -> NDArray[np.bool_]:
    """Return (28, 112, 112) bool: the pixels of each block of the grid, the rings and the triangles.

    Parameters
    ----------
    diagonals
        ``"partition"``: every pixel is in one block of each pattern. ``"shared"``: pixels on a diagonal are
        in both triangles that touch there.
    """
    maps = block_maps()
    masks = np.concatenate(
        [maps[name] == np.arange(1, BLOCKS[name] + 1)[:, None, None] for name in PATTERNS], axis=0
    )
    if diagonals == "shared":
        triangles = masks[BLOCK_SLICES["triangles"]]
        for block, neighbour in ((2, 1), (3, 4), (6, 5), (7, 8)):
            triangles[neighbour - 1] |= triangles[block - 1] & diagonal_map()
    masks.setflags(write=False)
    return masks


@cache
def block_pixels(diagonals: str) -> NDArray[np.int64]:
    """Return (28,) int64: the number of pixels of each block."""
    return block_masks(diagonals).sum(axis=(1, 2))


@cache
def mirrored_blocks() -> NDArray[np.intp]:
    """Return (2, 28) intp: the view's own blocks (row 0), and at each block of its mirror image (row 1)."""
    masks = block_masks("partition")
    mirrored = masks[:, :, ::-1]
    positions = [int(np.argmax((masks == mask).all(axis=(1, 2)))) for mask in mirrored]
    return np.array([np.arange(ALL_BLOCKS), positions])
