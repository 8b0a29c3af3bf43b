"""TV-L1 with the interface of OpenCV's contrib module, as a drop-in replacement."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from mas_labels.errors import InputError
from mas_labels.flow.tvl1 import MAX_SIDE, Flow, Tvl1Options, check_grey_frames, solve_tvl1


class DualTVL1OpticalFlow:
    """Replaces OpenCV's object: the same arguments, getters, setters and `calc`.

    ``get...`` and ``set...`` exist for Tau, Lambda, Theta, ScalesNumber, WarpingsNumber, Epsilon,
    InnerIterations, OuterIterations, ScaleStep, Gamma, MedianFiltering and UseInitialFlow.
    """

    def __init__(self, options: Tvl1Options, use_initial_flow: bool) -> None:
        self.options = options
        self.use_initial_flow = use_initial_flow

    def calc(self, I0: ArrayLike, I1: ArrayLike, flow: Flow | None = None) -> Flow:  # noqa: N803 - OpenCV's names
        """Compute the flow from `I0` to `I1`, (H, W) each, as (H, W, 2) float32, (u, v) in pixels.

        A given `flow` is overwritten, and is the initial value if UseInitialFlow is set. Raises the errors of
        `tvl1_flow`.
        """
        first, second = np.asarray(I0), np.asarray(I1)
        if first.shape != second.shape or first.dtype != second.dtype:
            raise InputError(
                f"I0 and I1: expected one shape and dtype, found {first.shape} {first.dtype} and "
                f"{second.shape} {second.dtype}"
            )
        frames = check_grey_frames(np.stack([first, second]))
        if flow is not None:
            _check_flow(flow, first.shape)
        elif self.use_initial_flow:
            raise InputError(f"flow: expected an initial flow of shape {(*first.shape, 2)}, found none")
        result = solve_tvl1(frames, flow if self.use_initial_flow else None, self.options)[0]
        if flow is None:
            return result
        flow[...] = result
        return flow

    def collectGarbage(self) -> None:  # noqa: N802 - OpenCV's name
        """Do nothing: no memory is kept between calls."""

    def getUseInitialFlow(self) -> bool:  # noqa: N802
        """Return whether `calc` starts from the given flow."""
        return self.use_initial_flow

    def setUseInitialFlow(self, val: bool) -> None:  # noqa: N802
        """Make `calc` start from the given flow, or from zero."""
        self.use_initial_flow = bool(val)


_OPENCV_NAMES: Final = {
    "Tau": "tau", "Lambda": "lambda_", "Theta": "theta", "ScalesNumber": "nscales", "WarpingsNumber": "warps",
    "Epsilon": "epsilon", "InnerIterations": "inner_iterations", "OuterIterations": "outer_iterations",
    "ScaleStep": "scale_step", "Gamma": "gamma", "MedianFiltering": "median_filtering",
}  # fmt: skip


def _add_accessors(opencv_name: str, field: str) -> None:
    """Add the getter and the setter of one option to `DualTVL1OpticalFlow`."""

    def get(self: DualTVL1OpticalFlow) -> Any:
        return getattr(self.options, field)

    def set_(self: DualTVL1OpticalFlow, val: Any) -> None:
        self.options = dataclasses.replace(self.options, **{field: val})

    get.__doc__ = f"Return `Tvl1Options.{field}`."
    set_.__doc__ = f"Set `Tvl1Options.{field}`; raise `ConfigError` if the value is invalid."
    setattr(DualTVL1OpticalFlow, f"get{opencv_name}", get)
    setattr(DualTVL1OpticalFlow, f"set{opencv_name}", set_)


for _opencv_name, _field in _OPENCV_NAMES.items():
    _add_accessors(_opencv_name, _field)


def DualTVL1OpticalFlow_create(  # noqa: N802 - OpenCV's names
    tau: float = Tvl1Options.tau,
    lambda_: float = Tvl1Options.lambda_,
    theta: float = Tvl1Options.theta,
    nscales: int = Tvl1Options.nscales,
    warps: int = Tvl1Options.warps,
    epsilon: float = Tvl1Options.epsilon,
    innnerIterations: int = Tvl1Options.inner_iterations,  # noqa: N803 - OpenCV spells it with three n
    outerIterations: int = Tvl1Options.outer_iterations,  # noqa: N803
    scaleStep: float = Tvl1Options.scale_step,  # noqa: N803
    gamma: float = Tvl1Options.gamma,
    medianFiltering: int = Tvl1Options.median_filtering,  # noqa: N803
    useInitialFlow: bool = False,  # noqa: N803
) -> DualTVL1OpticalFlow:
    """Replace ``cv2.optflow.DualTVL1OpticalFlow_create``, with its arguments as they are spelled there.

    Raises `ConfigError` if an argument is invalid.
    """
    options = Tvl1Options(
        tau, lambda_, theta, nscales, warps, epsilon, innnerIterations, outerIterations, scaleStep, gamma,
        medianFiltering,
    )  # fmt: skip
    return DualTVL1OpticalFlow(options, useInitialFlow)


def _check_flow(flow: Flow, shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless `flow` can be overwritten and used as the initial value."""
    if not isinstance(flow, np.ndarray) or flow.shape != (*shape, 2) or flow.dtype != np.float32:
        found = f"{flow.shape} {flow.dtype}" if isinstance(flow, np.ndarray) else type(flow).__name__
        raise InputError(f"flow: expected float32 of shape {(*shape, 2)}, found {found}")
    if not (np.abs(flow) <= MAX_SIDE).all():
        raise InputError(f"flow: expected finite values, at most {MAX_SIDE}, found NaN or larger ones")
