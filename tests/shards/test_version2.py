"""Shards of schema version 2, kept from the code that wrote them: they open, and read as they did."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.format_reader import FormatReader

import mas_labels
from mas_labels.errors import ShardError
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.shards.reader import Shard
from mas_labels.shards.shard_set import ShardSet
from mas_labels.verify.consistency import find_contradictions

VERSION2 = Path(__file__).parents[1] / "golden" / "version2"
CENTRE_LABELS = {
    "drop/döwn.avi": "9 4 10 4 1 5 1 5 5 6 5 2 5 5 5 1 3 1 2 1 4 1 1 1 4 1 1",
    "pan/right.avi": "10 3 10 2 1 4 1 2 2 6 2 6 6 7 5 1 4 1 1 1 4 1 1 1 4 1 1",
}
"""Of each video's first clip in the shard `labels`; nothing moves in the later clips."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("version2")
    shards = {}
    for packed in sorted(VERSION2.glob("*.h5.gz")):
        shards[packed.name.partition(".")[0]] = folder / packed.stem
        (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return shards


@pytest.mark.parametrize("kind", ["labels", "flow", "frames"])
def test_a_kept_shard_is_sound_and_has_the_default_geometry(kept: dict[str, Path], kind: str) -> None:
    with Shard(kept[kind]) as shard:
        shard.verify()
        assert list(find_contradictions(shard)) == []
        assert shard.geometry == DEFAULT_GEOMETRY
        assert shard.read_texts("failures/path") == ["drop/short.avi"]
        assert shard.read_frames(0).shape == (16, 128, 171, 3)
    reader = FormatReader(str(kept[kind]))
    assert reader.attributes["schema_version"] == 2
    reader.check_shapes()
    reader.check_clips()
    reader.check_labels()
    assert reader.content_hash() == reader.attributes["content_hash"].decode()


def test_labels_are_those_that_were_written(kept: dict[str, Path]) -> None:
    shards = mas_labels.open_shards(kept["labels"])
    first_clips = {clip.video: clip for clip in shards if clip.start_frame == 0}
    for video, labels in CENTRE_LABELS.items():
        assert list(first_clips[video].labels.values()) == [int(label) for label in labels.split()]
        assert first_clips[video].frames.max() > 150
    moving = shards.where(min_motion=0.001)
    assert [clip.start_frame for clip in moving] == [0, 0]
    assert [clip.video for clip in moving.where(class_name="pan", ui=6)] == ["pan/right.avi"]
    assert shards.columns()["grid_ul"].tolist() == [9, 1, 1, 10, 1]


def test_a_kept_shard_does_not_say_where_cuts_are(kept: dict[str, Path]) -> None:
    shards = mas_labels.open_shards(kept["labels"])
    assert shards[0].cut is None and set(shards.columns()["cut"].tolist()) == {-1}
    with pytest.raises(ShardError, match=r"clips/cut is not stored.*: label again into another --out"):
        shards.where(cut=False)


def test_flow_and_boundaries_are_those_that_were_written(kept: dict[str, Path]) -> None:
    shards = mas_labels.open_shards(kept["flow"])
    right = next(clip for clip in shards if clip.video == "pan/right.avi")
    u = right.flow[5, ..., 0]
    assert u.max() == pytest.approx(1.5 * 171 / 128, rel=0.2)
    assert np.array_equal(right.flow[10], np.zeros((128, 171, 2)))
    mu, _ = right.motion_boundaries
    assert mu.shape == (128, 171, 2)
    assert np.abs(mu).max() > 1


@pytest.mark.parametrize("kind", ["labels", "frames"])
def test_a_trainer_reads_batches_of_a_kept_shard(kept: dict[str, Path], kind: str) -> None:
    clips = pytest.importorskip("mas_train.data.clips")
    shards = ShardSet([kept[kind]])
    dataset = (clips.ClipDataset if kind == "labels" else clips.FrameDataset)(shards)
    batch = dataset.empty_batch(2)
    dataset.read_into(batch, [0, 3])
    for row, clip in enumerate((0, 3)):
        np.testing.assert_array_equal(batch.frames[row].numpy(), shards[clip].frames)
        np.testing.assert_array_equal(batch.view_labels[row].numpy(), shards[clip].view_labels)


def test_a_changed_version_does_not_match_the_content_hash(kept: dict[str, Path], tmp_path: Path) -> None:
    import h5py

    changed = tmp_path / "changed.h5"
    changed.write_bytes(kept["frames"].read_bytes())
    with h5py.File(changed, "a") as file:
        file.attrs["schema_version"] = np.int64(3)
        assert json.loads(file.attrs["config"])["frames_only"]
    with Shard(changed) as shard, pytest.raises(ShardError, match="does not match its content hash"):
        shard.verify_content()
