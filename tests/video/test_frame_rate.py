"""Conversion to one frame rate: exact, by time stamps, and refused where these are unusable."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import ceil

import av
import numpy as np
import pytest
from click.testing import CliRunner
from helpers.videos import FOLDER_MANIFEST
from hypothesis import given, settings
from hypothesis import strategies as st

import mas_labels
from mas_labels.cli.main import main
from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import ConfigError, MasError, VideoError
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards
from mas_labels.shards.reader import Shard
from mas_labels.verify.run import Checks, verify_shard
from mas_labels.video.frame_rate import Clock, Span, at_rate, parse_fps
from mas_labels.video.video_file import VideoReader


def write_timed(path, times, time_base=Fraction(1, 600), codec="png", **options):
    """Write a video whose frame n has the grey value 10 + 6 n and begins at times[n], in time base units."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
        stream.time_base = stream.codec_context.time_base = time_base
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 + 6 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers(frames):
    """Return the numbers of the frames that `write_timed` wrote, by their grey values."""
    return [round((float(np.mean(frame)) - 10) / 6) for frame in frames]


def shown_at(times, end, time_base, fps):
    """By definition: at k / fps the last frame that has begun, as long as one is shown."""
    ticks = time_base * fps
    count = next(k for k in range(10**6) if k >= (end - times[0]) * ticks)
    return [max(n for n, t in enumerate(times) if (t - times[0]) * ticks <= k) for k in range(count)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("25", Fraction(25)),
        ("29.97", Fraction(2997, 100)),
        ("30000/1001", Fraction(30000, 1001)),
        ("025.0", Fraction(25)),
    ],
)
def test_a_rate_is_a_fraction(text, value):
    assert parse_fps(text) == value
    assert LabelConfig(fps=text).fps == str(value)
    assert LabelConfig(fps=text).frame_rate == value


@pytest.mark.parametrize(
    "text", ["0", "-25", "1/0", "nan", "inf", "1e3", "1001", "0.5", "25 fps", "9" * 10, "٢٥", "25/"]
)
def test_an_invalid_rate_is_refused(text, tmp_path):
    with pytest.raises(ConfigError, match="frames per second from 1 to 1000"):
        LabelConfig(fps=text)
    command = ["make", "--manifest", "x", "--root", "x", "--out", str(tmp_path / "out"), f"--fps={text}"]
    assert CliRunner().invoke(main, command).exit_code == 2
    assert not (tmp_path / "out").exists()


steps = st.lists(st.integers(1, 300), min_size=1, max_size=9)
rates = st.sampled_from(
    [Fraction(25), Fraction(30000, 1001), Fraction(2997, 100), Fraction(7, 3), Fraction(240)]
)


@settings(max_examples=60)
@given(
    st.integers(-1000, 1000),
    steps,
    rates,
    st.sampled_from([Fraction(1, 600), Fraction(1, 90000), Fraction(1, 25)]),
)
def test_frames_are_those_that_a_player_shows(first, steps, fps, time_base):
    times = list(accumulate(steps[:-1], initial=first))
    spans = [Span(time, step) for time, step in zip(times, steps, strict=True)]
    made = list(at_rate(enumerate(spans), time_base, fps))
    assert made == shown_at(times, times[-1] + steps[-1], time_base, fps)


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60)])
@pytest.mark.parametrize("first", [0, 7, 12345])
def test_times_rounded_to_milliseconds_keep_every_frame(fps, first):
    """As in Matroska: conversion to the video's own rate keeps all frames."""
    meant = [first + n / fps for n in range(3000)]
    times = [round(1000 * time) for time in meant]
    spans = [Span(time, round(1000 / fps)) for time in times]
    assert list(at_rate(enumerate(spans), Fraction(1, 1000), fps)) == list(range(3000))


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([Span(0, 1), None], "frame 1 has none"),
        ([Span(0, 1), Span(5, 1), Span(4, 1)], "frame 2 comes 1 s before"),
        ([Span(0, 1), Span(10**9, 1)], "frame 1 comes 1e[+]09 s after"),
    ],
)
def test_impossible_times_are_refused(spans, message):
    with pytest.raises(VideoError, match=message) as error:
        list(at_rate(enumerate(spans), Fraction(1), Fraction(25)))
    assert (error.value.stage, error.value.code) == ("decode", "time_stamps")


def test_the_duration_of_the_last_frame_is_limited_to_a_minute():
    assert len(list(at_rate([(0, Span(0, 1)), (1, Span(1, 10**9))], Fraction(1), Fraction(5)))) == 5 * 61


UNEVEN = [0, 24, 48, 50, 120, 123, 124, 240, 264, 288, 400, 410, 420, 430, 440, 450, 460, 470, 480, 600]
MORE = [*UNEVEN, *range(624, 24 * 41, 24)]


@pytest.mark.parametrize("fps", ["25", "29.97", "30000/1001", "5", "120"])
@pytest.mark.parametrize(
    ("name", "codec", "options"), [("a.mov", "png", {}), ("b.mp4", "mpeg4", {"bf": "2", "qmax": "3"})]
)
def test_videos_with_uneven_times_are_converted(tmp_path, name, codec, options, fps):
    path = write_timed(tmp_path / name, MORE, codec=codec, **options)
    reader = VideoReader(path, Fraction(fps))
    made = numbers(reader)
    assert made == shown_at(MORE, MORE[-1] + 24, Fraction(1, 600), Fraction(fps))
    assert (reader.frames, reader.fps) == (len(made), float(Fraction(fps)))
    assert numbers(VideoReader(path)) == list(range(len(MORE)))


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_avi_keeps_every_frame_at_its_own_rate(tmp_path, codec):
    """AVI has no presentation times, and those that are derived for reordered frames are out of order."""
    path = write_timed(tmp_path / "a.avi", range(40), Fraction(1, 25), codec, bf="2", qmax="3")
    assert numbers(VideoReader(path, Fraction(25))) == numbers(VideoReader(path)) == list(range(40))
    assert numbers(VideoReader(path, Fraction(50))) == [n // 2 for n in range(80)]


def test_decoding_time_stamps_replace_missing_presentation_times():
    @dataclass
    class Frame:
        pts: int | None
        dts: int | None
        duration: int = 2

    frames = [
        Frame(0, 0),
        Frame(2, 2),
        Frame(6, 4),
        Frame(4, 6),
        Frame(None, 8),
        Frame(10, None),
        Frame(8, None),
    ]
    clock = Clock()
    assert [clock.span(frame) for frame in frames] == [
        (0, 2),
        (2, 2),
        (6, 2),
        (6, 2),
        (8, 2),
        (10, 2),
        (12, 2),
    ]
    assert Clock().span(Frame(None, None)) is None
    assert Clock(in_coded_order=True).span(Frame(3, 1)) == (1, 2)


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Two videos of different rates, one with uneven times, and one without times."""
    root = tmp_path_factory.mktemp("rates")
    write_timed(root / "slow.mov", range(0, 41 * 60, 60))  # 10 per second, the last for 1/25
    write_timed(root / "fast.avi", range(40), Fraction(1, 50), "mpeg4", qmax="3")  # 0.8 seconds
    write_timed(root / "uneven.mp4", MORE, codec="mpeg4", bf="2", qmax="3")
    write_timed(root / "none.h264", range(40), Fraction(1, 25), "libx264").rename(root / "none.mkv")
    return root


def label(root, out, **options):
    listing = find_videos(load_manifest(FOLDER_MANIFEST), root)
    config = LabelConfig(flow="dis", view_stride_pixels=59, **options)
    run(plan_shards(listing, "all", 8), config, root, out)
    return mas_labels.open_shards(out)


def test_a_data_set_is_labelled_at_one_rate(footage, tmp_path):
    shards = label(footage, tmp_path, fps="20")
    videos = {video.path: (video.frames, video.fps, video.clips) for video in shards.videos}
    seconds = Fraction(MORE[-1] + 24, 600)
    assert videos == {
        "fast.avi": (16, 20.0, 1),
        "slow.mov": (81, 20.0, 5),
        "uneven.mp4": (ceil(20 * seconds), 20.0, ceil(20 * seconds) // 16),
    }
    (failure,) = shards.failures
    assert (failure.video, failure.stage, failure.code) == ("none.mkv", "decode", "time_stamps")
    slow = [clip for clip in shards if clip.video == "slow.mov"]
    assert [clip.start_frame for clip in slow] == [0, 16, 32, 48, 64]
    assert numbers(slow[1].frames) == [(16 + k) // 2 for k in range(16)]
    (shard,) = tmp_path.glob("*.h5")
    report = verify_shard(shard, Checks(deep=True, recompute=1.0, root=footage))
    assert (report.problems, report.recomputed) == ((), len(shards))
    with pytest.raises(MasError, match="fps was '20', is now '25'"):
        label(footage, tmp_path, fps="25")


def test_a_shard_records_the_rate_only_if_one_is_set(footage, tmp_path):
    with_rate, without = label(footage, tmp_path / "a", fps="29.97"), label(footage, tmp_path / "b")
    (one,), (other,) = (list(path.glob("*.h5")) for path in (tmp_path / "a", tmp_path / "b"))
    with Shard(one) as shard:
        assert shard.config["fps"] == "2997/100"
        assert shard.options.frame_rate == Fraction(2997, 100)
    with Shard(other) as shard:
        assert "fps" not in shard.config
    assert {video.fps for video in with_rate.videos} == {29.97}
    assert {video.path: video.fps for video in without.videos}["slow.mov"] == pytest.approx(41 / 4.04)


def test_the_estimate_and_the_flow_command_count_frames_at_the_rate(footage, tmp_path):
    only = tmp_path / "videos"
    only.mkdir()
    (only / "slow.mov").write_bytes((footage / "slow.mov").read_bytes())
    command = ["--manifest", str(FOLDER_MANIFEST), "--root", str(only), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["make", *command, "--flow", "dis", "--fps", "160", "--dry-run"])
    assert "about 40 clips" in result.output
    CliRunner().invoke(
        main,
        ["flow", str(only / "slow.mov"), "--out", str(tmp_path / "a.npz"), "--flow", "dis", "--fps", "20"],
    )
    assert len(np.load(tmp_path / "a.npz")["flow"]) == 80
