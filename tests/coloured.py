"""Shards whose classes are planted as colours: a network of any weights tells them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import FOLDER_MANIFEST, moving_texture, write_video

from mas_labels.config import LabelConfig
from mas_labels.manifest import find_videos, load_manifest
from mas_labels.pipeline import run
from mas_labels.plan import make_plan
from mas_labels.shard import ShardSet, open_shards

COLOURS = {"blue": (0.0, 0.1, 1.0), "red": (1.0, 0.0, 0.1)}


def coloured_shards(folder: Path, first: int, videos: int) -> ShardSet:
    """Shards of frames only: some videos of each colour and one broken one, with numbers for names."""
    for row, (name, colour) in enumerate(COLOURS.items()):
        for number in range(first + videos * row, first + videos * (row + 1)):
            frames = moving_texture(17 + 16 * (number % 2), 60, 80, 1, 0, seed=number)
            frames = (frames.mean(axis=3, keepdims=True) * np.array(colour)).astype(np.uint8)
            write_video(folder / "videos" / name / f"{number:04}.avi", frames)
    (folder / "videos" / "red" / "9999.avi").write_text("no video")
    listing = find_videos(load_manifest(FOLDER_MANIFEST), folder / "videos")
    config = LabelConfig(frames_only=True, store_boundaries=False)
    results = run(make_plan(listing, "all", 5), config, folder / "videos", folder / "shards")
    assert all(result.error is None for result in results)
    return open_shards(folder / "shards")
