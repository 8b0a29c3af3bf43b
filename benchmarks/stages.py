"""Time and bytes of each stage of labelling, measured separately in one process on the same clips."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from mas_labels.config import LabelConfig
from mas_labels.datasets.listing import VideoRecord
from mas_labels.flow.estimators import ESTIMATORS
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.labels.compute import clip_statistics
from mas_labels.pipeline.label_video import views_of
from mas_labels.schema import COLUMNS
from mas_labels.shards.writer import ShardWriter, encode_frames
from mas_labels.version import versions
from mas_labels.video.clips import cut_clips, resize_frame
from mas_labels.video.video_file import VideoReader

DECODE, RESIZE, GREY, FLOW, LABELS = "decoding", "resizing to 128 x 171", "grey", "TV-L1 flow", "labels"
JPEG, HDF5, VERIFY = "JPEG", "HDF5: compression, checksums, hashes", "reading back, hashing, syncing"
DENSE = "labels of all 17 x 60 crops and their mirror images"
AUTHORS = "labels by the convention `authors`"
STAGES = (DECODE, RESIZE, GREY, FLOW, LABELS, JPEG, HDF5, VERIFY)

PARTS = {
    "frames as JPEG": ("frames/jpeg", "frames/offsets"),
    "Mu and Mv": ("clips/mu", "clips/mv"),
    "flow (`--store-flow`)": ("clips/flow",),
    "labels": ("clips/labels",),
}
REST = "the rest"

Result = TypeVar("Result")


@dataclass
class StageTimes:
    """Seconds of each stage over all clips, and bytes per clip of each part of a shard."""

    clips: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    bytes: dict[str, float] = field(default_factory=dict)
    dense_label_bytes: float = 0.0

    def milliseconds(self, stage: str) -> float:
        return 1e3 * self.seconds[stage] / self.clips

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - begin

    def call(self, stage: str, function: Callable[..., Result], *args: Any) -> Result:
        with self.measured(stage):
            return function(*args)


def measure(videos: list[Path]) -> StageTimes:
    """Label videos, one stage at a time."""
    cv2.setNumThreads(1)
    times, config = StageTimes(), LabelConfig()
    dense = replace(config, view_stride_pixels=1, store_flow=True)
    with tempfile.TemporaryDirectory() as folder:
        plain_path, dense_path = Path(folder) / "plain.h5", Path(folder) / "dense.h5"
        plain, other = _writer(plain_path, config), _writer(dense_path, dense)
        for video in videos:
            _label_video(times, video, plain, other)
        times.call(VERIFY, plain.publish)
        other.publish()
        times.bytes = _part_bytes(plain_path, dense_path, times.clips)
        times.dense_label_bytes = _stored_bytes(dense_path, PARTS["labels"]) / times.clips
    return times


def _writer(path: Path, config: LabelConfig) -> ShardWriter:
    return ShardWriter(path, config, {}, views_of(config), (), versions())


def _label_video(times: StageTimes, video: Path, plain: ShardWriter, dense: ShardWriter) -> None:
    reader = VideoReader(video)
    frames = times.call(DECODE, list, reader)
    with times.measured(RESIZE):
        for frame in frames[: len(frames) - len(frames) % DEFAULT_GEOMETRY.clip_frames]:
            resize_frame(frame)
    clips = list(cut_clips(frames))
    for start_frame, clip in clips:
        grey = times.call(GREY, _grey, clip)
        flow = times.call(FLOW, ESTIMATORS["tvl1"], grey)
        statistics = times.call(LABELS, clip_statistics, clip, flow, plain.views)
        times.call(AUTHORS, clip_statistics, clip, flow, plain.views, "authors")
        all_views = times.call(DENSE, clip_statistics, clip, flow, dense.views)
        times.call(JPEG, encode_frames, clip, plain.config.jpeg_quality)
        times.call(HDF5, plain.add_clip, start_frame, clip, statistics, flow)
        dense.add_clip(start_frame, clip, all_views, flow)
    times.seconds[HDF5] -= times.seconds[JPEG] - times.seconds["JPEG so far"]  # `add_clip` encodes JPEG, too
    times.seconds["JPEG so far"] = times.seconds[JPEG]
    times.clips += len(clips)
    for writer in (plain, dense):
        writer.add_video(VideoRecord(video.name, None, -1, (), None), reader.facts, len(clips))


def _grey(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip])


def _stored_bytes(path: Path, names: tuple[str, ...]) -> int:
    with h5py.File(path, "r") as file:
        return sum(file[name].id.get_storage_size() for name in names if name in file)


def _part_bytes(plain: Path, dense: Path, clips: int) -> dict[str, float]:
    """Return the bytes per clip of each part; only the dense shard has flow."""
    parts = {part: _stored_bytes(plain, names) / clips for part, names in PARTS.items()}
    named = {name for names in PARTS.values() for name in names}
    rest = tuple(column.path for column in COLUMNS if column.path not in named)
    return {
        **parts,
        "flow (`--store-flow`)": _stored_bytes(dense, ("clips/flow",)) / clips,
        REST: _stored_bytes(plain, rest) / clips,
    }
