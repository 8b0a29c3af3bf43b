"""Clips of a shard made once more from their videos, and compared bit by bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.clips import cut_clips
from mas_labels.config import LabelConfig
from mas_labels.deep_checks import Problem
from mas_labels.errors import MasError, VideoError
from mas_labels.folder import resolve_inside
from mas_labels.labelling import label_clip
from mas_labels.plan import versions
from mas_labels.shard_reader import Shard
from mas_labels.shard_writer import clip_rows, code_frames
from mas_labels.video import VideoReader


def sample_clips(shard: Shard, share: float, seed: int) -> list[int]:
    """Draw clips of a shard, the same ones for the same content and seed.

    Parameters
    ----------
    share
        0 to 1; at least one clip is drawn if it is not 0.
    seed
        Of the draw.
    """
    count = math.ceil(share * len(shard))
    rng = np.random.default_rng([seed, int(shard.content_hash[:15], 16)])
    return sorted(rng.choice(len(shard), count, replace=False).tolist())


def find_differences(shard: Shard, root: Path, clips: list[int]) -> Iterator[Problem]:
    """Decode and label some clips again, and yield each data set that comes out otherwise.

    Parameters
    ----------
    shard
        The shard.
    root
        The data set's folder, from which the shard was made.
    clips
        Numbers of clips, ascending.
    """
    config = shard.options
    videos = shard.read("clips/video")
    for row, group in groupby(clips, key=lambda clip: int(videos[clip])):
        wanted = {int(shard.read("clips/start_frame", clip)): clip for clip in group}
        try:
            yield from _differences_of_video(shard, root, config, row, wanted)
        except (MasError, cv2.error) as error:
            yield Problem("videos/path", min(wanted.values()), f"cannot be labelled again: {error}")


def _differences_of_video(
    shard: Shard, root: Path, config: LabelConfig, row: int, wanted: dict[int, int]
) -> Iterator[Problem]:
    """Label the clips of one video again; `wanted` has their start frames and numbers."""
    name = shard.read_texts("videos/path")[row]
    reader = VideoReader(resolve_inside(root, name))
    missing, others = dict(wanted), _other_versions(shard)
    try:
        for start_frame, frames in cut_clips(reader, config.clip_stride_frames):
            if start_frame in missing:
                where = f"of {name!r} from frame {start_frame}{others}"
                yield from _compare(shard, missing.pop(start_frame), config, frames, where)
    except VideoError:
        if name not in shard.read_texts("failures/path"):  # else it broke off then, too
            raise
    for start_frame, clip in missing.items():
        yield Problem("clips/start_frame", clip, f"{name!r} has no clip from frame {start_frame} now")
    found = {"frames": reader.decoded_frames, "bytes": reader.file_bytes, "fps": reader.fps}
    for column, value in found.items():
        stored = shard.read(f"videos/{column}", row)
        if stored != value:
            yield Problem(f"videos/{column}", None, f"of {name!r} is {stored}, found {value} now")


def _compare(
    shard: Shard, clip: int, config: LabelConfig, frames: NDArray[np.uint8], where: str
) -> Iterator[Problem]:
    """Label a clip and yield the data sets of which its row differs, and by how much."""
    statistics, flow = label_clip(frames, config, shard.views)
    for column, now in clip_rows(config, frames, statistics, flow).items():
        stored = shard.read(column, clip)
        if stored.tobytes() != now.tobytes():
            differ = int((stored != now).sum())
            yield Problem(column, clip, f"{where}: {differ} of {now.size} values are others now")
    if config.frames == "jpeg":
        pairs = zip(shard.read_jpegs(clip), code_frames(frames, config.jpeg_quality), strict=True)
        differ = sum(not np.array_equal(stored, now) for stored, now in pairs)
        if differ:
            yield Problem("frames/jpeg", clip, f"{where}: {differ} of {len(frames)} frames are others now")


def _other_versions(shard: Shard) -> str:
    """Say which of the versions that decide a shard's bytes are others now."""
    ours = versions()
    others = [f"{n} {shard.versions.get(n)}, now {v}" for n, v in ours.items() if shard.versions.get(n) != v]
    return f" (made with {'; '.join(others)})" if others else ""
