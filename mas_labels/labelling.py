"""One video -> its clips with their labels: what happens to a video between its file and its shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.clips import cut_clips
from mas_labels.config import LabelConfig
from mas_labels.errors import InputError, VideoError
from mas_labels.flow import compute_flow
from mas_labels.labels import ClipStatistics, clip_statistics
from mas_labels.schema import CLIP_FRAMES
from mas_labels.video import VideoFacts, VideoReader
from mas_labels.views import NO_VIEWS, view_table


@lru_cache
def stored_views(config: LabelConfig) -> NDArray[np.int16]:
    """Return the table of views that shards of these options hold: (V, 3) int16."""
    return NO_VIEWS if config.frames_only else view_table(config.view_stride_pixels, config.view_mirrored)


@dataclass(frozen=True)
class LabelledClip:
    """One clip, ready for its shard.

    Attributes
    ----------
    start_frame
        Number of its first frame in the video, from 0.
    frames
        (16, 128, 171, 3) uint8 RGB.
    statistics
        Labels of all views, motion boundaries; None with `LabelConfig.frames_only`.
    flow
        (15, 128, 171, 2) float32; None where it is not kept.
    facts
        What was known of the video when the clip's last frame had been decoded.
    """

    start_frame: int
    frames: NDArray[np.uint8]
    statistics: ClipStatistics | None
    flow: NDArray[np.float32] | None
    facts: VideoFacts


def label_video(
    reader: VideoReader,
    config: LabelConfig,
    wanted: range | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> Iterator[LabelledClip]:
    """Decode a video and label its clips.

    Parameters
    ----------
    reader
        The video.
    config
        All options.
    wanted
        Numbers of the clips to label, a range of step 1; None means all. Those before it are decoded only,
        decoding ends with its last.
    on_frame
        Called for each frame decoded: a sign of life.

    Yields
    ------
    LabelledClip, in order.

    Raises
    ------
    VideoError
        If the video gives no clip, or breaks after some.
    """
    wanted = range(2**63) if wanted is None else wanted
    number = 0
    try:
        for start_frame, frames in cut_clips(_with_sign_of_life(reader, on_frame), config.clip_stride_frames):
            if number in wanted:
                statistics, flow = (None, None) if config.frames_only else _label_clip(frames, config)
                yield LabelledClip(start_frame, frames, statistics, flow, reader.facts)
            number += 1
            if number == wanted.stop:
                return
    except (cv2.error, InputError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise VideoError(
            "labels", "not_labelled", f"clip {number} could not be labelled: {reason}"
        ) from error
    if number == 0:
        message = f"{reader.decoded_frames} frames decoded, a clip needs {CLIP_FRAMES}"
        raise VideoError("clips", "too_short", message)


def _label_clip(
    frames: NDArray[np.uint8], config: LabelConfig
) -> tuple[ClipStatistics, NDArray[np.float32] | None]:
    """Return the statistics of a clip, and its flow if that is kept."""
    flow = compute_flow(frames, config.flow)
    statistics = clip_statistics(frames, flow, stored_views(config), config.convention)
    return statistics, flow if config.store_flow else None


def _with_sign_of_life(reader: VideoReader, on_frame: Callable[[], None]) -> Iterator[NDArray[np.uint8]]:
    for frame in reader:
        on_frame()
        yield frame
