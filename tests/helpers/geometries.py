"""Shards of another geometry than the paper's, small enough for steps of milliseconds."""

from __future__ import annotations

from pathlib import Path

from helpers.videos import FOLDER_MANIFEST
from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards
from mas_labels.shards import ShardSet, open_shards

SMALL_SIZES = {"clip_frames": 8, "frame_step": 2, "frame_rows": 60, "frame_cols": 80, "view_size": 56}
"""Options of a labelling run: 8 of 15 frames, grids of 16 blocks, rings 7 pixels wide."""


def small_shards(videos: Path, out: Path, **options: object) -> ShardSet:
    """Make shards of `SMALL_SIZES` of the videos in a folder, with DIS flow."""
    listing = find_videos(load_manifest(FOLDER_MANIFEST), videos)
    config = LabelConfig(flow="dis", **{**SMALL_SIZES, **options})  # type: ignore[arg-type]
    assert all(result.error is None for result in run(plan_shards(listing, "all", 5), config, videos, out))
    return open_shards(out)
