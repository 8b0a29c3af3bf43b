"""docs/format.md is sufficient: a reader written from it alone reads, checks and decodes any shard."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.format_reader import OPTIONAL, TABLES, FormatReader, resized
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video

import mas_labels
from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards
from mas_labels.video.clips import resize_frame

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
KINDS = {
    "jpeg": {},
    "raw": {"frames": "raw", "view_mirrored": False},
    "frames only": {"frames_only": True, "store_boundaries": False},
    "flow": {"store_flow": True, "clip_stride_frames": 8},
    "authors": {"store_flow": True, "convention": "authors"},
    "rate": {"fps": "30000/1001", "store_boundaries": False},
    "geometry": {
        "clip_frames": 4,
        "frame_step": 3,
        "clip_stride_frames": 5,
        "frame_rows": 40,
        "frame_cols": 64,
        "view_size": 32,
        "view_stride_pixels": 30,
        "grid_block": 4,
        "ring_width": 8,
        "store_flow": True,
    },
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("page")
    for number, name in enumerate(["a/1.avi", "a/2.avi", "b/ü.avi"]):
        write_video(root / name, moving_texture(24, 60, 200, 1 + number, -1, seed=number))
    (root / "b" / "none.avi").write_text("no video")
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_sufficient_to_read_a_shard(videos, tmp_path, kind):
    listing = find_videos(load_manifest(FOLDER_MANIFEST), videos)
    options = LabelConfig(**{"flow": "dis", "view_stride_pixels": 59, **KINDS[kind]})
    run(plan_shards(listing, "all", 2), options, videos, tmp_path)
    shards = mas_labels.open_shards(tmp_path)
    videos_found, failures, frames = [], [], []
    for path in sorted(tmp_path.glob("*.h5")):
        command = [
            sys.executable,
            "-I",
            str(Path(__file__).parents[1] / "helpers" / "format_reader.py"),
            str(path),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        content = json.loads(result.stdout)
        assert content["ours"] == []
        videos_found += content["videos"]
        failures += content["failures"]
        frames += content["frames"]
    assert sorted(videos_found) == ["a/1.avi", "a/2.avi", "b/ü.avi"]
    assert failures == ["b/none.avi"]
    assert frames == [hashlib.sha256(clip.frames.tobytes()).hexdigest() for clip in shards]


def test_a_view_is_cropped_as_the_page_says(videos, tmp_path):
    """Appearance labels follow from the view's pixels alone."""
    listing = find_videos(load_manifest(FOLDER_MANIFEST), videos)
    options = LabelConfig(flow="dis", view_stride_pixels=30, frames="raw")
    run(plan_shards(listing, "all", 9, limit=1), options, videos, tmp_path)
    (path,) = tmp_path.glob("*.h5")
    reader = FormatReader(str(path))
    still = np.zeros((15, 112, 112, 2), np.float32)
    for row in range(len(reader.data["views"])):
        seen = mas_labels.compute_labels(np.ascontiguousarray(reader.view(0, row)), still)
        assert np.array_equal(seen[0, 14:], reader.data["clips/labels"][0, row, 14:])


def test_the_page_names_every_data_set_and_the_reader_no_other():
    named = re.findall(r"^\| `([a-z/_]+)` \| `\w+` \| `\(", PAGE, re.M)
    assert sorted(named) == sorted({**TABLES, **OPTIONAL})


@pytest.mark.parametrize(
    "shape", [(240, 320), (64, 640), (640, 64), (64, 64), (128, 640), (128, 171), (500, 171)]
)
def test_frames_are_resized_as_the_page_says(shape):
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    np.testing.assert_array_equal(resize_frame(frame), cv2.cvtColor(resized(frame), cv2.COLOR_BGR2RGB))
