"""The per-block sums, compiled (``mas_labels/native/labels/labels.cpp``), and the choice of their backend.

The compiled backend is the default. The GIL is released; one call uses one thread, and its memory lives for
the call. `mas_labels.labels.block_sums_numpy` is the reference it is tested against: the same whole numbers,
many times slower. It is used only when the environment variable ``MAS_LABELS`` is ``numpy``: a machine
without a compiler can still label, but is never slow unless asked to be.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, MissingDependencyError
from mas_labels.labels.block_sums import WAY_VARIABLE, ColourSums, Crops, FieldSums, Gatherer
from mas_labels.labels.block_sums_numpy import NUMPY
from mas_labels.labels.patterns import ALL_BLOCKS
from mas_labels.schema import COLOURS, ORIENTATIONS


def native_gatherer(isa: str | None = None) -> Gatherer:
    """Return the compiled way to gather.

    Parameters
    ----------
    isa
        One of `available_isas`, for tests; None takes the best. The result is the same.

    Raises
    ------
    MissingDependencyError
        The extension was not built.
    """
    compiled = _Compiled(_native(), isa or available_isas()[0])
    return Gatherer(compiled.field_sums, compiled.vote_sums, compiled.colour_sums, compiled.frequent_colours)


def available_isas() -> tuple[str, ...]:
    """Name the instruction sets this machine runs, best first."""
    names: tuple[str, ...] = _native().available()
    return names


def _native() -> ModuleType:
    """Import the compiled extension, or say how to get it or to do without."""
    try:
        return importlib.import_module("mas_labels._labels")
    except ImportError as error:
        raise MissingDependencyError(
            f"the compiled part of the labels is not there ({error}). Install a C++17 compiler, GCC or Clang "
            "(Debian: apt install g++), and build it: python setup.py build_ext --inplace in a checkout, or "
            f"else pip install --force-reinstall --no-deps this package. Or set {WAY_VARIABLE}=numpy: "
            "the same labels, but many times slower"
        ) from error


class _Compiled:
    """The functions of a `Gatherer` on one instruction set."""

    def __init__(self, module: ModuleType, isa: str) -> None:
        self._module, self._isa = module, isa

    def field_sums(self, flow: NDArray[np.float32], derivative: str, crops: Crops) -> FieldSums:
        fields, rows, cols, _ = flow.shape
        sums = FieldSums(
            boundaries=np.empty((2, rows, cols, 2), np.float32),
            of_crops=np.empty((len(crops), 2, fields), np.int64),
            of_frame=np.empty((2, fields), np.int64),
        )
        arrays = (np.ascontiguousarray(flow), crops, sums.boundaries, sums.of_crops, sums.of_frame)
        self._module.field_sums(self._isa, (fields, rows, cols), derivative == "prewitt", *arrays)
        return sums

    def vote_sums(
        self, bins: NDArray[np.uint8], votes: NDArray[np.int64], crops: Crops, diagonals: str
    ) -> NDArray[np.int64]:
        sums = np.empty((len(crops), ALL_BLOCKS, ORIENTATIONS), np.int64)
        self._module.vote_sums(self._isa, bins.shape, diagonals == "shared", bins, votes, crops, sums)
        return sums

    def colour_sums(self, frames: NDArray[np.uint8], crops: Crops, diagonals: str) -> ColourSums:
        channels = frames.shape[-1]
        sums = ColourSums(
            intersection=np.empty((len(crops), ALL_BLOCKS, channels), np.int64),
            union=np.empty((len(crops), ALL_BLOCKS, channels), np.int64),
            octants=np.empty((len(crops), ALL_BLOCKS, COLOURS), np.int64),
        )
        arrays = (np.ascontiguousarray(frames), crops, sums.intersection, sums.union, sums.octants)
        self._module.colour_sums(self._isa, frames.shape[:3], diagonals == "shared", *arrays)
        return sums

    def frequent_colours(
        self, frames: NDArray[np.uint8], queries: NDArray[np.int32], diagonals: str
    ) -> NDArray[np.int64]:
        codes = np.empty(len(queries), np.int64)
        contiguous = np.ascontiguousarray(frames)
        self._module.frequent_colours(
            self._isa, frames.shape[:3], diagonals == "shared", contiguous, queries, codes
        )
        return codes


def gatherer() -> Gatherer:
    """Return the compiled way to gather, or NumPy's if ``MAS_LABELS=numpy``.

    Raises
    ------
    MissingDependencyError
        The extension was not built, and NumPy was not asked for.
    ConfigError
        ``MAS_LABELS`` says anything else.
    """
    way = os.environ.get(WAY_VARIABLE, "")
    if way == "numpy":
        return NUMPY
    if way:
        raise ConfigError(f"{WAY_VARIABLE}={way}: expected numpy, or unset it for the compiled way")
    return native_gatherer()
