"""Resizes frames and cuts them into clips of 16 frames at 128 x 171 (paper, section 3.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.schema import CLIP_FRAMES, FRAME_COLS, FRAME_ROWS


def check_frames(frames: NDArray[np.uint8]) -> None:
    """Raise `InputError` unless `frames` is (T, H, W, 3) uint8 with at least one frame."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.shape[0] < 1:
        raise InputError(f"frames: expected shape (frames, rows, cols, 3), found {frames.shape}")
    if frames.dtype != np.uint8:
        raise InputError(f"frames: expected RGB as uint8, found dtype {frames.dtype}")


def resize(frame: NDArray[np.uint8], rows: int, cols: int) -> NDArray[np.uint8]:
    """Resize a frame: area averages along a side that shrinks, linear interpolation along one that grows.

    Parameters
    ----------
    frame
        (any rows, any columns, channels) uint8.

    Returns
    -------
    (rows, cols, channels) uint8.

    Notes
    -----
    Averaging prevents aliasing, which would be seen as motion. If one side shrinks and the other one grows,
    averaging comes first, and its result is rounded to whole numbers.
    """
    averaged = min(rows, frame.shape[0]), min(cols, frame.shape[1])
    if averaged != frame.shape[:2]:
        frame = cv2.resize(frame, averaged[::-1], interpolation=cv2.INTER_AREA)
    if averaged != (rows, cols):
        frame = cv2.resize(frame, (cols, rows), interpolation=cv2.INTER_LINEAR)
    return frame


def resize_frame(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize a BGR frame to 128 x 171 and convert it to RGB.

    Parameters
    ----------
    frame
        (rows, cols, 3) uint8 BGR.

    Returns
    -------
    (128, 171, 3) uint8 RGB.

    Notes
    -----
    The paper does not name the interpolation; see `resize`. The aspect ratio is not kept, as in the paper.
    """
    return cv2.cvtColor(resize(frame, FRAME_ROWS, FRAME_COLS), cv2.COLOR_BGR2RGB)


def cut_clips(
    frames: Iterable[NDArray[np.uint8]], stride_frames: int = CLIP_FRAMES
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Cut a stream of frames into clips of 16 frames.

    Parameters
    ----------
    frames
        (rows, cols, 3) uint8 BGR each.
    stride_frames
        Frames from the start of one clip to the start of the next; 16: no overlap, as in the paper.

    Yields
    ------
    start_frame, (16, 128, 171, 3) uint8 RGB. An incomplete clip at the end is dropped.
    """
    window: list[NDArray[np.uint8]] = []
    next_start = 0
    for index, frame in enumerate(frames):
        if index < next_start:
            continue
        window.append(resize_frame(frame))
        if len(window) == CLIP_FRAMES:
            yield next_start, np.stack(window)
            next_start += stride_frames
            window = window[stride_frames:]
