"""Optical flow of a clip by a named estimator (paper, section 3.2, which cites Brox et al., ECCV 2004)."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.flow.methods import METHODS, MIN_SIDE, check_method
from mas_labels.video.clips import check_frames

ESTIMATORS: Final[dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float32]]]] = {
    name: pkgutil.resolve_name(place) for name, place in METHODS.items()
}
"""Estimators of a clip's flow by name: grey (T, H, W) uint8 -> (T - 1, H, W, 2) float32, pixels per frame."""


def compute_flow(frames: NDArray[np.uint8], method: str = "tvl1") -> NDArray[np.float32]:
    """Estimate the flow between consecutive frames.

    Parameters
    ----------
    frames
        (T, H, W, 3) uint8 RGB, T >= 2, H and W from 16 to 16384.
    method
        ``"tvl1"`` (our own), ``"tvl1-opencv"`` (the same algorithm in OpenCV, slow), ``"brox"``, ``"dis"``
        or ``"farneback"``. Different estimators give different labels.

    Returns
    -------
    (T - 1, H, W, 2) float32, (u, v) in pixels per frame: u along columns to the right, v along rows
    downwards.

    Raises
    ------
    ConfigError
        If the method is unknown, or ``MAS_TVL1_ISA`` names an instruction set that this machine lacks.
    InputError
        If the frames have a wrong shape, size or dtype, or are fewer than two.
    MissingDependencyError
        If the extension of ``"tvl1"`` was not built.

    Notes
    -----
    The paper cites Brox et al. 2004; the code released by its authors reads TV-L1 flow, as two-stream
    networks do, and TV-L1 is the default.
    """
    frames = np.asarray(frames)
    check_frames(frames)
    check_method(method)
    if min(frames.shape[1:3]) < MIN_SIDE:
        found = " x ".join(map(str, frames.shape[1:3]))
        raise InputError(f"frames: expected at least {MIN_SIDE} x {MIN_SIDE} pixels, found {found}")
    if len(frames) < 2:
        raise InputError(f"frames: expected at least 2 to have a flow between them, found {len(frames)}")
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    return ESTIMATORS[method](grey)
