"""A folder of odd videos: the expected result of every file, as a table."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video

import mas_labels
from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards

CLIPS = {  # decoded frames and clips of those that can be used
    "UPPER.AVI": (187, 11),
    "black.avi": (40, 2),
    "c_av1.mp4": (24, 1),
    "c_ffv1.mkv": (20, 1),
    "c_mpeg2.ts": (60, 3),
    "c_vp9.webm": (60, 3),
    "corrupt_middle.mp4": (187, 11),
    "dim_16x16.avi": (40, 2),
    "dim_321x241.avi": (40, 2),
    "dim_change_midstream.ts": (29, 1),
    "dim_portrait_240x428.mp4": (40, 2),
    "editlist.mp4": (154, 9),
    "flash_cut.avi": (46, 2),
    "gray_h264.mp4": (40, 2),
    "h264_10bit.mp4": (40, 2),
    "name with space & quote' ünïcödé 视频.avi": (187, 11),
    "pan_known.avi": (60, 3),
    "rot_90.mp4": (40, 2),
    "short_16f.avi": (16, 1),
    "short_17f.avi": (17, 1),
    "short_32f.avi": (32, 2),
    "static.avi": (60, 3),
    "trunc_half.avi": (85, 5),
    "vfr.mp4": (167, 10),
    "zeroed_20k.avi": (178, 11),
}
FAILURES = {  # stage, code and part of the message of those that cannot, or not to their end
    "audio_only.mp4": ("open", "no_video_stream", "only sound"),
    "coverart.mp4": ("clips", "too_short", "1 frames decoded, a clip needs 16"),
    "corrupt_middle.mp4": ("decode", "errors_concealed", "34 of 187 frames are damaged"),
    "dim_change_midstream.ts": ("decode", "size_changes", "frame 29 has 180 x 240 pixels"),
    "empty.avi": ("open", "cannot_open", "in its 0 bytes"),
    "random.mp4": ("open", "cannot_open", "not a video"),
    "short_15f.avi": ("clips", "too_short", "15 frames decoded, a clip needs 16"),
    "short_7f.avi": ("clips", "too_short", "7 frames decoded, a clip needs 16"),
    "text.avi": ("open", "cannot_open", "not a video"),
    "trunc_half.avi": ("decode", "errors_concealed", "1 of 85 frames are damaged, the first is frame 84"),
    "trunc_header_only.avi": ("open", "cannot_open", "cut short"),
    "trunc_nomoov.mp4": ("open", "cannot_open", "cut short"),
    "zero_frames.avi": ("decode", "no_frames", "the header promises 0 frames"),
    "zeroed_20k.avi": ("decode", "errors_concealed", "1 of 178 frames are damaged, the first is frame 84"),
}
MOTIONLESS = {"black.avi", "static.avi"}


@pytest.fixture(scope="module")
def shards(shared_videos, tmp_path_factory):
    out = tmp_path_factory.mktemp("odd")
    listing = find_videos(load_manifest(FOLDER_MANIFEST), shared_videos / "odd")
    run(plan_shards(listing, "all", 9), LabelConfig(flow="dis", view_stride_pixels=59), listing.root, out, 2)
    return mas_labels.open_shards(out)


def test_the_table_names_every_file(shared_videos):
    names = {path.name for path in (shared_videos / "odd").iterdir()} - {"README.tsv"}
    assert names == set(CLIPS) | set(FAILURES)


def test_usable_videos_give_clips(shards):
    assert {video.path: (video.frames, video.clips) for video in shards.videos} == CLIPS


def test_unusable_videos_are_rows_of_failures(shards):
    found = {row.video: (row.stage, row.code, row.message) for row in shards.failures}
    assert set(found) == set(FAILURES)
    for name, (stage, code, part) in FAILURES.items():
        assert found[name][:2] == (stage, code), name
        assert part in found[name][2], name


def test_motionless_clips_show_in_their_motion(shards):
    still = {clip.video for clip in shards if clip.motion.max() == 0.0}
    assert still == MOTIONLESS


def test_letterboxed_and_black_clips_have_labels(tmp_path):
    """Moving texture between black bars, and black frames only: no failure, and motion in the former."""
    boxed = moving_texture(16, 120, 160, 2, 1)
    boxed[:, :30] = boxed[:, 90:] = 0
    write_video(tmp_path / "videos" / "boxed.avi", boxed)
    write_video(tmp_path / "videos" / "dark.avi", np.zeros_like(boxed))
    listing = find_videos(load_manifest(FOLDER_MANIFEST), tmp_path / "videos")
    run(plan_shards(listing, "all", 2), LabelConfig(flow="dis"), listing.root, tmp_path / "out")
    made = mas_labels.open_shards(tmp_path / "out")
    assert made.failures == []
    assert [(clip.video, bool(clip.motion.max() > 0)) for clip in made] == [
        ("boxed.avi", True),
        ("dark.avi", False),
    ]
    assert all(min(clip.labels.values()) >= 1 for clip in made)


def test_a_rotated_video_is_upright(shards):
    sizes = {}
    for number in range(len(shards.paths)):
        shard = shards.shard(number)
        sizes |= dict(zip(shard.read_texts("videos/path"), shard.read("videos/size").tolist(), strict=True))
    assert sizes["rot_90.mp4"] == [320, 240]
    assert sizes["dim_portrait_240x428.mp4"] == [428, 240]
