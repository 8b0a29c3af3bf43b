"""Labels are made from flow that exists already."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from helpers.commands import mas
from helpers.frames import write_frames
from helpers.stored_flow import through_grey, write_array, write_pictures
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video

import mas_labels
from mas_labels.config import LabelConfig, RunOptions
from mas_labels.errors import ConfigError, UnavailableError
from mas_labels.shards.reader import Shard
from mas_labels.verify.recompute import find_differences
from mas_labels.video.clips import cut_clips, resize
from mas_labels.video.open_video import open_video

VIDEOS = {"pan/right.avi": (2, 0), "pan/down.avi": (0, 1)}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Return a folder of two videos of 20 frames."""
    root = tmp_path_factory.mktemp("videos")
    for name, motion in VIDEOS.items():
        write_video(root / name, moving_texture(20, 120, 160, *motion))
    return root


def flow_of(path, size=(128, 171)):
    """Return the flow between all frames of a video, by DIS."""
    frames = [frame if size is None else resize(frame, *size) for frame in open_video(path)]
    return mas_labels.compute_flow(np.stack(frames)[..., ::-1], "dis")


def write_flow_of(videos, folder):
    for name in VIDEOS:
        write_array((folder / name).with_suffix(".npz"), flow_of(videos / name))
    return folder


def make(root, out, *options):
    return mas(
        *("make", "--manifest", FOLDER_MANIFEST, "--root", root, "--out", out, "--workers", 1),
        *("--view-stride", 59, *options),
    )


def assert_labels_of(clip, frames, flow):
    np.testing.assert_array_equal(clip.view_labels, mas_labels.compute_labels(frames, flow, clip.views))


def test_files_of_the_flow_command_give_the_labels_of_computed_flow(videos, tmp_path):
    flow = tmp_path / "flow"
    options = ("--format", "npz", "--dtype", "float32", "--size", 128, 171, "--flow", "dis", "--workers", 1)
    assert mas("flow", videos, "--out", flow, *options).exit_code == 0
    shown = make(videos, tmp_path / "read", "--flow-from", flow, "--clip-stride", 4, "--store-flow")
    assert shown.exit_code == 0, shown.output
    assert f"flow is read from {flow}: numbers" in shown.output
    assert make(videos, tmp_path / "made", "--flow", "dis", "--clip-stride", 4, "--store-flow").exit_code == 0
    read, made = (mas_labels.open_shards(tmp_path / name) for name in ("read", "made"))
    assert len(read) == len(made) == 4
    for one, other in zip(read, made, strict=True):
        assert (one.video, one.start_frame) == (other.video, other.start_frame)
        np.testing.assert_array_equal(one.view_labels, other.view_labels)
        np.testing.assert_array_equal(one.motion_boundaries, other.motion_boundaries)
        np.testing.assert_array_equal(one.flow, other.flow)
    assert read.config == {**made.config, "flow": "stored"}
    assert str(flow) not in str(read.config)
    refused = make(videos, tmp_path / "read", "--flow", "dis", "--clip-stride", 4, "--store-flow")
    assert refused.exit_code == 1 and "flow was 'stored', is now 'dis'" in refused.output

    with Shard(next((tmp_path / "read").glob("*.h5"))) as shard:
        assert list(find_differences(shard, videos, [1, 3], flow_from=flow)) == []
        with pytest.raises(UnavailableError, match="made from stored flow: give the folder by --flow-from"):
            list(find_differences(shard, videos, [1]))
        write_array(flow / "pan/right.npz", np.zeros((19, 128, 171, 2), np.float32))
        assert {problem.column for problem in find_differences(shard, videos, [3], flow_from=flow)} == {
            *("clips/labels", "clips/motion", "clips/mu", "clips/mv", "clips/flow")
        }
        (flow / "pan/right.npz").unlink()
        with pytest.raises(UnavailableError, match="no flow of it is in"):
            list(find_differences(shard, videos, [3], flow_from=flow))


def test_pictures_of_the_videos_size_are_resized(videos, tmp_path):
    """Public flow: u and v in two trees without classes, of 120 x 160 here, with bound 10."""
    for name in VIDEOS:
        stem = name.split("/")[1].removesuffix(".avi")
        flow = flow_of(videos / name, None)
        write_pictures(tmp_path, flow, f"u/{stem}/frame{{:06d}}.png", f"v/{stem}/frame{{:06d}}.png", bound=10)
    shown = make(videos, tmp_path / "out", "--flow-from", tmp_path, "--flow-bound", 10)
    assert shown.exit_code == 0, shown.output
    shards = mas_labels.open_shards(tmp_path / "out")
    assert shards.config["flow_bound"] == 10
    for clip in shards:
        flow = through_grey(flow_of(videos / clip.video, None)[:15], 10)
        small = np.stack([resize(field, 128, 171) for field in flow]) * np.float32([171 / 160, 128 / 120])
        (frames,) = dict(cut_clips(open_video(videos / clip.video))).values()
        assert_labels_of(clip, frames, small)


def test_frames_and_flow_in_one_folder_as_tsn_writes_them(videos, tmp_path):
    """Picture number k is the second frame of the pair of field number k."""
    frames = moving_texture(21, 128, 171, 2, 1)
    flow = mas_labels.compute_flow(frames, "dis")
    folder = write_frames(tmp_path / "data/pan/right", frames[1:], "img_{:05d}.png")
    write_pictures(folder, flow, "flow_x_{:05d}.png", "flow_y_{:05d}.png")
    shown = make(tmp_path / "data", tmp_path / "out", "--flow-from", tmp_path / "data")
    assert shown.exit_code == 0, shown.output
    (clip,) = mas_labels.open_shards(tmp_path / "out")
    assert_labels_of(clip, frames[1:17], through_grey(flow[1:16]))


def test_a_video_without_usable_flow_is_a_failure(videos, tmp_path):
    flow = write_flow_of(videos, tmp_path / "flow")
    root = tmp_path / "videos"
    for name in ("right", "down", "none", "short", "broken"):
        (root / "pan").mkdir(parents=True, exist_ok=True)
        shutil.copy(videos / "pan/right.avi", root / f"pan/{name}.avi")
    write_array(flow / "pan/short.npz", flow_of(videos / "pan/right.avi")[1:])
    (flow / "pan/broken.npz").write_bytes(b"PK")
    shown = make(root, tmp_path / "out", "--flow-from", flow, "--videos-per-shard", 5)
    assert shown.exit_code == 3, shown.output
    shards = mas_labels.open_shards(tmp_path / "out")
    assert [video.path for video in shards.videos] == ["pan/down.avi", "pan/right.avi"]
    assert {(failure.video, failure.stage, failure.code) for failure in shards.failures} == {
        ("pan/none.avi", "flow", "no_flow"),
        ("pan/short.avi", "flow", "other_count"),
        ("pan/broken.avi", "flow", "broken_flow"),
    }


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--fps", "25"], 1, "stored flow is between consecutive frames"),
        (["--frame-step", 2], 1, "stored flow is between consecutive frames"),
        (["--frames-only"], 1, "stored flow is between consecutive frames"),
        (["--flow", "dis"], 2, "--flow dis computes flow, --flow-from reads it"),
        (["--flow-bound", 20], 1, "--flow-bound 20: found numbers"),
    ],
)
def test_options_that_do_not_go_together_are_refused(videos, tmp_path, options, status, message):
    write_array(tmp_path / "flow/right.npy", np.zeros((19, 8, 8, 2), np.float32))
    shown = make(videos, tmp_path / "out", "--flow-from", tmp_path / "flow", *options)
    assert shown.exit_code == status and message in shown.output
    assert not (tmp_path / "out").exists()


def test_a_folder_without_the_flow_stops_before_work(videos, tmp_path):
    shown = make(videos, tmp_path / "out", "--flow-from", tmp_path)
    assert shown.exit_code == 1
    assert "expected flow of 2 videos" in shown.output and "found none" in shown.output
    for options in (["--flow-bound", 20], ["--flow", "stored"]):
        shown = make(videos, tmp_path / "out", *options)
        assert shown.exit_code == 2 and "need --flow-from" in shown.output
    assert not (tmp_path / "out").exists()


def test_options_of_stored_flow_belong_together(videos, tmp_path):
    from mas_labels.pipeline.run import run

    for config, options in [
        (LabelConfig(flow="stored"), RunOptions()),
        (LabelConfig(), RunOptions(flow_from=tmp_path)),
    ]:
        with pytest.raises(ConfigError, match="flow_from: expected with flow 'stored' only"):
            run([], config, videos, tmp_path / "out", 1, options)
    with pytest.raises(ConfigError, match="flow_bound: expected with flow 'stored' only"):
        LabelConfig(flow_bound=20.0)
