"""Shards of schema version 2, kept from the code that wrote them: they open, and read as they did."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.format_reader import FormatReader
from helpers.make_version2 import KINDS, VERSION2, moving_blob
from helpers.videos import FOLDER_MANIFEST, write_video

import mas_labels
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import ShardError
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards
from mas_labels.report.shard_sections import cuts_section
from mas_labels.report.summary import summarise
from mas_labels.shards.reader import Shard
from mas_labels.shards.shard_set import ShardSet
from mas_labels.verify.consistency import find_contradictions
from mas_labels.verify.recompute import find_differences

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
    changed = tmp_path / "changed.h5"
    changed.write_bytes(kept["frames"].read_bytes())
    with h5py.File(changed, "a") as file:
        file.attrs["schema_version"] = np.int64(3)
    with Shard(changed) as shard, pytest.raises(ShardError, match="does not match its content hash"):
        shard.verify_content()


def test_shards_of_both_versions_are_one_set(
    kept: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Videos that were added to a folder of version 2 are in shards of version 3."""
    videos, out = (tmp_path_factory.mktemp(name) for name in ("videos", "shards"))
    write_video(videos / "pan" / "left.avi", moving_blob(33, -1.5, 0))
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), videos), "all", 9)
    run(plan, KINDS["labels"], videos, out, workers=1)
    (added,) = out.glob("*.h5")
    both = ShardSet([kept["labels"], added])
    assert both.lengths == [5, 2]
    assert both.classes == ["drop", "pan"]
    assert len(both.where(class_name="pan", min_motion=0.001)) == 2
    with pytest.raises(ShardError, match="clips/cut is not stored"):
        both.where(cut=False)
    summary = summarise(both)
    assert (summary.cut, summary.cut_unknown) == (0, 5)
    assert "0 clips lie across a shot cut; of 5 an earlier" in cuts_section(both, summary)


def test_clips_of_version_2_are_labelled_again(tmp_path: Path) -> None:
    """A new shard is made one of version 2, since decoders differ by their versions."""
    write_video(tmp_path / "videos" / "pan" / "left.avi", moving_blob(33, -1.5, 0))
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), tmp_path / "videos"), "all", 9)
    run(plan, KINDS["labels"], tmp_path / "videos", tmp_path, workers=1)
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path, "a") as file:
        del file["clips/cut"]
        file.attrs["schema_version"] = np.int64(2)
    with Shard(path) as shard:
        assert list(find_differences(shard, tmp_path / "videos", [0, 1])) == []
