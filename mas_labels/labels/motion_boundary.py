"""Motion boundaries: from optical flow to Mu and Mv (paper, section 3.2, equation 1 and figure 3).

Spatial derivatives of the flow cancel uniform motion, such as that of a panning camera, and keep changes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mas_labels.errors import InputError
from mas_labels.labels.conventions import get_convention

MAX_FLOW: Final = 16384.0
"""Largest flow, in pixels per frame: more than any frame is wide."""
UNITS_PER_PIXEL: Final = 2.0**20
"""Unit of magnitudes: they are rounded once to multiples of 2**-20 pixels and summed as integers. The sums do
not depend on the order of summation, so that ties are ties on every machine and in every view."""


def derivatives(fields: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Compute the derivatives of fields along columns and rows.

    Parameters
    ----------
    fields
        (..., H, W) float32.
    kind
        ``"central"`` or ``"prewitt"``, see `mas_labels.labels.conventions.Convention`.

    Returns
    -------
    (..., H, W, 2) float32, (d/dcol, d/drow), per pixel.

    Notes
    -----
    Sums are ordered so that the derivative of a mirrored field is mirrored to the last bit.
    """
    if kind == "central":
        return np.stack([np.gradient(fields, axis=-1), np.gradient(fields, axis=-2)], axis=-1)
    edge = [(0, 0)] * (fields.ndim - 2) + [(1, 1), (1, 1)]
    padded = np.pad(fields, edge, mode="symmetric")
    along_cols = padded[..., :, :-2] - padded[..., :, 2:]
    along_rows = padded[..., :-2, :] - padded[..., 2:, :]
    d_col = (along_cols[..., :-2, :] + along_cols[..., 2:, :]) + along_cols[..., 1:-1, :]
    d_row = (along_rows[..., :, :-2] + along_rows[..., :, 2:]) + along_rows[..., :, 1:-1]
    return np.stack([d_col, d_row], axis=-1)


def check_flow(flow: ArrayLike) -> NDArray[np.float32]:
    """Return `flow` as float32; `InputError` unless (fields, H >= 2, W >= 2, 2), finite, at most 16384."""
    flow = np.asarray(flow)
    if flow.ndim != 4 or flow.shape[-1] != 2 or min(flow.shape[:3]) < 1 or min(flow.shape[1:3]) < 2:
        raise InputError(f"flow: expected shape (fields, rows, cols, 2), found {flow.shape}")
    if not np.issubdtype(flow.dtype, np.floating):
        raise InputError(f"flow: expected floating point pixels per frame, found dtype {flow.dtype}")
    with np.errstate(over="ignore"):  # values beyond float32 are refused below
        single = flow.astype(np.float32, copy=False)
    if not (single.max() <= MAX_FLOW and single.min() >= -MAX_FLOW):  # false for NaN as well
        raise InputError(
            f"flow: expected finite values of at most {MAX_FLOW:g} pixels, found NaN or larger ones: "
            "fix or drop the clip"
        )
    return single


def flow_derivatives(flow: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Return the derivatives of every flow field: (2, fields, H, W, 2), first those of u, then those of v."""
    return derivatives(np.moveaxis(flow, -1, 0), kind)


def sum_boundaries(per_field: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum the boundaries over all fields: (2, fields, H, W, 2) -> (2, H, W, 2) float32, Mu and Mv."""
    return per_field.sum(axis=1, dtype=np.float64).astype(np.float32)


def magnitudes(gradient: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the length of each vector of (..., 2), rounded to units of 2**-20 pixels."""
    wide = gradient.astype(np.float64)
    length = np.sqrt(wide[..., 0] ** 2 + wide[..., 1] ** 2)
    return np.rint(length * UNITS_PER_PIXEL).astype(np.int64)


def check_sums(lengths: NDArray[np.int64], pixels: int) -> None:
    """Check that sums over that many pixels fit in 64 bits, by the largest of the `magnitudes`.

    By default, they fit for any flow that `check_flow` accepts; for 256 frames, up to views of 498 pixels.

    Raises
    ------
    InputError
        They may not fit.
    """
    largest = int(lengths.max())
    if largest * pixels >= 2**63:
        raise InputError(
            f"flow: expected summed boundaries of less than {2**63 / pixels / UNITS_PER_PIXEL:.0f} pixels in "
            f"views of {pixels} pixels, found {largest / UNITS_PER_PIXEL:.0f}: fix or drop the clip"
        )


def motion_boundaries(
    flow: NDArray[np.float32], convention: str = "paper"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the summed motion boundaries Mu and Mv of a clip (paper, equation 1).

    Parameters
    ----------
    flow
        (fields, H, W, 2) floating point, (u, v) in pixels per frame.
    convention
        ``"paper"`` or ``"authors"``, which define the derivative.

    Returns
    -------
    Mu, Mv
        Each (H, W, 2) float32: (sum of du/dcol, sum of du/drow) and (sum of dv/dcol, sum of dv/drow).

    Raises
    ------
    InputError
        If the flow has a wrong shape or dtype, or values that are not finite or beyond 16384 pixels.
    ConfigError
        If the convention is unknown.
    """
    mu, mv = sum_boundaries(flow_derivatives(check_flow(flow), get_convention(convention).derivative))
    return mu, mv
