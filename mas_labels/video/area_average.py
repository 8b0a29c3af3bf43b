"""Area averages of frames, bit for bit those of OpenCV (``INTER_AREA``), in a fraction of the time.

Each number of a smaller frame is the mean of the pixels that lie in its cell, weighted by their overlap.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import MissingDependencyError
from mas_labels.system.extensions import available_isas, load_extension
from mas_labels.system.kernels import LOSSES

LEAST_OVERLAP: Final = 1e-3
"""Pixels that overlap a cell by less do not count."""
SLOW_WARNING: Final = (
    f"mas_labels._resize is not built: {LOSSES['resize']}; reinstall mas_labels where there is a C++ compiler"
)

AreaAverage: TypeAlias = Callable[[NDArray[np.uint8], int, int], NDArray[np.uint8]]
"""(frame (any rows, any columns, 3) uint8 BGR, rows, cols) -> (rows, cols, 3) uint8 RGB; no side grows."""


def area_average_opencv(frame: NDArray[np.uint8], rows: int, cols: int) -> NDArray[np.uint8]:
    """Average a frame with OpenCV (`AreaAverage`)."""
    return cv2.cvtColor(cv2.resize(frame, (cols, rows), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


@cache
def make_area_average(isa: str | None = None) -> AreaAverage:
    """Return the fastest function that averages frames.

    Parameters
    ----------
    isa
        Instruction set, one of `available_isas("resize")`; None: the best. The result is the same.
    """
    try:
        native = load_extension("resize")
    except MissingDependencyError:
        warnings.warn(SLOW_WARNING, stacklevel=2)
        return area_average_opencv
    chosen = isa or available_isas("resize")[0]

    def area_average(frame: NDArray[np.uint8], rows: int, cols: int) -> NDArray[np.uint8]:
        height, width = frame.shape[:2]
        if height % rows == 0 and width % cols == 0:  # OpenCV sums integers, which rounds differently
            return area_average_opencv(frame, rows, cols)
        out = np.empty((rows, cols, 3), np.uint8)
        down, across = area_weights(height, rows), area_weights(width, cols)
        bgr = np.ascontiguousarray(frame)
        native.area_average(chosen, (height, width), (rows, cols), bgr, *down, *across, out)
        return out

    return area_average


@cache
def area_weights(size: int, cells: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the first pixel of each cell of a row or column of `size` pixels, and the weights from it on.

    Returns
    -------
    (cells,) int32, (cells, most pixels in a cell) float32
        Weights after a cell's last pixel are 0.
    """
    scale = 1.0 / (cells / size)  # not size / cells: rounded as in OpenCV
    starts, weights = [], []
    for cell in range(cells):
        begin = cell * scale
        end, width = begin + scale, min(scale, size - begin)
        last = min(math.floor(end), size - 1)
        first = min(math.ceil(begin), last)
        overlaps = [1.0] * (last - first)
        if first - begin > LEAST_OVERLAP:
            first, overlaps = first - 1, [first - begin, *overlaps]
        if end - last > LEAST_OVERLAP:
            overlaps.append(min(end - last, 1.0, width))
        starts.append(first)
        weights.append([overlap / width for overlap in overlaps])
    table = np.zeros((cells, max(map(len, weights))), np.float32)
    for row, numbers in zip(table, weights, strict=True):
        row[: len(numbers)] = numbers
    return np.array(starts, np.int32), table
