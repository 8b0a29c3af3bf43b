"""Rotates and mirrors frames by their display matrix, as players do.

Phones and cameras store frames as the sensor saw them, together with the matrix that maps a stored pixel
(x, y) to its position on the screen: ``x' = a x + c y``, ``y' = b x + d y`` (ISO/IEC 14496-12, 8.3.2).
Players apply its rotation by multiples of 90 degrees and its mirroring, but not its scale and shift; this
module does the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray

TOLERANCE = 0.01
"""Tolerance of the entries of a rotation by multiples of 90 degrees: half a degree, as FFmpeg rounds."""


def display_matrix(frame: VideoFrame) -> NDArray[np.int32] | None:
    """Return the display matrix ``[[a, b], [c, d]]`` of a decoded frame, in any scale; None without one.

    FFmpeg takes it from the bitstream, or else from the file.
    """
    # not `frame.side_data`: it would be stored in the frame that it refers to, and such a cycle lives until
    # Python's collector of garbage runs, hundreds of frames later
    side_data: Any = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    return None if side_data is None else np.frombuffer(side_data, np.int32).reshape(3, 3)[:2, :2]


def as_shown(picture: NDArray[np.uint8], matrix: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """Rotate and mirror a picture by a display matrix.

    Parameters
    ----------
    picture
        (rows, cols, channels).
    matrix
        From `display_matrix`. A rotation by another angle, or a shear, is not applied: most players show such
        frames as they are stored.

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


def _accept_unknown_types() -> None:
    """Let PyAV accept types of side data that it does not know, such as EXIF: one of them would hide all."""

    def unknown(cls: type[Type], number: object) -> Any:
        member: Any = object.__new__(cls)
        member._name_, member._value_ = f"UNKNOWN_{number}", number
        return member

    Type._missing_ = classmethod(unknown)  # type: ignore[assignment]


_accept_unknown_types()
