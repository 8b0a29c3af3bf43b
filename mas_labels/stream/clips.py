"""Clips of videos in order, decoded ahead by supervised processes."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mas_labels.errors import ConfigError, UnavailableError, VideoError
from mas_labels.pipeline.label_video import LabelledClip
from mas_labels.pipeline.supervisor import VideoProcess
from mas_labels.stream.ahead import AheadBuffer, BufferClosedError
from mas_labels.stream.clip_job import ClipJob, ClipOptions
from mas_labels.video.reader import MACHINE_CODES, NO_FILE, VideoFacts

AHEAD_BYTES: Final = 32 << 20
"""Size of the clips that each worker may have decoded ahead of the consumer; at least one clip."""
MAX_UNREADABLE: Final = 16
"""Consecutive videos that cannot be read, or all if they are fewer, before the machine is at fault."""


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

    @property
    def is_unreadable(self) -> bool:
        """True if the machine could not read it, or it is gone: trying again may help."""
        return self.failure is not None and self.failure.code in (*MACHINE_CODES, NO_FILE)


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
    videos: Mapping[str, str | Path], options: ClipOptions, workers: int, timeout_seconds: float
) -> Iterator[StreamedClip | StreamedVideo]:
    """Return the clips of videos, decoded ahead while the caller uses them.

    They are those that `mas-labels make --frames raw` stores with the same options, bit by bit, also where a
    video breaks off.

    Parameters
    ----------
    videos
        Videos by name, such as `VideoInputs.videos`.
    options
        Which clips, and their size.
    workers
        Number of processes that decode, each one video at a time. What they have decoded ahead takes at most
        `AHEAD_BYTES` each, or one clip, however long the videos are.
    timeout_seconds
        Longest time without a decoded frame, after which a video has failed.

    Yields
    ------
    StreamedClip, StreamedVideo
        In the order of `videos`: the clips of each, then its end. A video that cannot be used, or only in
        part, is a `failure` of its end. Closing the iterator, or an exception in the loop over it, ends all
        processes.

    Raises
    ------
    ConfigError
        If `workers` or `timeout_seconds` is out of its range.
    UnavailableError
        If the machine gives no more processes, or cannot read any of `MAX_UNREADABLE` consecutive videos.
    WorkerError
        If the processes do not start, or fail for a reason other than the video.

    Examples
    --------
    ::

        from mas_labels.stream import ClipOptions, StreamedClip, find_inputs, stream_clips

        found = find_inputs(["videos/"])
        for item in stream_clips(found.videos, ClipOptions(), workers=4, timeout_seconds=60):
            if isinstance(item, StreamedClip):
                print(item.video, item.start_seconds, item.frames.shape)  # (16, 128, 171, 3)
            elif item.failure:
                print(item.video, item.failure.code, item.failure.message)
    """
    if workers < 1 or not timeout_seconds > 0:
        raise ConfigError(
            f"expected 1 worker or more and a timeout above 0 s, found {workers} and {timeout_seconds}"
        )
    # absolute: the processes, and this one by then, may have another working directory
    named = [(name, Path(path).absolute()) for name, path in videos.items()]
    items = _stream(named, options, min(workers, len(named)), timeout_seconds)
    return _check_machine(items, min(MAX_UNREADABLE, len(named)))


def _check_machine(
    items: Generator[StreamedClip | StreamedVideo, None, None], most: int
) -> Iterator[StreamedClip | StreamedVideo]:
    """Pass items on; raise `UnavailableError` instead of the ends of `most` videos that cannot be read.

    These wait for a video that can be read: if the disk is gone, nobody takes them for failures of videos.
    """
    unreadable: list[StreamedVideo] = []
    with closing(items):
        for item in items:
            if isinstance(item, StreamedVideo) and item.is_unreadable:
                unreadable.append(item)
                if 1 < len(unreadable) >= most:
                    number, name = len(unreadable), item.video
                    raise UnavailableError(
                        f"none of the last {number} videos could be read: {name!r}: {item.failure}"
                    )
            else:
                yield from unreadable
                unreadable.clear()
                yield item
        yield from unreadable


def _stream(
    videos: Sequence[tuple[str, Path]], options: ClipOptions, workers: int, timeout_seconds: float
) -> Generator[StreamedClip | StreamedVideo, None, None]:
    """Start the threads, yield what they decode, and end them."""
    clip_bytes = math.prod(options.geometry.clip_shape)
    capacity = workers * max(1, AHEAD_BYTES // clip_bytes)
    buffer: AheadBuffer[StreamedClip | StreamedVideo] = AheadBuffer(len(videos), capacity)
    job = partial(_decode_videos, buffer, videos, options, timeout_seconds)
    # daemons: a program that ends within its loop does not wait for them, and their processes end with it
    threads = [Thread(target=job, name=f"stream-{number}", daemon=True) for number in range(workers)]
    try:
        _start(threads)
        for number in range(len(videos)):
            for item in buffer.take(number):
                yield item
                if isinstance(item, StreamedVideo):
                    break
    finally:
        buffer.close()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _start(threads: Sequence[Thread]) -> None:
    try:
        for thread in threads:
            thread.start()
    except RuntimeError as error:
        raise UnavailableError(
            f"the machine gives no more threads ({error}): end other programs, or take fewer workers"
        ) from error


def _decode_videos(
    buffer: AheadBuffer[StreamedClip | StreamedVideo],
    videos: Sequence[tuple[str, Path]],
    options: ClipOptions,
    timeout_seconds: float,
) -> None:
    """Decode one video after another, in a process of this thread, until there is none left to decode."""
    with suppress(BufferClosedError), ExitStack() as stack:
        process = None
        while (number := buffer.claim()) is not None:
            try:
                if process is None:
                    process = stack.enter_context(closing(VideoProcess(buffer.check)))
                for item in _decode_video(process, *videos[number], options, timeout_seconds):
                    buffer.put(number, item)
            except BufferClosedError:
                raise
            except BaseException as error:  # the consumer raises it when it comes there
                buffer.put(number, error)
                return


def _decode_video(
    process: VideoProcess, name: str, path: Path, options: ClipOptions, timeout_seconds: float
) -> Iterator[StreamedClip | StreamedVideo]:
    """Yield the clips of one video, and its end."""
    clips, facts, failure = 0, VideoFacts(), None
    extent = options.geometry.extent
    try:
        for message in process.do(ClipJob(path, options.label_config), timeout_seconds):
            if isinstance(message, LabelledClip):
                clips, facts = clips + 1, message.facts
                start, end = map(float, clip_seconds(message.start_frame, extent, facts.fps))
                end_frame = message.start_frame + extent
                yield StreamedClip(name, message.start_frame, end_frame, start, end, message.frames)
            elif isinstance(message, VideoFacts):
                facts = message
    except VideoError as error:
        failure = error.with_traceback(None)  # its frames would keep a clip in memory
    yield StreamedVideo(name, clips, facts.frames, failure)
