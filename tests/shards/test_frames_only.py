"""Shards of frames without labels: written, read, drawn, refused by the trainer, resumed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from helpers.videos import FOLDER_MANIFEST

from mas_labels.cli.main import main
from mas_labels.config import LabelConfig
from mas_labels.errors import ConfigError, DatasetError, InputError, ShardError
from mas_labels.inspect import clip_figure
from mas_labels.report import write_report
from mas_labels.shards.reader import Shard
from mas_labels.shards.shard_set import ShardSet, open_shards


def make(root: Path, out: Path, *options: str) -> Result:
    base = [
        "make",
        "--manifest",
        str(FOLDER_MANIFEST),
        "--root",
        str(root),
        "--out",
        str(out),
        "--workers",
        "1",
    ]
    return CliRunner().invoke(main, [*base, *options])


@pytest.fixture(scope="module")
def frames_only(tiny_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """The shards of `tiny_videos` without labels, clips overlapping by 8 frames."""
    out = tmp_path_factory.mktemp("frames")
    result = make(tiny_videos, out, "--frames-only", "--clip-stride", "8")
    assert result.exit_code == 3, result.output  # three videos cannot be used
    return open_shards(out)


def test_they_hold_clips_every_8_frames_and_no_flow_or_labels(frames_only: ShardSet) -> None:
    assert not frames_only.has_labels and frames_only.views.shape == (0, 3)
    assert {clip.start_frame for clip in frames_only} == {0, 8, 16}
    assert [video.clips for video in frames_only.videos] == [
        1 + (video.frames - 16) // 8 for video in frames_only.videos
    ]
    assert len(frames_only.failures) == 3
    clip = frames_only[0]
    assert clip.labels == {} and clip.view_labels.shape == (0, 27)
    assert clip.motion_boundaries is None and clip.flow is None
    with pytest.raises(ShardError, match="clips/motion is not stored"):
        _ = clip.motion
    assert "frames only" in repr(frames_only)


def test_their_frames_equal_those_of_labelled_shards(frames_only: ShardSet, tiny_shards: list[Path]) -> None:
    labelled = {(clip.video, clip.start_frame): clip.frames for clip in open_shards(tiny_shards)}
    frames_of = {(clip.video, clip.start_frame): clip.frames for clip in frames_only}
    assert len(labelled) == 12 and labelled.keys() < frames_of.keys()
    for key, frames in labelled.items():
        np.testing.assert_array_equal(frames_of[key], frames)


def test_they_verify_and_a_resumed_run_keeps_them(frames_only: ShardSet, tiny_videos: Path) -> None:
    with Shard(frames_only.paths[0]) as shard:
        shard.verify()
    before = frames_only.paths[0].read_bytes()
    result = make(tiny_videos, frames_only.paths[0].parent, "--frames-only", "--clip-stride", "8")
    assert "5 of 5 shards were finished before" in result.output
    assert frames_only.paths[0].read_bytes() == before
    labelled = make(tiny_videos, frames_only.paths[0].parent, "--clip-stride", "8")
    assert labelled.exit_code == 1 and "frames_only was True, is now False" in labelled.output


def test_they_need_no_compiled_extension(
    tiny_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mas_labels._tvl1", None)  # an import of it fails
    assert make(tiny_videos, tmp_path / "out", "--frames-only").exit_code == 3
    labelled = make(tiny_videos, tmp_path / "labels")
    assert labelled.exit_code == 1 and "compiled extension is not there" in labelled.output


def test_labels_without_views_and_views_without_labels_are_refused(
    frames_only: ShardSet, tiny_shards: list[Path], tmp_path: Path
) -> None:
    for name, path in (("views", frames_only.paths[0]), ("clips/labels", tiny_shards[0])):
        copy = tmp_path / f"{name.replace('/', '_')}.h5"
        shutil.copy(path, copy)
        with h5py.File(copy, "r+") as file:
            del file[name]
            if name == "views":
                file.create_dataset(name, data=np.array([[8, 29, 0]], np.int16), chunks=True, fletcher32=True)
        with pytest.raises(ShardError, match="views and clips/labels go together"):
            Shard(copy)


def test_storing_flow_needs_flow_to_be_computed(tiny_videos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frames_only: no flow is computed"):
        LabelConfig(frames_only=True)
    result = make(tiny_videos, tmp_path / "out", "--frames-only", "--store-flow")
    assert (
        result.exit_code == 1 and "no flow is computed" in result.output and not (tmp_path / "out").exists()
    )


def test_the_page_and_the_picture_say_that_there_are_no_labels(frames_only: ShardSet, tmp_path: Path) -> None:
    write_report(frames_only, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "These shards hold frames only." in page and "no flow, no labels" in page
    assert "without any motion" not in page and "Clips of folder" in page
    with pytest.raises(InputError, match="found frames only: make shards without --frames-only"):
        clip_figure(frames_only[0])


def test_the_trainer_refuses_them_and_names_the_remedy(frames_only: ShardSet) -> None:
    from mas_train.data.clips import ClipDataset

    with pytest.raises(
        DatasetError, match=r"holds frames without labels: pre-train on .* without --frames-only"
    ):
        ClipDataset(frames_only)
