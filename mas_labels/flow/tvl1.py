"""TV-L1 optical flow (Zach, Pock, Bischof 2007) in C++: OpenCV's algorithm and defaults, but faster.

The equations are in ``mas_labels/native/tvl1/tvl1.cpp``. The result is bit-identical for every instruction
set, number of processes and floating-point state of the caller.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mas_labels.errors import ConfigError, InputError
from mas_labels.flow.methods import MAX_SIDE
from mas_labels.system.extensions import available_isas, load_extension

Flow = NDArray[np.float32]

ISA_VARIABLE: Final = "MAS_TVL1_ISA"
MIN_SIDE: Final = 3
MAX_GREY: Final = 1e6  # far beyond any picture; no sum of products overflows
MAX_SCALES: Final = 32
MIN_PARAMETER: Final = 1e-4
MAX_PARAMETER: Final = 1e3
"""Bounds of tau, lambda and theta; the largest is also that of epsilon. They are far from useful values, and
such that no square of the flow's gradient overflows, whatever the frames: instruction sets divide in
different ways, which agree for finite numbers only."""
MAX_ITERATIONS: Final = 10_000


@dataclass(frozen=True)
class Tvl1Options:
    """Parameters of TV-L1, with the names and defaults of OpenCV's ``DualTVL1OpticalFlow``."""

    tau: float = 0.25
    """Time step of the dual update; at most 0.25 guarantees convergence."""
    lambda_: float = 0.15
    """Weight of the data term: smaller is smoother."""
    theta: float = 0.3
    """Tightness between the flow and its auxiliary field."""
    nscales: int = 5
    """Levels of the pyramid; fewer if a side would be shorter than 16 pixels."""
    warps: int = 5
    """Linearisations of the second frame on each level."""
    epsilon: float = 0.01
    """Stop when the root mean squared change of the flow in one iteration is at most this, in pixels."""
    inner_iterations: int = 30
    """Iterations between two median filters."""
    outer_iterations: int = 10
    """Median filters for each warp."""
    scale_step: float = 0.8
    """Ratio of the sides of one level to those of the next finer."""
    gamma: float = 0.0
    """Weight of an illumination term, which is not implemented: must be 0."""
    median_filtering: int = 5
    """Side of the median filter: 0 or 1 for none, 3 or 5."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` if a value is invalid."""
        for name in ("tau", "lambda_", "theta"):
            within = MIN_PARAMETER <= getattr(self, name) <= MAX_PARAMETER
            self._expect(name, f"a number from {MIN_PARAMETER:g} to {MAX_PARAMETER:g}", within)
        self._expect("epsilon", f"a number from 0 to {MAX_PARAMETER:g}", 0 <= self.epsilon <= MAX_PARAMETER)
        self._expect("nscales", f"1 to {MAX_SCALES}", 1 <= self.nscales <= MAX_SCALES)
        for name in ("warps", "inner_iterations", "outer_iterations"):
            self._expect(name, f"1 to {MAX_ITERATIONS}", 1 <= getattr(self, name) <= MAX_ITERATIONS)
        self._expect("scale_step", "a number between 0 and 1", 0 < self.scale_step < 1)
        self._expect("gamma", "0 (the illumination term is not implemented)", self.gamma == 0)
        self._expect("median_filtering", "0, 1, 3 or 5", self.median_filtering in (0, 1, 3, 5))

    def _expect(self, name: str, expected: str, holds: bool) -> None:
        if not holds:
            raise ConfigError(f"TV-L1: {name}: expected {expected}, found {getattr(self, name)}")


def isa() -> str:
    """Return the instruction set in use: the best of this machine, or the one named by ``MAS_TVL1_ISA``.

    Raises
    ------
    ConfigError
        ``MAS_TVL1_ISA`` names none that this machine supports.
    MissingDependencyError
        The extension was not built.
    """
    available = available_isas("tvl1")
    chosen = os.environ.get(ISA_VARIABLE) or available[0]
    if chosen not in available:
        raise ConfigError(
            f"{ISA_VARIABLE}={chosen}: expected one of {', '.join(available)}, which this machine "
            "supports: set one of these, or unset the variable"
        )
    return chosen


def tvl1_flow(
    frames: ArrayLike,
    *,
    tau: float = Tvl1Options.tau,
    lambda_: float = Tvl1Options.lambda_,
    theta: float = Tvl1Options.theta,
    nscales: int = Tvl1Options.nscales,
    warps: int = Tvl1Options.warps,
    epsilon: float = Tvl1Options.epsilon,
    inner_iterations: int = Tvl1Options.inner_iterations,
    outer_iterations: int = Tvl1Options.outer_iterations,
    scale_step: float = Tvl1Options.scale_step,
    gamma: float = Tvl1Options.gamma,
    median_filtering: int = Tvl1Options.median_filtering,
) -> Flow:
    """Estimate the flow between consecutive frames by TV-L1.

    Parameters
    ----------
    frames
        (T, H, W) grey frames, T >= 2, H and W from 3 to 16384; uint8, or float32 in [0, 1] (multiplied by
        255, as in OpenCV).
    tau, lambda_, theta, nscales, warps, epsilon, inner_iterations, outer_iterations, scale_step, gamma, \
median_filtering
        See `Tvl1Options`.

    Returns
    -------
    ndarray, shape (T - 1, H, W, 2), float32
        (u, v) in pixels per frame: u along columns to the right, v along rows downwards.

    Raises
    ------
    InputError
        `frames` has a wrong shape or dtype, or a value that is not finite.
    ConfigError
        An option is invalid, or ``MAS_TVL1_ISA``, see `isa`.
    MissingDependencyError
        The extension was not built.

    Notes
    -----
    Source: Zach, Pock, Bischof, DAGM 2007; Sanchez Perez, Meinhardt-Llopis, Facciolo, IPOL 2013. Borders,
    stopping rule, defaults and median filter are OpenCV's ``DualTVL1OpticalFlow``'s (optflow, 5.0).
    Departures from it: rounding (one reciprocal, fused products), the order of summation in the stop test,
    and denormals, which are flushed to zero. One scale and one warp agree to 1e-5; whole runs amplify
    differences in the last bit, as those of OpenCV itself do.

    The result is bit-identical for every instruction set of x86-64, and on ARM as well, unless an
    intermediate result is within one rounding of the smallest normal number (1e-38), which ARM flushes
    earlier.

    The GIL is released; one call uses one thread.
    """
    options = Tvl1Options(
        tau, lambda_, theta, nscales, warps, epsilon, inner_iterations, outer_iterations, scale_step,
        gamma, median_filtering,
    )  # fmt: skip
    return solve_tvl1(check_grey_frames(np.asarray(frames)), None, options)


def check_grey_frames(frames: NDArray[Any]) -> NDArray[Any]:
    """Return `frames` as a contiguous array; raise `InputError` unless `tvl1_flow` accepts it."""
    if frames.ndim != 3 or len(frames) < 2:
        raise InputError(f"frames: expected shape (T >= 2, rows, cols), found {frames.shape}")
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in frames.shape[1:]):
        raise InputError(f"frames: expected sides {MIN_SIDE} to {MAX_SIDE}, found {frames.shape[1:]}")
    if frames.dtype not in (np.uint8, np.float32):
        raise InputError(f"frames: expected uint8, or float32 in [0, 1], found {frames.dtype}")
    if frames.dtype == np.float32 and not (np.abs(frames) <= MAX_GREY).all():  # false for NaN as well
        raise InputError(f"frames: expected finite values to {MAX_GREY:g}, found NaN or larger ones")
    return np.ascontiguousarray(frames)


def solve_tvl1(frames: NDArray[Any], initial_flow: Flow | None, options: Tvl1Options) -> Flow:
    """Run the extension on checked arrays, (T, H, W) and (H, W, 2) or None -> (T - 1, H, W, 2) float32."""
    count, rows, cols = frames.shape
    flow = np.empty((count - 1, rows, cols, 2), np.float32)
    initial = None if initial_flow is None else np.ascontiguousarray(initial_flow)
    numbers = [value for name, value in vars(options).items() if name != "gamma"]
    load_extension("tvl1").solve(isa(), frames, initial, flow, tuple(numbers))
    return flow
