"""One video to its labelled clips: decode, cut into clips, compute flow and labels.

This is all that happens to a video between its file and its shard; it runs in the supervised process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mas_labels.config import LabelConfig
from mas_labels.errors import VideoError
from mas_labels.flow.estimators import compute_flow
from mas_labels.flow.stored_flow import StoredFlow, open_flow, resize_flow
from mas_labels.labels.compute import ClipStatistics, clip_statistics
from mas_labels.labels.views import NO_VIEWS, view_table
from mas_labels.pipeline.job import Job
from mas_labels.video.clips import cut_clips
from mas_labels.video.open_video import open_video
from mas_labels.video.reader import COMPUTING_ERRORS, FrameReader, VideoFacts, computing_error
from mas_labels.video.shot_cut import has_cut

cached_view_table = lru_cache(view_table)

ALL_CLIP_NUMBERS: Final[Sequence[int]] = range(2**63)
"""Stands for the numbers of all clips of any video."""


def views_of(config: LabelConfig) -> NDArray[np.int16]:
    """Return the table of views that are labelled, (V, 3) int16; V is 0 for frames only."""
    if config.frames_only:
        return NO_VIEWS
    return cached_view_table(config.view_stride_pixels, config.view_mirrored, config.geometry)


def label_clip(
    frames: NDArray[np.uint8],
    config: LabelConfig,
    views: NDArray[np.int16],
    flow: NDArray[np.float32] | None = None,
) -> tuple[ClipStatistics | None, NDArray[np.float32] | None]:
    """Compute statistics and flow of a clip, (frames, rows, cols, 3) uint8 RGB; both None for frames only.

    A `flow` that is given is not computed.
    """
    if config.frames_only:
        return None, None
    if flow is None:
        flow = compute_flow(frames, config.flow)
    return clip_statistics(frames, flow, views, config.convention, config.geometry), flow


@dataclass(frozen=True)
class LabelledClip:
    """One clip, ready for its shard.

    Attributes
    ----------
    start_frame
        Number of its first frame in the video, from 0.
    frames
        (frames, rows, cols, 3) uint8 RGB.
    statistics
        Labels of all views, motion boundaries; None for frames only.
    flow
        (frames - 1, rows, cols, 2) float32, u and v in pixels per frame; None if it is not stored.
    facts
        Facts of the video when the clip's last frame had been decoded.
    """

    start_frame: int
    frames: NDArray[np.uint8]
    statistics: ClipStatistics | None
    flow: NDArray[np.float32] | None
    facts: VideoFacts


@dataclass(frozen=True)
class SkippedClip:
    """A clip that `LabelConfig.skip_cuts` leaves out; `start_frame` is the number of its first frame."""

    start_frame: int


LabelMessage: TypeAlias = LabelledClip | SkippedClip | VideoFacts


@dataclass(frozen=True)
class LabelJob(Job[LabelMessage]):
    """A video to label; its clips, in order, then the facts of its file, also if it breaks off.

    Attributes
    ----------
    path
        The video.
    config
        All options.
    clip_numbers
        Numbers of the clips to label, ascending. Others are only decoded; decoding ends after the last.
    done
        Number of these that were dealt with before.
    flow_from, name
        Folder of stored flow, and the video's path in the data set; None: flow is computed.
    """

    path: Path
    config: LabelConfig
    clip_numbers: Sequence[int] = ALL_CLIP_NUMBERS
    done: int = 0
    flow_from: Path | None = None
    name: str = ""
    results: ClassVar[tuple[type, ...]] = (LabelledClip, SkippedClip, VideoFacts)
    unit: ClassVar[str] = "clip"
    doing: ClassVar[str] = "labelling"
    did: ClassVar[str] = "labelled it"

    def run(self, on_alive: Callable[[], None]) -> Iterator[LabelMessage]:
        """Label the remaining clips (`Job.run`)."""
        reader = open_video(self.path, self.config.frame_rate)
        try:
            flow = None
            if self.flow_from is not None:
                flow = open_flow(self.flow_from, self.name, self.config.flow_bound)
            yield from label_video(reader, self.config, self.clip_numbers[self.done :], on_alive, flow)
        except Exception:
            yield reader.facts
            raise
        yield reader.facts

    def after(self, message: LabelMessage) -> Self:
        """Return the job without a clip that has come, or was left out (`Job.after`)."""
        return replace(self, done=self.done + isinstance(message, LabelledClip | SkippedClip))


def label_video(
    reader: FrameReader,
    config: LabelConfig,
    clip_numbers: Sequence[int] = ALL_CLIP_NUMBERS,
    on_frame: Callable[[], None] = lambda: None,
    stored: StoredFlow | None = None,
) -> Iterator[LabelledClip | SkippedClip]:
    """Decode a video and label its clips.

    Parameters
    ----------
    reader
        The video.
    config
        All options.
    clip_numbers
        Numbers of the clips to label, ascending. Others are only decoded; decoding ends after the last.
    on_frame
        Called for each decoded frame: shows that the decoder does not hang.
    stored
        The video's flow; None: it is computed.

    Yields
    ------
    LabelledClip, SkippedClip
        In order.

    Raises
    ------
    VideoError
        If the video gives no clip, or cannot be decoded or labelled after some; or `stored` does not fit it.

    Notes
    -----
    With `stored`, the video is decoded twice. Fields are only known to belong to its frames if their numbers
    fit, and the number of frames in a header is not trusted.
    """
    number, geometry, decoded = 0, config.geometry, _call_for_each(reader, on_frame)
    if stored is not None:
        stored = stored.starting_at(*_count_frames(reader, on_frame), reader.path)
    try:
        for start_frame, frames in cut_clips(decoded, config.clip_stride_frames, geometry):
            if number in clip_numbers and config.skip_cuts and has_cut(frames):
                yield SkippedClip(start_frame)
            elif number in clip_numbers:
                flow = None
                if stored is not None:
                    flow = stored.read(start_frame, start_frame + len(frames) - 1)
                    flow = resize_flow(flow, *frames.shape[1:3])
                statistics, flow = label_clip(frames, config, views_of(config), flow)
                kept_flow = flow if config.store_flow else None
                yield LabelledClip(start_frame, frames, statistics, kept_flow, reader.facts)
            number += 1
            if number > clip_numbers[-1]:
                return
    except COMPUTING_ERRORS as error:
        what = f"clip {number} could not be labelled"
        raise computing_error("labels", "not_labelled", what, error) from error
    if number == 0:
        message = f"{reader.frames} frames decoded, a clip needs {geometry.extent}"
        raise VideoError("clips", "too_short", message)


def _call_for_each(reader: FrameReader, on_frame: Callable[[], None]) -> Iterator[NDArray[np.uint8]]:
    for frame in reader:
        on_frame()
        yield frame


def _count_frames(reader: FrameReader, on_frame: Callable[[], None]) -> tuple[int, bool]:
    """Return the number of frames that decode, and whether these are all."""
    is_complete = True
    try:
        for _ in _call_for_each(reader, on_frame):
            pass
    except VideoError:  # raised again after the last clip
        is_complete = False
    return reader.frames, is_complete
