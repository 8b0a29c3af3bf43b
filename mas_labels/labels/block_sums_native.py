"""The compiled backend of the per-block sums, the default (``mas_labels/native/labels/labels.cpp``).

The GIL is released; one call uses one thread and frees its memory when it returns.
`mas_labels.labels.block_sums_numpy` is the reference that it is tested against.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import Geometry
from mas_labels.labels.block_sums import BACKEND_VARIABLE, Backend, ColourSums, Crops, FieldSums
from mas_labels.labels.patterns import block_count
from mas_labels.schema import COLOURS, ORIENTATIONS
from mas_labels.system.extensions import available_isas, load_extension


def native_backend(isa: str | None = None) -> Backend:
    """Return the compiled backend.

    Parameters
    ----------
    isa
        One of `available_isas`, for tests; None: the best. The result is the same.

    Raises
    ------
    MissingDependencyError
        The extension was not built.
    """
    alternative = f". Or set {BACKEND_VARIABLE}=numpy: the same labels, but many times slower"
    compiled = _Compiled(load_extension("labels", alternative), isa or available_isas("labels")[0])
    return Backend(compiled.field_sums, compiled.vote_sums, compiled.colour_sums, compiled.frequent_colours)


class _Compiled:
    """The functions of the compiled backend on one instruction set; see `Backend`."""

    def __init__(self, module: ModuleType, isa: str) -> None:
        self._module, self._isa = module, isa

    def field_sums(
        self, flow: NDArray[np.float32], derivative: str, crops: Crops, geometry: Geometry
    ) -> FieldSums:
        fields, rows, cols, _ = flow.shape
        sums = FieldSums(
            boundaries=np.empty((2, rows, cols, 2), np.float32),
            of_crops=np.empty((len(crops), 2, fields), np.int64),
            of_frame=np.empty((2, fields), np.int64),
        )
        arrays = (np.ascontiguousarray(flow), crops, sums.boundaries, sums.of_crops, sums.of_frame)
        self._module.field_sums(
            self._isa, (fields, rows, cols), derivative == "prewitt", *arrays, _sizes(geometry)
        )
        return sums

    def vote_sums(
        self,
        bins: NDArray[np.uint8],
        votes: NDArray[np.int64],
        crops: Crops,
        diagonals: str,
        geometry: Geometry,
    ) -> NDArray[np.int64]:
        sums = np.empty((len(crops), block_count(geometry), ORIENTATIONS), np.int64)
        self._module.vote_sums(
            self._isa, bins.shape, diagonals == "shared", bins, votes, crops, sums, _sizes(geometry)
        )
        return sums

    def colour_sums(
        self, frames: NDArray[np.uint8], crops: Crops, diagonals: str, geometry: Geometry
    ) -> ColourSums:
        channels = frames.shape[-1]
        sums = ColourSums(
            intersection=np.empty((len(crops), block_count(geometry), channels), np.int64),
            union=np.empty((len(crops), block_count(geometry), channels), np.int64),
            octants=np.empty((len(crops), block_count(geometry), COLOURS), np.int64),
        )
        arrays = (np.ascontiguousarray(frames), crops, sums.intersection, sums.union, sums.octants)
        self._module.colour_sums(
            self._isa, frames.shape[:3], diagonals == "shared", *arrays, _sizes(geometry)
        )
        return sums

    def frequent_colours(
        self, frames: NDArray[np.uint8], queries: NDArray[np.int32], diagonals: str, geometry: Geometry
    ) -> NDArray[np.int64]:
        codes = np.empty(len(queries), np.int64)
        contiguous = np.ascontiguousarray(frames)
        self._module.frequent_colours(
            self._isa, frames.shape[:3], diagonals == "shared", contiguous, queries, codes, _sizes(geometry)
        )
        return codes


def _sizes(geometry: Geometry) -> tuple[int, int, int]:
    return geometry.view_size, geometry.grid_block, geometry.ring_width
