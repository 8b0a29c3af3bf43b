"""Sources of clips with one interface: videos, decoded while the network computes, and shards."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.geometry import Geometry
from mas_labels.shards import Failure, ShardSet, open_shards
from mas_labels.stream import (
    ClipOptions,
    StreamedClip,
    StreamedVideo,
    VideoInputs,
    clip_seconds,
    find_inputs,
    stream_clips,
)
from mas_train.data.few_labels import failed_videos
from mas_train.data.loader import load_frames
from mas_train.inference.options import SourceOptions

SHARD_SUFFIX: Final = ".h5"
SHARD_START: Final = b"A shard of mas-labels"
"""First bytes of a shard."""
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


class EndedVideo(NamedTuple):
    """A video all of whose clips have come."""

    name: str
    clips: int
    failure: Failure | None
    """The reason why it could not be used, or not all of it; None if it could."""


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
    """

    geometry: Geometry
    videos: Sequence[str]
    classes: Mapping[str, str]
    notes: Sequence[str]
    failures: list[Failure]

    def batches(
        self, batch_size: int, workers: int, device: torch.device = CPU, done: Collection[str] = ()
    ) -> Iterator[SourceBatch]:
        """Yield the clips in order, without those of the videos `done`; `workers` processes work ahead.

        Frames are on `device`, or on the CPU to be copied there. Closing the iterator ends the processes.
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
        self._used = shards.videos
        lost, numbers = failed_videos(shards)
        self._lost = lost
        self.videos: Sequence[str] = [*(video.path for video in self._used), *lost]
        classes = {video.path: video.class_name for video in self._used if video.class_name is not None}
        known = zip(lost, numbers.tolist(), strict=True)
        classes |= {name: shards.classes[number] for name, number in known if number >= 0}
        self.classes: Mapping[str, str] = classes
        if len(set(self.videos)) < len(self.videos):
            twice = sorted(name for name in self.videos if self.videos.count(name) > 1)
            raise DatasetError(f"two videos of the shards have the name {twice[0]}: give them separately")

    def batches(
        self, batch_size: int, workers: int, device: torch.device = CPU, done: Collection[str] = ()
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
        self.failures: list[Failure] = []

    def batches(
        self, batch_size: int, workers: int, device: torch.device = CPU, done: Collection[str] = ()
    ) -> Iterator[SourceBatch]:
        """Yield the clips (`FrameSource.batches`); at least one process decodes."""
        self.failures = []
        left = {name: path for name, path in self.inputs.videos.items() if name not in done}
        clips: list[StreamedClip] = []
        ended: list[EndedVideo] = []
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
        return EndedVideo(video.video, video.clips, failure)

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


def open_source(
    paths: Sequence[Path], options: SourceOptions, geometry: Geometry
) -> ShardSource | VideoSource:
    """Open shards, or find videos.

    Parameters
    ----------
    paths
        Shards (``.h5``) and folders of shards; or videos, folders of videos, and lists (``.txt``).
    options
        The clips to take; all are of videos.
    geometry
        That of the clips to cut from videos; shards have their own.

    Raises
    ------
    ConfigError
        If shards come with videos, or with options that belong to videos.
    MasError
        The errors of `mas_labels.shards.open_shards` and `mas_labels.stream.find_inputs`.
    """
    are_shards = [_is_shard(path) for path in paths]
    if paths and all(are_shards):
        if options != SourceOptions(video_timeout_seconds=options.video_timeout_seconds):
            raise ConfigError(
                f"{paths[0]} holds shards, whose clips are cut already: leave out --manifest, --root, "
                "--split, --splits, --follow-links, --clip-stride and --fps, or give the videos"
            )
        return ShardSource(open_shards(list(paths)))
    if any(are_shards):
        shards, videos = paths[are_shards.index(True)], paths[are_shards.index(False)]
        raise ConfigError(f"expected shards or videos, found both, {shards} and {videos}: take one at a time")
    names = ("manifest", "root", "split", "splits_dir", "follow_links")
    inputs = find_inputs(paths, **{name: getattr(options, name) for name in names})
    clips = ClipOptions(geometry, options.clip_stride_frames, options.fps)
    if clips.fps and inputs.has_extracted:
        raise ConfigError("--fps: extracted frames have no time stamps: give the videos, or leave it out")
    return VideoSource(inputs, clips, options.video_timeout_seconds)


def _is_shard(path: Path) -> bool:
    """Return whether a path names shards: a file or pattern ``.h5``, or a folder that holds one."""
    if path.suffix == SHARD_SUFFIX:
        return True
    return path.is_dir() and any(map(_begins_as_shard, path.glob(f"*{SHARD_SUFFIX}")))


def _begins_as_shard(path: Path) -> bool:
    """Return whether a file begins as shards do; False also if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(SHARD_START)) == SHARD_START
    except OSError:
        return False
