"""Resizes frames and cuts them into clips; by default 16 frames of 128 x 171 (paper, section 3.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.video.area_average import make_area_average


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


def resize_frame(
    frame: NDArray[np.uint8], rows: int = DEFAULT_GEOMETRY.frame_rows, cols: int = DEFAULT_GEOMETRY.frame_cols
) -> NDArray[np.uint8]:
    """Resize a BGR frame and convert it to RGB.

    Parameters
    ----------
    frame
        (any rows, any columns, 3) uint8 BGR.

    Returns
    -------
    (rows, cols, 3) uint8 RGB.

    Notes
    -----
    The paper does not name the interpolation; see `resize`. The aspect ratio is not kept, as in the paper.
    """
    if frame.shape[0] >= rows and frame.shape[1] >= cols:
        return make_area_average()(frame, rows, cols)
    return cv2.cvtColor(resize(frame, rows, cols), cv2.COLOR_BGR2RGB)


def cut_clips(
    frames: Iterable[NDArray[np.uint8]],
    stride_frames: int | None = None,
    geometry: Geometry = DEFAULT_GEOMETRY,
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Cut a stream of frames into clips.

    Parameters
    ----------
    frames
        (rows, cols, 3) uint8 BGR each.
    stride_frames
        Frames of the stream from the start of one clip to the start of the next; None: as many as a clip
        spans, so that clips do not overlap, as in the paper.
    geometry
        Number, distance and size of a clip's frames.

    Yields
    ------
    start_frame, (frames, rows, cols, 3) uint8 RGB: frames start_frame, start_frame + frame_step, and so on.
    An incomplete clip at the end is dropped.
    """
    stride_frames = stride_frames or geometry.extent
    begun: deque[tuple[int, list[NDArray[np.uint8]]]] = deque()
    for index, frame in enumerate(frames):
        if index % stride_frames == 0:
            begun.append((index, []))
        takers = [clip for start, clip in begun if (index - start) % geometry.frame_step == 0]
        if takers:
            resized = resize_frame(frame, geometry.frame_rows, geometry.frame_cols)
        for clip in takers:
            clip.append(resized)
        if begun and len(begun[0][1]) == geometry.clip_frames:
            start, clip = begun.popleft()
            yield start, np.stack(clip)
