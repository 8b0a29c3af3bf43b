"""The display matrix of a frame: by which it is turned by quarters and mirrored before it is shown.

Phones and cameras store frames as the sensor saw them, and beside them the matrix that takes a stored pixel
(x, y) to its place on the screen: ``x' = a x + c y``, ``y' = b x + d y`` (ISO/IEC 14496-12, 8.3.2). Players
apply its turning and mirroring, not its scale and its shift; so do we.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray

TOLERANCE = 0.01
"""Of the entries of a matrix that turns by quarters, 0 or 1 in size: half a degree, as ffmpeg rounds."""


def display_matrix(frame: VideoFrame) -> NDArray[np.int32] | None:
    """Return the matrix ``[[a, b], [c, d]]`` that a decoded frame carries, in any scale; None without one.

    FFmpeg gives a frame the matrix of its bitstream, or else of its file.
    """
    found: Any = frame.side_data.get("DISPLAYMATRIX")
    return None if found is None else np.frombuffer(found, np.int32).reshape(3, 3)[:2, :2]


def as_shown(picture: NDArray[np.uint8], matrix: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """Turn and mirror a picture.

    Parameters
    ----------
    picture
        (rows, cols, channels).
    matrix
        From `display_matrix`. One that turns by another angle than quarters, or slants, is not applied:
        most players show such frames as they are.

    Returns
    -------
    A view of `picture`, or `picture` itself.
    """
    if matrix is None:
        return picture
    lengths = np.hypot(*matrix.astype(np.float64))
    if not lengths.all():
        return picture
    unit = matrix / lengths
    kept, swapped = np.abs(np.diag(unit)), np.abs(np.diag(unit[::-1]))
    if kept.min() > 1 - TOLERANCE and swapped.max() < TOLERANCE:
        steps = np.sign(np.diag(unit))  # a, d: of x', y'
    elif swapped.min() > 1 - TOLERANCE and kept.max() < TOLERANCE:
        picture = picture.swapaxes(0, 1)
        steps = np.sign(np.diag(unit[::-1]))  # c, b: of x', y'
    else:
        return picture
    along_cols, along_rows = steps.astype(int)
    return picture[::along_rows, ::along_cols]


def _take_unknown_kinds() -> None:
    """Let PyAV name kinds of side data that are newer than its list, such as EXIF: one of them hides all."""

    def unknown(cls: type[Type], number: object) -> Any:
        kind: Any = object.__new__(cls)
        kind._name_, kind._value_ = f"UNKNOWN_{number}", number
        return kind

    Type._missing_ = classmethod(unknown)  # type: ignore[assignment]


_take_unknown_kinds()
