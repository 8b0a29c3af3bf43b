"""Flow as 8-bit grey values, and back: the pictures that two-stream networks read."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.flow.options import FlowOptions

BOUND: Final = FlowOptions.bound
"""Bound of most published pictures of flow, pixels per frame."""


def flow_to_grey(flow: NDArray[np.float32], bound: float = BOUND) -> NDArray[np.uint8]:
    """Map flow to 8-bit grey values: -bound to 0, no motion to 128 (127.5 rounded to even), bound to 255.

    Parameters
    ----------
    flow
        Any shape, pixels per frame.
    bound
        Larger motion is clipped, pixels per frame.

    Notes
    -----
    This is the formula of denseflow, which rounds halves to even, too. mmaction2's ``flow_extraction.py``
    drops the fraction instead of rounding: its grey values are up to 1 smaller.
    """
    return np.rint((np.clip(flow, -bound, bound) + bound) * (255.0 / (2.0 * bound))).astype(np.uint8)


def grey_to_flow(grey: NDArray[np.uint8], bound: float = BOUND) -> NDArray[np.float32]:
    """Map grey values of `flow_to_grey` back to flow, float32.

    The result is within bound / 255 of the flow where that was not clipped.

    Notes
    -----
    No motion comes back as bound / 255 (0.078 at a bound of 20), because 127.5 was rounded to 128.
    """
    return grey.astype(np.float32) * np.float32(2.0 * bound / 255.0) - np.float32(bound)
