"""Shards whose classes differ by colour, so that any network can tell them apart, and tiny training runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video
from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.pipeline.run import run as label_all
from mas_labels.plan.plan import plan_shards
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_train.cli.pretrain import main as train_main

CPU = torch.device("cpu")
SMALL = ["--device", "cpu", "--threads", "1", "--workers", "0"]
WIDTH = 0.03125
COLOURS = {"blue": (0.0, 0.1, 1.0), "red": (1.0, 0.0, 0.1)}


def coloured_shards(folder: Path, first: int, videos: int) -> ShardSet:
    """Make shards of frames only: numbered videos of each colour, and one that cannot be decoded."""
    for row, (name, colour) in enumerate(COLOURS.items()):
        for number in range(first + videos * row, first + videos * (row + 1)):
            frames = moving_texture(17 + 16 * (number % 2), 60, 80, 1, 0, seed=number)
            frames = (frames.mean(axis=3, keepdims=True) * np.array(colour)).astype(np.uint8)
            write_video(folder / "videos" / name / f"{number:04}.avi", frames)
    (folder / "videos" / "red" / "9999.avi").write_text("no video")
    return label_frames(folder / "videos", folder / "shards")


def label_frames(root: Path, out: Path, manifest: Path = FOLDER_MANIFEST, **options: object) -> ShardSet:
    """Make shards of frames only of the videos in a folder."""
    listing = find_videos(load_manifest(manifest), root)
    config = LabelConfig(frames_only=True, store_boundaries=False, **options)  # type: ignore[arg-type]
    results = label_all(plan_shards(listing, "all", 5), config, root, out)
    assert all(result.error is None for result in results)
    return open_shards(out)


def run(main: object, *args: object) -> int:
    """Call a command's main function; return its exit status."""
    with pytest.raises(SystemExit) as ended:
        main([str(arg) for arg in args])  # type: ignore[operator]
    return int(ended.value.code or 0)


def pretrain(shards: list[Path], out: Path) -> Path:
    """Take two steps of `mas-train`; return the run's folder."""
    small = [*SMALL, "--width", WIDTH, "--fc-width", 16, "--batch-size", 4, "--max-steps", 2]
    assert run(train_main, "--shards", *shards, "--out", out, *small) == 0
    return out
