"""Clips of videos in order, decoded ahead by supervised processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mas_labels.errors import VideoError
from mas_labels.pipeline.label_video import LabelledClip
from mas_labels.pipeline.supervisor import VideoProcess
from mas_labels.stream.clip_job import ClipJob, ClipOptions
from mas_labels.video.reader import VideoFacts


@dataclass(frozen=True)
class StreamedClip:
    """One clip of a video.

    Attributes
    ----------
    video
        Name of the video.
    start_frame, end_frame
        Numbers of its first frame in the video, from 0, and of the frame after its last.
    start_seconds, end_seconds
        The same as times from the video's first frame (`clip_seconds`).
    frames
        (T, rows, cols, 3) uint8 RGB.
    """

    video: str
    start_frame: int
    end_frame: int
    start_seconds: float
    end_seconds: float
    frames: NDArray[np.uint8]


@dataclass(frozen=True)
class StreamedVideo:
    """The end of a video, after its last clip.

    Attributes
    ----------
    video
        Name of the video.
    clips, frames
        Number of its clips, and of its frames that were decoded.
    failure
        Why it, or a part of it, could not be used: its `stage`, `code` and `message`; None if nothing failed.
    """

    video: str
    clips: int
    frames: int
    failure: VideoError | None


def clip_seconds(
    start_frame: ArrayLike, frames: int, fps: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the times at which clips begin and end, seconds from the first frame of their videos.

    Parameters
    ----------
    start_frame
        Number of a clip's first frame in its video, or those of many clips.
    frames
        Number of the video's frames from a clip's first to its last (`Geometry.extent`).
    fps
        The video's rate, as shards store it; 0 if it has no times, as extracted frames: then both are NaN.
    """
    rate = np.asarray(fps, np.float64)
    rate = np.where(rate > 0, rate, np.nan)
    start = np.asarray(start_frame, np.int64)
    return start / rate, (start + frames) / rate


def stream_clips(
    videos: Mapping[str, Path], options: ClipOptions, workers: int, timeout_seconds: float
) -> Iterator[StreamedClip | StreamedVideo]:
    """Yield the clips of videos, in order, and after those of each video its end."""
    with closing(VideoProcess()) as process:
        for name, path in videos.items():
            clips, facts, failure = 0, VideoFacts(), None
            try:
                for message in process.do(ClipJob.of(path, options), timeout_seconds):
                    if isinstance(message, LabelledClip):
                        clips, facts = clips + 1, message.facts
                        extent: Any = options.geometry.extent
                        start, end = clip_seconds(message.start_frame, extent, facts.fps)
                        yield StreamedClip(
                            name,
                            message.start_frame,
                            message.start_frame + extent,
                            float(start),
                            float(end),
                            message.frames,
                        )
                    elif isinstance(message, VideoFacts):
                        facts = message
            except VideoError as error:
                failure = error.with_traceback(None)
            yield StreamedVideo(name, clips, facts.frames, failure)
