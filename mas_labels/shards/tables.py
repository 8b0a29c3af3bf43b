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


class ShardTables(NamedTuple):
    """The videos of a shard, and the video of each of its clips."""

    videos: list[Video]
    failures: list[Failure]
    clip_videos: NDArray[np.int64]
    """(N,) for each clip the row of its video in `videos`."""

    def of_clips(self, rows: NDArray[np.int64]) -> ShardTables:
        """Return the tables of some clips: their videos, which count only these, and failures of these.

        Parameters
        ----------
        rows
            Rows of the clips.
        """
        used, clip_videos, counts = np.unique(self.clip_videos[rows], return_inverse=True, return_counts=True)
        pairs = zip(used.tolist(), counts.tolist(), strict=True)
        videos = [self.videos[row]._replace(clips=count) for row, count in pairs]
        paths = {video.path for video in videos}
        failures = [failure for failure in self.failures if failure.video in paths]
        return ShardTables(videos, failures, clip_videos)


def read_tables(shard: Shard) -> ShardTables:
    """Read the tables of a shard."""
    return ShardTables(read_videos(shard), read_failures(shard), shard.read("clips/video").astype(np.int64))


def read_videos(shard: Shard) -> list[Video]:
    """Read a shard's table of videos."""
    return _read_rows(shard, slice(None))  # column by column: row by row takes many times as long


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


def read_failures(shard: Shard) -> list[Failure]:
    """Read the videos of a shard that could not be used, or only in part."""
    columns = (shard.read_texts(f"failures/{name}") for name in ("path", "stage", "code", "message"))
    return [Failure(*row) for row in zip(*columns, strict=True)]
