"""`mas-labels export`: what other libraries read equals the shards, to the bit; resumed, nothing lost."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shlex
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.commands import mas
from helpers.shards import write_shard

from mas_labels.schema import LABEL_NAMES
from mas_labels.shards.frames import decode_jpeg
from mas_labels.shards.shard_set import ShardSet, open_shards

PAGE = Path(__file__).parents[2] / "docs" / "labelling.md"


@pytest.fixture(scope="module")
def shards(tiny_shards: list[Path]) -> ShardSet:
    return open_shards(tiny_shards)


def export(shards: ShardSet | Path, form: str, out: Path, *more: object, status: int = 0) -> str:
    paths = shards.paths if isinstance(shards, ShardSet) else [shards]
    shown = mas("export", *paths, "--format", form, "--out", out, *more)
    assert shown.exit_code == status, shown.output
    return shown.output


def read_tars(folder: Path, *decoder: str) -> list[dict[str, Any]]:
    """Read an export by webdataset, by the name with braces."""
    webdataset = pytest.importorskip("webdataset")
    last = max(folder.glob("clips-*.tar")).stem.removeprefix("clips-")
    urls = f"{folder}/clips-{{000000..{last}}}.tar"
    return list(webdataset.WebDataset(urls, shardshuffle=False).decode(*decoder))


def about(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "_export.json").read_text())


def test_webdataset_reads_every_clip_to_the_bit(shards: ShardSet, tmp_path: Path) -> None:
    said = export(shards, "webdataset", tmp_path)
    assert f"12 clips in {tmp_path}/clips-{{000000..000001}}.tar: 2 files" in said
    samples = read_tars(tmp_path)  # which leaves pictures as they are stored
    assert [sample["__key__"] for sample in samples] == [f"{number:09d}" for number in range(len(shards))]
    for sample, clip in zip(samples, shards, strict=True):
        shard, row = shards.locate(clip.index)
        frames = np.empty_like(clip.frames)
        for number, stored in enumerate(shard.read_jpegs(row)):
            data = np.frombuffer(sample[f"{number:03d}.jpg"], np.uint8)
            assert np.array_equal(data, stored) and decode_jpeg(data, frames[number])
        assert np.array_equal(frames, clip.frames) and "016.jpg" not in sample
        assert np.array_equal(sample["labels.npy"], clip.view_labels)
        stated = sample["json"]
        assert (stated["video"], stated["class_name"]) == (clip.video, clip.class_name)
        assert shards.classes[stated["class_index"]] == clip.class_name
        assert (stated["start_frame"], stated["cut"]) == (clip.start_frame, clip.cut)
        assert stated["motion"] == pytest.approx(clip.motion.mean(), rel=1e-6)
        assert (stated["fps"], stated["group"]) == (clip.source.fps, clip.source.group)
        assert stated["content_hash"] == shard.content_hash
        assert stated["views_sha256"] == about(tmp_path)["views_sha256"]
    assert about(tmp_path)["views"] == shards.views.tolist() and about(tmp_path)["labels"] == [*LABEL_NAMES]


def test_webdataset_decodes_pictures_and_raw_frames(shards: ShardSet, tmp_path: Path) -> None:
    export(shards, "webdataset", tmp_path / "jpeg", "--where", "view=0")
    decoded = read_tars(tmp_path / "jpeg", "rgb8")[5]
    frames = np.stack([decoded[f"{number:03d}.jpg"] for number in range(16)])
    # another JPEG library may round differently
    assert np.abs(frames.astype(int) - shards[5].frames).max() <= 2
    path = write_shard(tmp_path / "raw.h5", frames="raw")
    export(path, "webdataset", tmp_path / "raw")
    for sample, clip in zip(read_tars(tmp_path / "raw"), open_shards(path), strict=True):
        assert np.array_equal(sample["frames.npy"], clip.frames)
        assert np.array_equal(sample["labels.npy"], clip.view_labels)
        assert sample["json"]["splits"] == ["train1", "test2"] and sample["json"]["group"] == "07"


def test_bytes_follow_from_the_clips_alone_and_finished_files_are_kept(
    shards: ShardSet, tmp_path: Path
) -> None:
    once, again = tmp_path / "once", tmp_path / "again"
    export(shards, "webdataset", once)
    export(shards, "webdataset", again)
    with tarfile.open(once / "clips-000000.tar") as tar:
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in tar} == {(0, 0, 0, "")}
    (again / "clips-000001.tar").unlink()
    before = (again / "clips-000000.tar").stat()
    assert "2 files, 1 of them from before" in export(shards, "webdataset", again)
    assert (again / "clips-000000.tar").stat() == before
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (once, again)]
    assert contents[0] == contents[1] and len(contents[0]) == 3


def test_a_damaged_shard_stops_the_export_which_resumes_once_it_is_restored(
    shards: ShardSet, tmp_path: Path
) -> None:
    for path in shards.paths:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    copies, out = open_shards(tmp_path), tmp_path / "out"
    whole = copies.paths[1].read_bytes()
    place = copies.shard(1).read_jpegs(0)[3].tobytes()
    copies.close()
    copies.paths[1].write_bytes(whole.replace(place, bytes(len(place))))
    said = export(tmp_path, "webdataset", out, status=1)
    assert re.search(rf"^error: .*{copies.paths[1].name}: frames/jpeg is damaged", said, re.M)
    assert sorted(path.name for path in out.iterdir()) == ["_export.json", "clips-000000.tar"]
    copies.paths[1].write_bytes(whole)
    assert "1 of them from before" in export(copies, "webdataset", out)
    assert len(read_tars(out)) == len(shards)


def test_a_full_disk_leaves_the_finished_files(shards: ShardSet, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))  # no file may grow past 200 kB
    try:
        said = export(shards, "webdataset", tmp_path, status=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "Finished files are kept: make room, or choose another --out, and run again" in said
    assert [path.name for path in tmp_path.iterdir()] == ["_export.json"]
    assert "2 files\n" in export(shards, "webdataset", tmp_path)


def test_a_folder_of_another_export_is_refused(shards: ShardSet, tmp_path: Path) -> None:
    export(shards, "webdataset", tmp_path)
    refused = export(shards, "webdataset", tmp_path, "--where", "cut=false", status=1)
    assert f"error: {tmp_path} holds another export (other options): choose another --out\n" in refused
    (tmp_path / "_export.json").write_text("{")
    assert "_export.json is damaged" in export(shards, "webdataset", tmp_path, status=1)
    (tmp_path / "_export.json").unlink()  # its files are still those of the other export
    refused = export(shards, "webdataset", tmp_path, "--where", "cut=false", status=1)
    assert f"{tmp_path} holds clips-000000.tar, and no _export.json that tells its origin" in refused
    assert not (tmp_path / "_export.json").exists()
    assert "--views belongs to --format parquet" in export(
        shards, "webdataset", tmp_path, "--views", "all", status=1
    )


def test_a_table_equals_that_of_the_shards(shards: ShardSet, tmp_path: Path) -> None:
    pandas, parquet = pytest.importorskip("pandas"), pytest.importorskip("pyarrow.parquet")
    said = export(shards, "parquet", tmp_path)
    assert f"clips-{{000000..000001}}.parquet: 2 files\n3 videos could not be labelled: {tmp_path}" in said
    table, expected = pandas.read_parquet(tmp_path).set_index("clip"), shards.table()
    assert [*table.columns][5:9] == ["class_index", "group", "splits", "fps"]
    pandas.testing.assert_frame_equal(table[expected.columns], expected, check_dtype=False)
    for name in (*LABEL_NAMES, "start_frame", "motion", "cut"):
        assert table[name].dtype == expected[name].dtype
    assert [shards.classes[number] for number in table["class_index"]] == table["class_name"].tolist()
    read = parquet.read_table(tmp_path / "clips-000001.parquet")
    metadata = json.loads(read.schema.metadata[b"mas_labels"])
    assert metadata["content_hash"] == shards.content_hashes[1] and metadata["geometry"]["clip_frames"] == 16
    assert metadata["labels"] == [*LABEL_NAMES] and metadata["config"] == shards.config
    assert metadata["versions"] == shards.shard(1).versions


def test_labels_of_all_views_and_chosen_clips_in_a_table(shards: ShardSet, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    chosen = ["--where", "class_name=zoom*", "--where", "min_motion=0.001"]
    export(shards, "parquet", tmp_path, "--views", "all", *chosen)
    table = pandas.read_parquet(tmp_path)
    expected = shards.where(class_name="zoom*", min_motion=0.001)
    assert table["clip"].tolist() == expected.indices.tolist() and 0 < len(table) < len(shards)
    labels = np.stack([np.stack(table[name]) for name in LABEL_NAMES], axis=-1)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, np.stack([clip.view_labels for clip in expected]))


def test_failures_and_missing_shards_are_told(shards: ShardSet, tmp_path: Path) -> None:
    export(shards, "webdataset", tmp_path / "out", "--where", "class_name=zoom*")
    told = about(tmp_path / "out")
    assert told["failures"] == [failure._asdict() for failure in shards.failures] != []
    assert told["missing_shards"] == [] and sum(file["clips"] for file in told["files"]) < len(shards)
    lone = tmp_path / shards.paths[0].name
    lone.write_bytes(shards.paths[0].read_bytes())
    assert "holds 1 of 2 shards of its plan" in export(lone, "webdataset", tmp_path / "part")
    assert about(tmp_path / "part")["missing_shards"] == [shards.paths[1].name]


def test_names_that_are_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from mas_labels.datasets.listing import VideoRecord
    from mas_labels.shards.writer import ShardWriter

    add_video, name = ShardWriter.add_video, os.fsdecode(b"a/\xff.avi")

    def renamed(self: ShardWriter, record: VideoRecord, *more: Any) -> None:
        add_video(self, VideoRecord(name, record.class_name, record.class_index, (), None), *more)

    monkeypatch.setattr(ShardWriter, "add_video", renamed)
    path = write_shard(tmp_path / "odd.h5")
    export(path, "webdataset", tmp_path / "tars")
    assert os.fsencode(read_tars(tmp_path / "tars")[0]["json"]["video"]) == b"a/\xff.avi"
    folder = tmp_path / os.fsdecode(b"s3:\xff\n")  # no address either
    export(path, "parquet", folder)
    (file,) = folder.glob("*.parquet")
    assert parquet.read_table(io.BytesIO(file.read_bytes()))["video"].to_pylist() == ["a/\\xff.avi"] * 2


def test_shards_of_frames_only_have_no_labels(train: ShardSet, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert "hold frames only, so there are no labels" in export(train, "webdataset", tmp_path / "tars")
    sample = read_tars(tmp_path / "tars")[0]
    assert "labels.npy" not in sample and sample["json"]["motion"] is None and "000.jpg" in sample
    export(train, "parquet", tmp_path / "table", "--views", "all")
    names = parquet.read_schema(next((tmp_path / "table").glob("*.parquet"))).names
    assert names[:3] == ["clip", "video", "class_name"] and not set(names) & set(LABEL_NAMES)


def test_nothing_to_export(shards: ShardSet, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = export(shards, "webdataset", out, "--where", "class_name=none", status=1)
    assert "no clips to export, 0 of 12 clips: class_name='none'" in said and not out.exists()
    assert "of C up to 8, found [9]" in export(shards, "webdataset", out, "--where", "C=9", status=1)


def test_without_pyarrow_one_line_names_the_remedy(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    said = export(shards, "parquet", tmp_path / "out", status=1)
    assert said.startswith("error: parquet needs pyarrow") and said.count("\n") == 1
    assert 'pip install "mas-video[parquet]"' in said and not (tmp_path / "out").exists()


def test_the_commands_and_lines_of_the_page(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("webdataset")
    page = PAGE.read_text(encoding="utf-8")
    section = page[page.index("## Shards for other programs") :].partition("\n## ")[0]
    (tmp_path / "labels").symlink_to(shards.paths[0].parent)
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^    mas-labels (export [^#\n]*)", section, re.M)
    assert [mas(*shlex.split(command)).exit_code for command in commands] == [0, 0]
    found: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", section, re.S):
        exec(block, found)
    assert len(found["frames"]) == 16 and found["labels"].shape == (50, 27)
    assert len(found["table"]) == len(shards)
