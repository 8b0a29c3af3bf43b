"""Sources of clips with one interface: videos, decoded while the network computes, and shards."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property
from itertools import chain
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mas_labels.errors import DatasetError
from mas_labels.geometry import Geometry
from mas_labels.shards import Failure, ShardSet
from mas_labels.stream import (
    ClipOptions,
    StreamedClip,
    StreamedVideo,
    VideoInputs,
    clip_seconds,
    stream_clips,
)
from mas_train.data.auto_workers import usable_cores
from mas_train.data.few_labels import failed_videos
from mas_train.data.loader import load_frames, print_note

CPU: Final = torch.device("cpu")


class ClipPlace(NamedTuple):
    """A clip's place in its video."""

    video: str
    """Name of the video, `/` between folders."""
    start_frame: int
    """Number of its first frame in the video, from 0."""
    end_frame: int
    """Number of the frame after its last."""
    start_seconds: float
    """Time of its first frame, from the video's first one; NaN for extracted frames."""
    end_seconds: float
    """Time of the frame after its last."""

    def describe(self) -> dict[str, int | float | None]:
        """Return frames and times by name, for a row of its video; times that are unknown are None."""
        values = {name: value for name, value in self._asdict().items() if name != "video"}
        return {name: None if math.isnan(value) else value for name, value in values.items()}


class EndedVideo(NamedTuple):
    """A video all of whose clips have come."""

    name: str
    clips: int
    failure: Failure | None
    """The reason why it could not be used, or not all of it; None if it could."""
    is_unreadable: bool = False
    """True if the machine could not read it, or it is gone: trying again may help."""


class SourceBatch(NamedTuple):
    """Clips that are computed together, in the order of the source."""

    frames: Tensor
    """(n, frames, rows, cols, 3) uint8 RGB; n may be 0. On a CPU it holds until the next batch is taken."""
    clips: tuple[ClipPlace, ...]
    """The n clips; those of a video follow one another."""
    ended: tuple[EndedVideo, ...]
    """The videos that ended with this batch or just before it, in order; each video ends once."""


class FrameSource(Protocol):
    """Clips to run a network over.

    Attributes
    ----------
    geometry
        Sizes of the clips.
    videos
        Names of all videos, in order.
    classes
        Name of each video whose class is known -> its class.
    notes
        Lines for the user on what was left out.
    failures
        The videos that could not be used, or not all of them; complete after the last batch.
    cut
        What the clips follow from, besides the videos and the geometry.
    """

    geometry: Geometry
    videos: Sequence[str]
    classes: Mapping[str, str]
    notes: Sequence[str]
    failures: list[Failure]
    cut: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of names and classes of the videos, and of what tells that their content is the same."""

    def batches(
        self, batch_size: int, workers: int | None, device: torch.device = CPU, done: Collection[str] = ()
    ) -> Iterator[SourceBatch]:
        """Yield the clips in order, without those of the videos `done`; `workers` work ahead.

        They are processes that read shards or decode videos; None has their number chosen.
        Frames are on `device`, or on the CPU to be copied there. Closing the iterator ends the workers.
        """


class ShardSource:
    """The clips of shards: see `FrameSource`.

    Raises
    ------
    DatasetError
        If two videos have one name.
    """

    def __init__(self, shards: ShardSet) -> None:
        self.shards = shards
        self.geometry = shards.geometry
        self.notes: Sequence[str] = ()
        self.failures: list[Failure] = []
        self.cut: Mapping[str, Any] = {"shards": text_digest(*shards.identity)}
        self._used = shards.videos
        lost, numbers = failed_videos(shards)
        self._lost = lost
        self.videos: Sequence[str] = [*(video.path for video in self._used), *lost]
        classes = {video.path: video.class_name for video in self._used if video.class_name is not None}
        known = zip(lost, numbers.tolist(), strict=True)
        classes |= {name: shards.classes[number] for name, number in known if number >= 0}
        self.classes: Mapping[str, str] = classes
        if twice := sorted(name for name, count in Counter(self.videos).items() if count > 1):
            raise DatasetError(f"two videos of the shards have the name {twice[0]}: give them separately")

    @property
    def digest(self) -> str:
        """SHA-256 of the content of the shards (`FrameSource.digest`)."""
        return str(self.cut["shards"])

    def batches(
        self, batch_size: int, workers: int | None, device: torch.device = CPU, done: Collection[str] = ()
    ) -> Iterator[SourceBatch]:
        """Yield the clips (`FrameSource.batches`); errors are those of `load_batches`."""
        failures = {failure.video: failure for failure in self.shards.failures}
        self.failures = list(failures.values())
        of_clips = self.shards.clip_videos()
        is_last = np.append(of_clips[1:] != of_clips[:-1], True)
        is_left = np.array([video.path not in done for video in self._used], bool)
        chosen = np.flatnonzero(is_left[of_clips]).tolist()
        order = [chosen[start : start + batch_size] for start in range(0, len(chosen), batch_size)]
        for batch in load_frames(self.shards, order, workers, device) if order else ():
            clips = batch.clip_indices.numpy()
            ended = (self._used[number] for number in of_clips[clips[is_last[clips]]])
            yield SourceBatch(
                batch.frames,
                tuple(self._place(clip) for clip in clips.tolist()),
                tuple(EndedVideo(video.path, video.clips, failures.get(video.path)) for video in ended),
            )
        lost = [EndedVideo(name, 0, failures[name]) for name in self._lost if name not in done]
        if lost:
            empty = torch.empty((0, *self.geometry.clip_shape), dtype=torch.uint8)
            yield SourceBatch(empty, (), tuple(lost))

    @cached_property
    def _columns(self) -> tuple[NDArray[Any], ...]:
        """Video, first frame, and seconds of begin and end of every clip: (N,) each."""
        parts = [np.empty(0, np.int64)]
        parts += [
            shard.read("clips/start_frame")[self.shards.rows(n)] for n, shard in self.shards.each_shard()
        ]
        starts, videos = np.concatenate(parts).astype(np.int64), self.shards.clip_videos()
        rates = np.array([video.fps for video in self._used], np.float64)
        return (videos, starts, *clip_seconds(starts, self.geometry.extent, rates[videos]))

    def _place(self, clip: int) -> ClipPlace:
        """Return the place of a clip."""
        video, start, begin, end = (column[clip].item() for column in self._columns)
        return ClipPlace(self._used[video].path, start, start + self.geometry.extent, begin, end)


class VideoSource:
    """The clips of videos, decoded by supervised processes: see `FrameSource`.

    Parameters
    ----------
    inputs
        The videos.
    options
        The clips to cut from them.
    timeout_seconds
        As in `SourceOptions`.
    """

    def __init__(self, inputs: VideoInputs, options: ClipOptions, timeout_seconds: float) -> None:
        self.inputs, self.options, self.timeout_seconds = inputs, options, timeout_seconds
        self.geometry = options.geometry
        self.videos: Sequence[str] = list(inputs.videos)
        self.classes: Mapping[str, str] = inputs.classes
        self.notes: Sequence[str] = inputs.notes
        self.cut: Mapping[str, Any] = {"clip_stride_frames": options.clip_stride_frames, "fps": options.fps}
        self.failures: list[Failure] = []

    @property
    def digest(self) -> str:
        """SHA-256 of names, classes, sizes and times of the files (`FrameSource.digest`)."""
        lines = []
        for name, path in self.inputs.videos.items():
            facts = None
            with suppress(OSError):  # whoever decodes it reports it
                facts = path.stat()
            state = None if facts is None else (facts.st_size, facts.st_mtime_ns)
            lines.append(f"{name!r} {self.classes.get(name)!r} {state}")
        return text_digest(*lines)

    def batches(
        self, batch_size: int, workers: int | None, device: torch.device = CPU, done: Collection[str] = ()
    ) -> Iterator[SourceBatch]:
        """Yield the clips (`FrameSource.batches`); at least one process decodes."""
        self.failures = []
        left = {name: path for name, path in self.inputs.videos.items() if name not in done}
        clips: list[StreamedClip] = []
        ended: list[EndedVideo] = []
        if workers is None:
            workers = usable_cores()
            print_note(f"--workers auto: {workers} processes decode videos")
        stream = stream_clips(left, self.options, max(1, workers), self.timeout_seconds)
        with closing(stream):  # type: ignore[type-var]
            for item in chain(stream, (None,)):
                if isinstance(item, StreamedVideo):
                    ended.append(self._end(item))
                elif item is not None:
                    clips.append(item)
                if len(clips) == batch_size or (item is None and (clips or ended)):
                    yield self._batch(clips, ended, device)
                    clips, ended = [], []

    def _end(self, video: StreamedVideo) -> EndedVideo:
        """Note a video's failure, if any; return its end."""
        reason, failure = video.failure, None
        if reason is not None:
            failure = Failure(video.video, reason.stage, reason.code, reason.message)
            self.failures.append(failure)
        return EndedVideo(video.video, video.clips, failure, video.is_unreadable)

    def _batch(
        self, clips: Sequence[StreamedClip], ended: Sequence[EndedVideo], device: torch.device
    ) -> SourceBatch:
        """Put clips into one array; for CUDA into pinned memory, so that copies overlap with computation."""
        frames = torch.empty((len(clips), *self.geometry.clip_shape), dtype=torch.uint8)
        frames = frames.pin_memory() if device.type == "cuda" else frames
        for row, clip in zip(frames.numpy(), clips, strict=True):
            row[:] = clip.frames
        places = (
            ClipPlace(clip.video, clip.start_frame, clip.end_frame, clip.start_seconds, clip.end_seconds)
            for clip in clips
        )
        return SourceBatch(frames, tuple(places), tuple(ended))


def text_digest(*texts: str) -> str:
    """Return the SHA-256 of lines, in hexadecimal."""
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogateescape")).hexdigest()
