from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers.processes import contents
from helpers.videos import FOLDER_MANIFEST

import mas_labels
from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import ConfigError, OptionsDifferError
from mas_labels.pipeline.resume import check_same_run
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards
from mas_labels.shards.header import read_header
from mas_labels.system.files import lock_file
from mas_labels.video.clips import cut_clips
from mas_labels.video.video_file import VideoReader

DIS = LabelConfig(flow="dis")


@pytest.fixture(scope="module")
def plan(tiny_videos):
    return plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), tiny_videos), "all", 5)


def test_the_plan_assigns_every_video_once(plan, tiny_videos):
    assigned = sorted(video.path for shard in plan for video in shard.videos)
    assert assigned == sorted(str(path.relative_to(tiny_videos)) for path in tiny_videos.rglob("*.*"))
    assert [shard.name for shard in plan] == ["folder-all-00000-of-00002.h5", "folder-all-00001-of-00002.h5"]


def test_labels_in_a_shard_are_those_of_the_library(tiny_shards, tiny_videos):
    shards = mas_labels.open_shards(tiny_shards)
    assert len(shards) == 6 * 2
    for clip in shards[::3]:
        decoded = dict(cut_clips(VideoReader(tiny_videos / clip.video)))
        frames = decoded[clip.start_frame]
        flow = mas_labels.compute_flow(frames, "dis")
        np.testing.assert_array_equal(clip.view_labels, mas_labels.compute_labels(frames, flow, clip.views))
        mu, mv = mas_labels.motion_boundaries(flow)
        np.testing.assert_allclose(clip.motion_boundaries, [mu, mv], rtol=1e-3, atol=1e-5)
        assert np.abs(clip.frames.astype(int) - frames).mean() < 6
        gradients = [np.hypot(*np.gradient(flow[i, ..., c])).mean() for i in range(15) for c in (0, 1)]
        np.testing.assert_allclose(clip.motion.ravel(), gradients, rtol=1e-4, atol=1e-5)


def test_videos_and_failures_are_recorded(tiny_shards):
    shards = mas_labels.open_shards(tiny_shards)
    assert {(video.path, video.frames, video.clips) for video in shards.videos} == {
        ("pan/right.avi", 33, 2),
        ("pan/down.avi", 34, 2),
        ("pan/slow.mp4", 35, 2),
        ("zoom out/a b.avi", 36, 2),
        ("zoom out/#[é].mp4", 37, 2),
        ("zoom out/still.avi", 38, 2),
    }
    assert {video.class_name for video in shards.videos} == {"pan", "zoom out"}
    failures = {failure.video: (failure.stage, failure.code) for failure in shards.failures}
    assert failures == {
        "pan/short.avi": ("clips", "too_short"),
        "zoom out/text.avi": ("open", "cannot_open"),
        "zoom out/empty.mp4": ("open", "cannot_open"),
    }
    message = next(f.message for f in shards.failures if f.video == "pan/short.avi")
    assert message == "9 frames decoded, a clip needs 16"


def test_three_workers_give_the_bytes_of_one(plan, tiny_videos, tiny_shards, tmp_path):
    results = run(plan, DIS, tiny_videos, tmp_path, workers=3)
    assert [result.error for result in results] == [None, None]
    assert contents(tmp_path) == contents(tiny_shards[0].parent)


def test_a_second_run_keeps_finished_shards(plan, tiny_videos, tiny_shards, tmp_path, capsys):
    (tmp_path / tiny_shards[0].name).write_bytes(tiny_shards[0].read_bytes())
    before = (tmp_path / tiny_shards[0].name).stat().st_mtime_ns
    results = run(plan, DIS, tiny_videos, tmp_path)
    assert "1 of 2 shards were finished before and are kept" in capsys.readouterr().err
    assert (tmp_path / tiny_shards[0].name).stat().st_mtime_ns == before
    assert contents(tmp_path) == contents(tiny_shards[0].parent)
    assert sum(result.clips for result in results) == 12


def test_other_options_are_refused_by_name(plan, tiny_videos, tiny_shards):
    with pytest.raises(OptionsDifferError, match=r"jpeg_quality was 90, is now 80\. Use the same options"):
        run(plan, LabelConfig(flow="dis", jpeg_quality=80), tiny_videos, tiny_shards[0].parent)


def test_shards_of_an_earlier_version_are_resumed(plan, tiny_shards):
    shard = read_header(tiny_shards[0])
    check_same_run(replace(shard, versions={**shard.versions, "mas_labels": "0.1.0"}), plan[0], DIS)
    other = replace(shard, versions={**shard.versions, "mas_labels": "0.0.1"})
    with pytest.raises(OptionsDifferError, match=r"mas_labels was '0\.0\.1', is now"):
        check_same_run(other, plan[0], DIS)


def test_another_plan_in_the_folder_is_refused(tiny_videos, tiny_shards):
    listing = find_videos(load_manifest(FOLDER_MANIFEST), tiny_videos)
    with pytest.raises(
        OptionsDifferError, match=r"number of shards, by --videos-per-shard .* was 2, is now 3"
    ):
        run(plan_shards(listing, "all", 3), DIS, tiny_videos, tiny_shards[0].parent)
    other = replace(listing, manifest_name="other")
    with pytest.raises(OptionsDifferError, match="plans split 'all' of folder, this run is for split"):
        run(plan_shards(other, "all", 5), DIS, tiny_videos, tiny_shards[0].parent)


def test_another_copy_of_the_data_set_is_refused(tiny_videos, tiny_shards, tmp_path):
    shutil.copytree(tiny_videos, tmp_path / "copy")
    with (tmp_path / "copy" / "pan" / "right.avi").open("ab") as file:
        file.write(b"more")
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), tmp_path / "copy"), "all", 5)
    with pytest.raises(OptionsDifferError, match=r"'pan/right.avi' of \d+ bytes, under .* it has"):
        run(plan, DIS, tmp_path / "copy", tiny_shards[0].parent)


def test_a_folder_that_cannot_be_written_is_refused_before_work(plan, tiny_videos, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write shards"):
        run(plan, DIS, tiny_videos, tmp_path / "file" / "out")


def test_leftovers_of_a_killed_run_are_removed(plan, tiny_videos, tiny_shards, tmp_path):
    for name in (".folder-all-00000-of-00099.h5.partial", ".folder-all-00000-of-00099.h5.progress", ".lock"):
        (tmp_path / name).write_text("1 2 3")
    run(plan, DIS, tiny_videos, tmp_path)
    assert contents(tmp_path) == contents(tiny_shards[0].parent)


def test_a_second_run_in_the_same_folder_is_refused(plan, tiny_videos, tmp_path):
    descriptor = lock_file(tmp_path / ".lock", "busy")
    with pytest.raises(ConfigError, match="another run is writing to"):
        run(plan, DIS, tiny_videos, tmp_path)
    os.close(descriptor)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_video_that_may_not_be_read_is_a_failure(tiny_videos, tmp_path):
    path = tmp_path / "videos" / "a.avi"
    path.parent.mkdir()
    path.write_bytes((tiny_videos / "pan" / "right.avi").read_bytes())
    path.chmod(0)
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), path.parent), "all", 5)
    run(plan, DIS, path.parent, tmp_path / "out")
    (failure,) = mas_labels.open_shards(tmp_path / "out").failures
    assert (failure.code, failure.message) == ("unreadable", "cannot read the file: Permission denied")


def test_overlapping_clips(tiny_videos, plan, tmp_path):
    run(plan, LabelConfig(flow="dis", clip_stride_frames=8, view_stride_pixels=59), tiny_videos, tmp_path)
    shards = mas_labels.open_shards(tmp_path)
    starts = [clip.start_frame for clip in shards if clip.video == "pan/right.avi"]
    assert starts == [0, 8, 16]
