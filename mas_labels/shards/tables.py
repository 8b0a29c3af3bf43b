"""The videos of a shard, used and failed, one row each."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mas_labels.shards.reader import Shard


class Video(NamedTuple):
    """A video with clips: one row of ``videos/*``."""

    path: str
    class_name: str | None
    class_index: int
    splits: tuple[str, ...]
    group: str | None
    frames: int
    fps: float
    clips: int
    file_bytes: int
    rows: int
    cols: int
    """Size of the decoded frames before resizing, pixels."""


class Failure(NamedTuple):
    """A video that could not be used, or only in part, and the reason."""

    video: str
    stage: str
    code: str
    message: str


def read_videos(shard: Shard, clips: NDArray[np.int64] | None = None) -> list[Video]:
    """Read a shard's table of videos.

    Parameters
    ----------
    shard
        The shard.
    clips : ndarray of int64, optional
        Rows of some clips of the shard: only their videos are returned, and `Video.clips` counts only these.
    """
    videos = _read_rows(shard, slice(None))  # column by column: row by row takes many times as long
    if clips is None:
        return videos
    counts = np.bincount(shard.read("clips/video")[clips], minlength=len(videos)).tolist()
    return [video._replace(clips=count) for video, count in zip(videos, counts, strict=True) if count]


def read_video(shard: Shard, row: int) -> Video:
    """Read one row of a shard's table of videos."""
    return _read_rows(shard, slice(row, row + 1))[0]


def _read_rows(shard: Shard, rows: slice) -> list[Video]:
    def texts(name: str) -> list[str]:
        return [os.fsdecode(bytes(text)) for text in shard.read(f"videos/{name}", rows)]

    def numbers(name: str) -> Any:
        return shard.read(f"videos/{name}", rows).tolist()

    class_indices = shard.read_class_indices(rows).tolist()
    sizes = numbers("size")
    return [
        Video(*row)
        for row in zip(
            texts("path"),
            [shard.class_names[number] if number >= 0 else None for number in class_indices],
            class_indices,
            [tuple(filter(None, names.split(","))) for names in texts("splits")],
            [group or None for group in texts("group")],
            *(numbers(name) for name in ("frames", "fps", "clips", "bytes")),
            *([size[axis] for size in sizes] for axis in (0, 1)),
            strict=True,
        )
    ]


def read_failures(shard: Shard, clips: NDArray[np.int64] | None = None) -> list[Failure]:
    """Read the videos of a shard that could not be used, or only in part.

    Parameters are those of `read_videos`: with `clips`, only videos of these clips are returned.
    """
    columns = (shard.read_texts(f"failures/{name}") for name in ("path", "stage", "code", "message"))
    failures = [Failure(*row) for row in zip(*columns, strict=True)]
    if clips is None:
        return failures
    used = {video.path for video in read_videos(shard, clips)}
    return [failure for failure in failures if failure.video in used]
