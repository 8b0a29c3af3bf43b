"""Flow estimators of OpenCV: each makes its object once per clip and runs it on every pair of frames."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.flow.methods import MIN_SIDE

Grey = NDArray[np.uint8]
Field = NDArray[np.float32]
PairEstimator = Callable[[Grey, Grey], Field]

BROX_SCALE: Final = 0.8
"""Ratio of the sides of one level of the pyramid to those of the next finer."""
BROX_WARPS: Final = 3
"""Refinements on each level."""


def each_pair(make_estimator: Callable[[], PairEstimator]) -> Callable[[Grey], Field]:
    """Turn a factory of pair estimators into an estimator of clips: (T, H, W) -> (T - 1, H, W, 2)."""

    @functools.wraps(make_estimator)
    def estimate(grey: Grey) -> Field:
        estimate_pair = make_estimator()
        return np.stack([estimate_pair(first, second) for first, second in itertools.pairwise(grey)])

    return estimate


@each_pair
def tvl1() -> PairEstimator:
    """TV-L1 (Zach, Pock, Bischof 2007) by OpenCV with its defaults: the reference for our own."""
    estimator = cv2.optflow.DualTVL1OpticalFlow_create()
    return lambda first, second: estimator.calc(first, second, None)


@each_pair
def dis() -> PairEstimator:
    """Dense inverse search (Kroeger et al. 2016), OpenCV's medium preset."""
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda first, second: estimator.calc(first, second, None)


@each_pair
def farneback() -> PairEstimator:
    """Polynomial expansion (Farneback 2003) with the parameters of OpenCV's tutorial and five levels."""
    return lambda first, second: cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 5, 15, 3, 5, 1.2, 0)


@each_pair
def brox() -> PairEstimator:
    """Brox et al. 2004 (grey value and gradient constancy, robust smoothness), coarse to fine.

    OpenCV minimises this energy starting from a given flow; the pyramid is our own.
    """
    refine = cv2.VariationalRefinement_create()

    def estimate_pair(first: Grey, second: Grey) -> Field:
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

    return estimate_pair


def _resize_flow(flow: Field | None, size: tuple[int, int]) -> Field:
    """Resize a flow, and scale its vectors, to the (cols, rows) of a finer level; None: start from zero."""
    if flow is None:
        return np.zeros((size[1], size[0], 2), np.float32)
    stretch = np.array([size[0] / flow.shape[1], size[1] / flow.shape[0]], np.float32)
    return cv2.resize(flow, size, interpolation=cv2.INTER_LINEAR) * stretch
