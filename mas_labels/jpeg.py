"""Frames as JPEG files in memory."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError


def encode_jpeg(frame: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Code one (rows, cols, 3) uint8 RGB frame; returns (bytes,) uint8."""
    written, data = cv2.imencode(
        ".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not written:
        raise InputError(f"OpenCV could not code a frame of shape {frame.shape} as JPEG")
    return data.ravel()


def decode_jpeg(data: NDArray[np.uint8], out: NDArray[np.uint8]) -> bool:
    """Decode (bytes,) uint8 into `out`, (rows, cols, 3) uint8 RGB; False if it is no picture of that size."""
    frame = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if frame is None or frame.shape != out.shape:
        return False
    cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=out)
    return True
