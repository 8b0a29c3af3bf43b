"""The videos of a shard, used and failed, a row each."""

from __future__ import annotations

import os
from typing import NamedTuple

from mas_labels.shard_reader import Shard


class Video(NamedTuple):
    """One video of a shard: its row of ``videos/*``."""

    path: str
    class_name: str | None
    class_index: int
    splits: tuple[str, ...]
    group: str | None
    frames: int
    fps: float
    clips: int


class Failure(NamedTuple):
    """A video that could not be used, and why."""

    video: str
    stage: str
    code: str
    message: str


def read_video(shard: Shard, row: int) -> Video:
    """Read row `row` of a shard's table of videos."""

    def text(path: str, at: int) -> str:
        return os.fsdecode(bytes(shard.read(path, at)))

    class_index = int(shard.read("videos/class_index", row))
    return Video(
        path=text("videos/path", row),
        class_name=text("classes", class_index) if class_index >= 0 else None,
        class_index=class_index,
        splits=tuple(filter(None, text("videos/splits", row).split(","))),
        group=text("videos/group", row) or None,
        frames=int(shard.read("videos/frames", row)),
        fps=float(shard.read("videos/fps", row)),
        clips=int(shard.read("videos/clips", row)),
    )


def read_failures(shard: Shard) -> list[Failure]:
    """Read the videos of one shard that could not be used."""
    columns = (shard.read_texts(f"failures/{name}") for name in ("path", "stage", "code", "message"))
    return [Failure(*row) for row in zip(*columns, strict=True)]
