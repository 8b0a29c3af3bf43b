"""The flow of a whole video, in parts that are ready for its files; runs where the video is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError, VideoError
from mas_labels.flow.estimators import ESTIMATORS
from mas_labels.flow.grey import flow_to_grey
from mas_labels.flow.methods import MAX_SIDE, MIN_SIDE
from mas_labels.flow.options import FlowOptions
from mas_labels.video.clips import resize
from mas_labels.video.open_video import open_video
from mas_labels.video.reader import COMPUTING_ERRORS, FrameReader, computing_error

Grey = NDArray[np.uint8]
Flow = NDArray[np.float32]

MAX_FRAMES_PER_PART: Final = 16
PIXELS_PER_PART: Final = 1 << 20
"""Pixels of the frames of one part: memory stays small, and a part is far from the time limit of a video even
with the slowest estimator (OpenCV's TV-L1 takes 13 s for so many)."""

PNG_SETTINGS: Final = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
)
"""Of real flow, this makes the smallest files, in a third of the time of the highest compression."""


class EncodedPicture(NamedTuple):
    """An encoded picture: ``"u"``, ``"v"`` or ``"frames"``, its number from 0, and the bytes of its file."""

    kind: str
    number: int
    data: bytes


@dataclass(frozen=True)
class FlowPart:
    """The flow of some consecutive pairs of frames.

    Attributes
    ----------
    pairs
        Number of pairs; 0 in a part of frames alone.
    vectors
        Number of vectors of these pairs.
    clipped
        Number of vectors with a component beyond the bound of the pictures; 0 in arrays, which have none.
    fps
        Frames per second of the video, 0 if unknown.
    pictures
        Pictures of flow and of frames, in order.
    array
        (pairs, rows, cols, 2) in the type of `FlowOptions.dtype`, (u, v) in pixels; None for pictures.
    """

    pairs: int
    vectors: int
    clipped: int
    fps: float
    pictures: tuple[EncodedPicture, ...] = ()
    array: NDArray[Any] | None = None


def flow_parts(
    reader: FrameReader, options: FlowOptions, on_frame: Callable[[], None] = lambda: None
) -> Iterator[FlowPart]:
    """Decode a video, and compute and encode its flow.

    Parameters
    ----------
    reader
        The video, at the frame rate of the options.
    options
        All options.
    on_frame
        Called for each decoded frame: shows that the decoder does not hang.

    Yields
    ------
    FlowPart
        In order; all pairs together are one for each frame that has a partner.

    Raises
    ------
    VideoError
        If the video gives no pair, or cannot be decoded or computed; frames before that are returned first.
    """
    n_pairs = 0
    try:
        for part in _computed(reader, options, on_frame):
            n_pairs += part.pairs
            yield part
    except COMPUTING_ERRORS as error:
        what = f"the flow after {n_pairs} pairs could not be computed"
        raise computing_error("flow", "not_computed", what, error) from error
    if n_pairs == 0:
        message = f"{reader.frames} frames decoded, a pair needs {abs(options.step) + 1}"
        raise VideoError("flow", "too_short", message)


def video_flow(path: Path | str, **options: Any) -> Iterator[Flow]:
    """Estimate the flow of a video, one pair of frames after another.

    Parameters
    ----------
    path
        The video file, or extracted frames.
    options
        Those of `FlowOptions` that decide the numbers: `flow`, `size`, `short_side`, `fps`, `step`.

    Yields
    ------
    (H, W, 2) float32, (u, v) in pixels from the first frame of the pair to the second: u along columns to the
    right, v along rows downwards.

    Raises
    ------
    ConfigError
        If an option is invalid.
    VideoError
        If the video gives no pair, or cannot be decoded or computed; pairs before that come first.
    MissingDependencyError
        If the extension of ``"tvl1"`` was not built.
    """
    chosen = FlowOptions(format="npz", dtype="float32", **options)
    for part in flow_parts(open_video(Path(path), chosen.frame_rate), chosen):
        if part.array is not None:
            yield from part.array


def _computed(reader: FrameReader, options: FlowOptions, on_frame: Callable[[], None]) -> Iterator[FlowPart]:
    """Yield the parts of `flow_parts`."""
    window: list[Grey] = []
    n_pairs = n_frames = 0
    for frames in _batches(reader, options, on_frame):
        pictures = []
        if options.frames:
            pictures = [
                EncodedPicture("frames", number, encode_picture(frame, options))
                for number, frame in enumerate(frames, n_frames)
            ]
        window += [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
        n_frames += len(frames)
        flow = _estimate(window, options)
        window = window[-abs(options.step) :]
        yield _make_part(flow, n_pairs, pictures, reader.fps, options)
        n_pairs += len(flow)


def _batches(
    reader: FrameReader, options: FlowOptions, on_frame: Callable[[], None]
) -> Iterator[list[NDArray[np.uint8]]]:
    """Yield the resized frames, some at a time; those before an error come before it."""
    batch: list[NDArray[np.uint8]] = []
    failure = None
    try:
        for frame in reader:
            on_frame()
            batch.append(_fit(frame, options))
            if len(batch) >= min(MAX_FRAMES_PER_PART, PIXELS_PER_PART // batch[0][..., 0].size):
                yield batch
                batch = []
    except VideoError as error:
        failure = error
    if batch:
        yield batch
    if failure is not None:
        raise failure


def _fit(frame: NDArray[np.uint8], options: FlowOptions) -> NDArray[np.uint8]:
    """Resize a frame as the options say; raise `VideoError` for a size that estimators do not take."""
    rows, cols = options.frame_size(*frame.shape[:2])
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (rows, cols)):
        raise VideoError(
            "flow",
            "wrong_size",
            f"expected frames with sides of {MIN_SIDE} to {MAX_SIDE} pixels, found {rows} x {cols}: resize "
            "with --size",
        )
    return resize(frame, rows, cols)


def _estimate(window: list[Grey], options: FlowOptions) -> Flow:
    """Return the flow of all pairs within some consecutive frames, (pairs, rows, cols, 2).

    Every estimate is that of a chain of frames `step` apart, in which each pyramid is computed once.
    """
    step = abs(options.step)
    count = max(0, len(window) - step)
    flow = np.empty((count, *window[0].shape, 2), np.float32)
    for first in range(min(step, count)):
        chain = np.stack(window[first::step])
        if options.step > 0:
            flow[first::step] = ESTIMATORS[options.flow](chain)
        else:
            flow[first::step] = ESTIMATORS[options.flow](chain[::-1])[::-1]
    return flow


def _make_part(
    flow: Flow, first_pair: int, pictures: list[EncodedPicture], fps: float, options: FlowOptions
) -> FlowPart:
    """Encode the flow of some pairs; `pictures` are those of frames."""
    pairs, vectors = len(flow), flow[..., 0].size
    if options.layout.is_array:
        return FlowPart(pairs, vectors, 0, fps, tuple(pictures), flow.astype(options.dtype))
    for number, grey in enumerate(flow_to_grey(flow, options.bound), first_pair):
        pictures += [
            EncodedPicture(kind, number, encode_picture(grey[..., index], options))
            for index, kind in enumerate("uv")
        ]
    clipped = int((np.abs(flow) > options.bound).any(axis=-1).sum())
    return FlowPart(pairs, vectors, clipped, fps, tuple(pictures))


def encode_picture(picture: NDArray[np.uint8], options: FlowOptions) -> bytes:
    """Return a grey or BGR picture as the bytes of a file, the same on every run."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, options.quality] if options.picture == "jpg" else PNG_SETTINGS
    is_encoded, data = cv2.imencode(f".{options.picture}", picture, settings)
    if not is_encoded:
        raise InputError(f"OpenCV could not encode a picture of shape {picture.shape} as {options.picture}")
    return data.tobytes()
