"""TV-L1 under the names of OpenCV's contrib module, for programs that call it there."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from mas_labels.errors import InputError
from mas_labels.flow.tvl1 import MAX_SIDE, Flow, Tvl1Options, _check_frames, _solve


class DualTVL1OpticalFlow:
    """Stands in for OpenCV's object: the same arguments, getters, setters and `calc`.

    ``get...`` and ``set...`` exist for Tau, Lambda, Theta, ScalesNumber, WarpingsNumber, Epsilon,
    InnerIterations, OuterIterations, ScaleStep, Gamma, MedianFiltering and UseInitialFlow.
    """

    def __init__(self, options: Tvl1Options, use_initial_flow: bool) -> None:
        self.options = options
        self.use_initial_flow = use_initial_flow

    def calc(self, I0: ArrayLike, I1: ArrayLike, flow: Flow | None = None) -> Flow:  # noqa: N803 - OpenCV's names
        """Flow from `I0` to `I1`, (H, W) each, as (H, W, 2) float32.

        A `flow` that is given is written to, and is where the search begins if UseInitialFlow is set. Raises
        what `tvl1_flow` raises.
        """
        first, second = np.asarray(I0), np.asarray(I1)
        if first.shape != second.shape or first.dtype != second.dtype:
            raise InputError(
                f"I0 and I1: expected one shape and dtype, found {first.shape} {first.dtype} and "
                f"{second.shape} {second.dtype}"
            )
        frames = _check_frames(np.stack([first, second]))
        if flow is not None:
            _check_flow(flow, first.shape)
        elif self.use_initial_flow:
            raise InputError(f"flow: expected an initial flow of shape {(*first.shape, 2)}, found none")
        result = _solve(frames, flow if self.use_initial_flow else None, self.options)[0]
        if flow is None:
            return result
        flow[...] = result
        return flow

    def collectGarbage(self) -> None:  # noqa: N802 - OpenCV's name
        """Do nothing: no memory is kept between calls."""

    def getUseInitialFlow(self) -> bool:  # noqa: N802
        """Say whether `calc` starts from the flow it is given."""
        return self.use_initial_flow

    def setUseInitialFlow(self, val: bool) -> None:  # noqa: N802
        """Let `calc` start from the flow it is given, or from zero."""
        self.use_initial_flow = bool(val)


_OPENCV_NAMES: Final = {
    "Tau": "tau", "Lambda": "lambda_", "Theta": "theta", "ScalesNumber": "nscales", "WarpingsNumber": "warps",
    "Epsilon": "epsilon", "InnerIterations": "inner_iterations", "OuterIterations": "outer_iterations",
    "ScaleStep": "scale_step", "Gamma": "gamma", "MedianFiltering": "median_filtering",
}  # fmt: skip


def _add_accessors(opencv_name: str, field: str) -> None:
    """Give `DualTVL1OpticalFlow` the getter and the setter of one option."""

    def get(self: DualTVL1OpticalFlow) -> Any:
        return getattr(self.options, field)

    def set_(self: DualTVL1OpticalFlow, val: Any) -> None:
        self.options = dataclasses.replace(self.options, **{field: val})

    get.__doc__ = f"`Tvl1Options.{field}`."
    set_.__doc__ = f"Set `Tvl1Options.{field}`; raise `ConfigError` where the value has no meaning."
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
    """Make what ``cv2.optflow.DualTVL1OpticalFlow_create`` makes; its argument names, and their spelling.

    Raises `ConfigError` where an argument has no meaning.
    """
    options = Tvl1Options(
        tau, lambda_, theta, nscales, warps, epsilon, innnerIterations, outerIterations, scaleStep, gamma,
        medianFiltering,
    )  # fmt: skip
    return DualTVL1OpticalFlow(options, useInitialFlow)


def _check_flow(flow: Flow, shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless `flow` can be written to and begun from."""
    if not isinstance(flow, np.ndarray) or flow.shape != (*shape, 2) or flow.dtype != np.float32:
        found = f"{flow.shape} {flow.dtype}" if isinstance(flow, np.ndarray) else type(flow).__name__
        raise InputError(f"flow: expected float32 of shape {(*shape, 2)}, found {found}")
    if not (np.abs(flow) <= MAX_SIDE).all():
        raise InputError(f"flow: expected finite values, at most {MAX_SIDE}, found NaN or larger ones")
