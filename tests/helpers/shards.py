"""Shards of random clips."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

import mas_labels
from mas_labels.config import LabelConfig
from mas_labels.datasets.listing import VideoRecord
from mas_labels.labels.compute import ClipStatistics
from mas_labels.labels.views import view_table
from mas_labels.shards.writer import ShardWriter
from mas_labels.video.reader import VideoFacts

VIEWS = view_table(59)


def made_up_clip(seed: int):
    """Return random frames, statistics and flow of a clip."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (16, 128, 171, 3), dtype=np.uint8)
    statistics = ClipStatistics(
        labels=rng.integers(1, 5, (len(VIEWS), 27), dtype=np.uint8),
        mu=rng.normal(0, 5, (128, 171, 2)).astype(np.float32),
        mv=rng.normal(0, 5, (128, 171, 2)).astype(np.float32),
        motion=rng.uniform(0, 1, (15, 2)).astype(np.float32),
    )
    return frames, statistics, rng.normal(0, 3, (15, 128, 171, 2)).astype(np.float32)


def write_shard(path, clips=2, **options):
    """Write a shard of one video with `clips` clips and one failure."""
    config = LabelConfig(flow="dis", view_stride_pixels=59, **options)
    with ShardWriter(path, config, {"index": 0}, VIEWS, ("run", "jump é"), {"numpy": "2"}) as writer:
        for number in range(clips):
            writer.add_clip(16 * number, *made_up_clip(number))
        facts = VideoFacts(file_bytes=4321, fps=25.0, frames=16 * clips, rows=240, cols=320)
        record = VideoRecord("a/b é.avi", "jump é", 1, ("train1", "test2"), "07")
        writer.add_video(record, facts, clips)
        writer.add_failure("c.avi", mas_labels.errors.VideoError("open", "cannot_open", "no stream"))
    return path


def write_plain_videos(path, videos, clips=1, **sizes):
    """Write a shard of frames only; each video is (path, class or None, group or None, colour)."""
    config = LabelConfig(frames_only=True, store_boundaries=False, frames="raw", **sizes)
    shape = config.geometry.clip_shape
    classes = tuple(sorted({name for _, name, _, _ in videos if name}))
    with ShardWriter(path, config, {"index": 0}, VIEWS[:0], classes, {"numpy": "2"}) as writer:
        for video, name, group, colour in videos:
            for number in range(clips):
                writer.add_clip(16 * number, np.full(shape, colour, np.uint8))
            facts = VideoFacts(file_bytes=1, fps=25.0, frames=16 * clips, rows=240, cols=320)
            index = -1 if name is None else classes.index(name)
            writer.add_video(VideoRecord(video, name, index, (), group), facts, clips)
    return path


@contextmanager
def frames_held() -> Iterator[None]:
    """Keep all stack frames of the block to its end, and with them every object that they name."""
    before, held = sys.getprofile(), []
    sys.setprofile(lambda frame, *_: held.append(frame))
    try:
        yield
    finally:
        sys.setprofile(before)
