"""The per-block sums from which the labels follow, and the interface of the backends that compute them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import Geometry

BACKEND_VARIABLE: Final = "MAS_LABELS"
"""Environment variable that chooses the backend: ``numpy``, or unset for the compiled one."""

Crops = NDArray[np.int32]
"""(C, 2) int32: top, left, in pixels; sorted and unique."""


@dataclass(frozen=True)
class FieldSums:
    """Sums over a clip's flow.

    Attributes
    ----------
    boundaries
        (2, H, W, 2) float32, Mu and Mv.
    of_crops
        (C, 2, fields) int64: magnitudes of the boundaries of u and of v of each field, summed over the crop,
        in units of `motion_boundary.UNITS_PER_PIXEL`.
    of_frame
        (2, fields) int64: the same, summed over the frame.
    """

    boundaries: NDArray[np.float32]
    of_crops: NDArray[np.int64]
    of_frame: NDArray[np.int64]


@dataclass(frozen=True)
class ColourSums:
    """Sums over a clip's frames.

    Attributes
    ----------
    intersection, union
        (C, blocks, 3) int64: of the histograms of all frames, for each block and channel (paper, equation 2).
    octants
        (C, blocks, 8) int64: number of pixels of all frames in each octant of RGB,
        4 [R >= 128] + 2 [G >= 128] + [B >= 128].
    """

    intersection: NDArray[np.int64]
    union: NDArray[np.int64]
    octants: NDArray[np.int64]


@dataclass(frozen=True)
class Backend:
    """The functions that a backend provides. The geometry defines the sizes of view and blocks, nothing else.

    Attributes
    ----------
    field_sums
        (flow (fields, H, W, 2) float32, derivative, crops, geometry) -> `FieldSums`.
    vote_sums
        (bins (layers, H, W) uint8, votes (layers, H, W) int64, crops, diagonals, geometry) -> (C, blocks, 8)
        int64: the sum of votes for each bin in each block.
    colour_sums
        (frames (T, H, W, 3) uint8, crops, diagonals, geometry) -> `ColourSums`.
    frequent_colours
        (frames, queries (N, 3) int32, diagonals, geometry) -> (N,) int64: the code r + 256 g + 65536 b of the
        most frequent colour in a block, the lowest at a tie. A query is top, left and block, from 0;
        `patterns.block_count` stands for the whole view.
    """

    field_sums: Callable[[NDArray[np.float32], str, Crops, Geometry], FieldSums]
    vote_sums: Callable[[NDArray[np.uint8], NDArray[np.int64], Crops, str, Geometry], NDArray[np.int64]]
    colour_sums: Callable[[NDArray[np.uint8], Crops, str, Geometry], ColourSums]
    frequent_colours: Callable[[NDArray[np.uint8], NDArray[np.int32], str, Geometry], NDArray[np.int64]]
