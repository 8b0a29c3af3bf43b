"""The geometry that a shard states: checked against its content, the same in a set."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.shards import write_shard

import mas_labels
from mas_labels.errors import ShardError
from mas_labels.geometry import DEFAULT_GEOMETRY


def set_options(path: Path, **options: object) -> Path:
    with h5py.File(path, "a") as file:
        config = {**json.loads(file.attrs["config"]), **options}
        file.attrs["config"] = np.bytes_(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_rows": 256, "frame_cols": 342}, r"clips/mu should have shape \(1, 256, 342, 2\)"),
        ({"clip_frames": 32}, r"clips/motion should have shape \(1, 31, 2\)"),
        ({"clip_frames": 256, "frame_rows": 4096, "frame_cols": 4096}, "clips of at most 67,108,864 pixels"),
        ({"clip_frames": 10**9}, "clip_frames: expected 2 to 256"),
        ({"frame_rows": -1}, "frame_rows: expected 8 to 4096"),
        ({"frame_cols": 171.0}, "frame_cols: expected int"),
        ({"view_size": 4096}, "view_size: expected at most the frames' 128 x 171"),
        ({"view_size": 120, "view_stride_pixels": 8}, "a view leaves the frame"),
        ({"grid_block": 1}, "grid_block: expected a size that divides the view"),
        ({"\n\x1b[31m": 1}, r"unknown options \\n\\x1b\[31m: another"),
    ],
)
def test_a_geometry_that_the_content_contradicts_is_refused(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    path = set_options(write_shard(tmp_path / "a.h5", clips=1), **options)
    with pytest.raises(ShardError, match=message):
        mas_labels.open_shards(path)


def test_labels_beyond_the_stated_blocks_are_refused(tmp_path: Path) -> None:
    """The labels of these shards are random, 1 to 4."""
    path = set_options(write_shard(tmp_path / "a.h5", clips=1), grid_block=112)
    shards = mas_labels.open_shards(path)
    with pytest.raises(ShardError, match="a label of clip 0 is out of range"):
        shards.read_labels(0)


def test_shards_of_two_geometries_are_no_set(tmp_path: Path) -> None:
    paths = [write_shard(tmp_path / name, clips=1) for name in ("a.h5", "b.h5")]
    assert mas_labels.open_shards(paths).geometry == DEFAULT_GEOMETRY
    set_options(paths[1], ring_width=28)
    with pytest.raises(ShardError, match=r"made with different options \(ring_width\)"):
        mas_labels.open_shards(paths)
