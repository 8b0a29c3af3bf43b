"""Optical flow estimators by name (paper, section 3.2, which cites Brox et al., ECCV 2004).

All of them see grey frames, one pair after another, and give (u, v) in pixels per frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, InputError
from mas_labels.flow.tvl1 import tvl1_flow
from mas_labels.video.clips import check_frames

Grey = NDArray[np.uint8]
Field = NDArray[np.float32]
PairEstimator = Callable[[Grey, Grey], Field]


def _each_pair(make_estimator: Callable[[], PairEstimator]) -> Callable[[Grey], Field]:
    """Turn an estimator of one pair into one of a clip: (T, H, W) -> (T - 1, H, W, 2)."""

    def estimate(grey: Grey) -> Field:
        of_pair = make_estimator()
        return np.stack([of_pair(first, second) for first, second in itertools.pairwise(grey)])

    return estimate


def _tvl1_opencv() -> PairEstimator:
    """TV-L1 (Zach, Pock, Bischof 2007) as OpenCV has it, with its defaults: the reference for ours."""
    estimator = cv2.optflow.DualTVL1OpticalFlow_create()
    return lambda first, second: estimator.calc(first, second, None)


def _dis() -> PairEstimator:
    """Dense inverse search (Kroeger et al. 2016), OpenCV's medium preset."""
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda first, second: estimator.calc(first, second, None)


def _farneback() -> PairEstimator:
    """Polynomial expansion (Farneback 2003) with the parameters of OpenCV's tutorial and five levels."""
    return lambda first, second: cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 5, 15, 3, 5, 1.2, 0)


MIN_SIDE: Final = 16
"""Rows and columns below which some estimators fail."""
BROX_SCALE: Final = 0.8
BROX_WARPS: Final = 3


def _brox() -> PairEstimator:
    """The energy of Brox et al. 2004 (grey value and gradient constancy, robust smoothness), coarse to fine.

    OpenCV minimises that energy around a given flow; the pyramid around it is ours.
    """
    refine = cv2.VariationalRefinement_create()

    def of_pair(first: Grey, second: Grey) -> Field:
        rows, cols = first.shape
        scales = [1.0]
        while min(rows, cols) * scales[-1] * BROX_SCALE >= MIN_SIDE:
            scales.append(scales[-1] * BROX_SCALE)
        flow: Field | None = None
        for scale in reversed(scales):
            size = (round(cols * scale), round(rows * scale))
            small = [cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in (first, second)]
            flow = _resize_flow(flow, size)
            for _ in range(BROX_WARPS):
                flow = refine.calc(small[0], small[1], flow)
        assert flow is not None
        return flow

    return of_pair


def _resize_flow(flow: Field | None, size: tuple[int, int]) -> Field:
    """Carry a flow to a finer level, (cols, rows), its vectors stretched; None: start from zero."""
    if flow is None:
        return np.zeros((size[1], size[0], 2), np.float32)
    stretch = np.array([size[0] / flow.shape[1], size[1] / flow.shape[0]], np.float32)
    return cv2.resize(flow, size, interpolation=cv2.INTER_LINEAR) * stretch


ESTIMATORS: Final[dict[str, Callable[[Grey], Field]]] = {
    "tvl1": tvl1_flow,
    "tvl1-opencv": _each_pair(_tvl1_opencv),
    "brox": _each_pair(_brox),
    "dis": _each_pair(_dis),
    "farneback": _each_pair(_farneback),
}
"""Estimators of a clip's flow, (T, H, W) uint8 -> (T - 1, H, W, 2) float32, by name."""


def compute_flow(frames: NDArray[np.uint8], method: str = "tvl1") -> NDArray[np.float32]:
    """Estimate the flow between consecutive frames.

    Parameters
    ----------
    frames
        (T, H, W, 3) uint8 RGB, T >= 2.
    method
        ``"tvl1"`` (ours), ``"tvl1-opencv"`` (the same algorithm in OpenCV, slow), ``"brox"``, ``"dis"`` or
        ``"farneback"``. Other estimators give other labels.

    Returns
    -------
    (T - 1, H, W, 2) float32, (u, v) in pixels per frame: u along columns to the right, v along rows
    downwards.

    Raises
    ------
    ConfigError
        If there is no such method.
    InputError
        If the frames have another shape or dtype, or are fewer than two.
    MissingDependencyError
        If ``"tvl1"`` was not compiled.

    Notes
    -----
    The paper cites Brox et al. 2004; its authors' released code reads TV-L1 flow, as two-stream work does,
    and that is the default.
    """
    frames = np.asarray(frames)
    check_frames(frames)
    if method not in ESTIMATORS:
        raise ConfigError(f"no flow method {method!r}: choose one of {', '.join(ESTIMATORS)}")
    if min(frames.shape[1:3]) < MIN_SIDE:
        found = " x ".join(map(str, frames.shape[1:3]))
        raise InputError(f"frames: expected at least {MIN_SIDE} x {MIN_SIDE} pixels, found {found}")
    if len(frames) < 2:
        raise InputError(f"frames: expected at least 2 to have a flow between them, found {len(frames)}")
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    return ESTIMATORS[method](grey)
