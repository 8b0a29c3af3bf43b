"""The three patterns of figure 4 as maps of block numbers, and the cells they are all made of.

Geometry is data here. Where the grid, the rings, the triangles and the two diagonals are laid over one
another they cut the view into 64 *cells*; every block of every pattern is a union of cells. Statistics are
gathered once a cell and added up to blocks by a matrix of zeros and ones, so one reduction serves all three
patterns and both conventions, and the statistics of a mirrored view are those of the view with cells swapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mas_labels.schema import BLOCKS, PATTERNS, VIEW_SIZE

RING_WIDTH = VIEW_SIZE // 8
"""Width of each of the 4 rings, in pixels."""
GRID_SIDE = VIEW_SIZE // 4
"""Side of each of the 16 blocks of the grid, in pixels."""


@dataclass(frozen=True)
class Cells:
    """The finest common partition of the patterns.

    Attributes
    ----------
    map
        (112, 112) intp, the cell of each pixel, from 0.
    count
        Number of cells.
    members
        For each pattern (blocks, cells) float64 of zeros and ones: which cells make up which block.
    pixels
        (cells,) intp, the size of each cell.
    mirror
        (cells,) intp, the cell that each cell falls on when the view is mirrored.
    mirrored_blocks
        For each pattern (blocks,) intp: the block (from 0) of the unmirrored view at each block of the
        mirrored one.
    """

    map: NDArray[np.intp]
    count: int
    members: dict[str, NDArray[np.float64]]
    pixels: NDArray[np.intp]
    mirror: NDArray[np.intp]
    mirrored_blocks: dict[str, NDArray[np.intp]]


def block_maps() -> dict[str, NDArray[np.uint8]]:
    """Return the number of the block that holds each pixel of a view, for each pattern.

    Returns
    -------
    dict
        ``{"grid", "rings", "triangles"}``, each (112, 112) uint8, numbered from 1 as in figure 4: the grid
        row by row, the rings from the centre outwards, the triangles from left to right, 1..4 in the top
        half and 5..8 in the bottom half. Every pixel is in exactly one block of each pattern.

    Notes
    -----
    The paper does not say whose a diagonal's pixels are. Here they belong to the triangle that touches the
    top or the bottom side (2, 3, 6, 7), a rule that mirroring does not change.
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
def cells(diagonals: str) -> Cells:
    """Return the cells for a convention's rule about diagonals, ``"partition"`` or ``"shared"``."""
    maps = block_maps()
    on_diagonal = diagonal_map()
    key = np.ravel_multi_index(
        (maps["grid"], maps["rings"], maps["triangles"], on_diagonal.astype(np.intp)), (17, 5, 9, 2)
    )
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)
    cell_map = cell.reshape(VIEW_SIZE, VIEW_SIZE).astype(np.intp)
    members = {
        name: (maps[name].ravel()[first] == np.arange(1, BLOCKS[name] + 1)[:, None]).astype(np.float64)
        for name in PATTERNS
    }
    if diagonals == "shared":
        for block, neighbour in ((2, 1), (3, 4), (6, 5), (7, 8)):
            shared = members["triangles"][block - 1].astype(bool) & on_diagonal.ravel()[first]
            members["triangles"][neighbour - 1, shared] = 1.0
    mirror = np.empty(first.size, np.intp)
    mirror[cell_map.ravel()] = cell_map[:, ::-1].ravel()
    return Cells(
        map=cell_map,
        count=int(first.size),
        members=members,
        pixels=np.bincount(cell_map.ravel()),
        mirror=mirror,
        mirrored_blocks={
            name: np.array([int(np.argmax((rows == row).all(axis=1))) for row in rows[:, mirror]])
            for name, rows in members.items()
        },
    )
