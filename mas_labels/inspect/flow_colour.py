"""Colour coding of flow by the wheel of the Middlebury benchmark (Baker et al., IJCV 2011).

Hue is direction and saturation is length: right is red, down is yellow, left is cyan, up is violet, and no
motion is white. The colours are those of the benchmark's `colorcode.cpp`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError

SECTORS: Final = (
    # number of hues, and the corner of the RGB cube that they start from
    (15, (255, 0, 0)),
    (6, (255, 255, 0)),
    (4, (0, 255, 0)),
    (11, (0, 255, 255)),
    (13, (0, 0, 255)),
    (6, (255, 0, 255)),
)
"""Red to yellow, green, cyan, blue, magenta and back: more hues where eyes distinguish them better."""
DARKENING: Final = 0.75
"""Factor on the full colour for flow longer than the scale."""


def wheel_hues() -> NDArray[np.float64]:
    """Return the wheel's 55 hues, (55, 3) float64 RGB, 0 to 255: clockwise from flow to the right."""
    corners = [np.array(corner, float) for _, corner in SECTORS]
    parts = []
    for number, (count, _) in enumerate(SECTORS):
        start, end = corners[number], corners[(number + 1) % len(SECTORS)]
        steps = np.floor(255 * np.arange(count) / count)[:, None] / 255
        parts.append(start + (end - start) * steps)
    return np.concatenate(parts)


def largest_length(flow: NDArray[np.floating]) -> float:
    """Return the length of full saturation, in pixels: the 99.5 % quantile of the vectors, at least 0.1."""
    return max(0.1, float(np.quantile(np.hypot(flow[..., 0], flow[..., 1]), 0.995)))


def flow_colours(flow: NDArray[np.floating], largest: float | None = None) -> NDArray[np.uint8]:
    """Convert flow to colours.

    Parameters
    ----------
    flow
        (..., 2), (u, v) in pixels per frame; v downwards.
    largest
        Length of full saturation, in pixels; by default `largest_length` of this flow.

    Returns
    -------
    (..., 3) uint8 RGB.

    Raises
    ------
    InputError
        If the flow has another shape or is not finite, or `largest` is not positive.
    """
    flow = np.asarray(flow, np.float64)
    if flow.shape[-1:] != (2,) or not np.isfinite(flow).all():
        raise InputError(f"flow: expected finite values of shape (..., 2), found {flow.shape}")
    largest = largest_length(flow) if largest is None else largest
    if not largest > 0:
        raise InputError(f"expected a positive length, found {largest}")
    hues = wheel_hues()
    u, v = flow[..., 0] / largest, flow[..., 1] / largest
    # adding 0 turns -0 into 0, so that flow exactly to the right is entry 0, not entry 54
    turned = np.arctan2(v + 0.0, u) / (2 * np.pi) % 1.0
    position = turned * (len(hues) - 1)
    lower = np.floor(position).astype(int)
    part = (position - lower)[..., None]
    hue = (1 - part) * hues[lower] + part * hues[(lower + 1) % len(hues)]
    length = np.hypot(u, v)[..., None]
    colours = np.where(length <= 1, 255 - length * (255 - hue), DARKENING * hue)
    return np.floor(colours).astype(np.uint8)


def colour_wheel(size: int = 121) -> NDArray[np.uint8]:
    """Return the legend, (size, size, 3) uint8: a disc of all directions and lengths on white."""
    span = np.linspace(-1, 1, size)
    u, v = np.meshgrid(span, span)
    disc = flow_colours(np.stack([u, v], axis=-1), 1.0)
    disc[np.hypot(u, v) > 1] = 255
    return disc
