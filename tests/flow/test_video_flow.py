"""The flow of whole videos: parts, steps, sizes, grey values."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from helpers.videos import moving_texture, write_video
from hypothesis import given
from hypothesis import strategies as st

import mas_labels
from mas_labels.errors import ConfigError, VideoError
from mas_labels.flow import video_flow
from mas_labels.flow.estimators import ESTIMATORS
from mas_labels.flow.grey import flow_to_grey, grey_to_flow
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.video_flow import flow_parts
from mas_labels.video.clips import resize_frame
from mas_labels.video.open_video import open_video
from mas_labels.video.video_file import VideoReader


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    frames = moving_texture(20, 48, 64, 1, 0)
    return write_video(tmp_path_factory.mktemp("videos") / "a.avi", frames)


def array_of(video, **options):
    chosen = FlowOptions(flow="dis", format="npz", dtype="float32", **options)
    parts = list(flow_parts(open_video(video, chosen.frame_rate), chosen))
    assert sum(part.vectors for part in parts) == sum(part.array[..., 0].size for part in parts)
    return np.concatenate([part.array for part in parts])


def grey_frames(video):
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in VideoReader(video)])


def test_grey_values_by_hand():
    flow = np.float32([-99, -20, -10, 0, 10, 20, 99])
    np.testing.assert_array_equal(flow_to_grey(flow), [0, 0, 64, 128, 191, 255, 255])


@given(st.floats(-20, 20, width=32), st.sampled_from([20.0, 25.0, 100.0]))
def test_grey_values_are_inverted_to_within_half_a_step(value, bound):
    assert abs(grey_to_flow(flow_to_grey(np.float32(value), bound), bound) - value) <= bound / 255 + 1e-4


def test_the_flow_of_a_video_pair_by_pair(video):
    fields = list(video_flow.video_flow(str(video), flow="dis", step=2, size=(32, 40)))
    assert fields[0].shape == (32, 40, 2) and fields[0].dtype == np.float32
    np.testing.assert_array_equal(fields, array_of(video, step=2, size=(32, 40)))


@pytest.mark.parametrize("pixels", [video_flow.PIXELS_PER_PART, 3 * 48 * 64, 1])
@pytest.mark.parametrize("step", [1, 3, 17, -1, -4])
def test_pairs_are_step_frames_apart_however_the_video_is_divided(video, step, pixels, monkeypatch):
    monkeypatch.setattr(video_flow, "PIXELS_PER_PART", pixels)
    frames = grey_frames(video)
    first, second = (frames, frames[step:]) if step > 0 else (frames[-step:], frames)
    expected = [ESTIMATORS["dis"](np.stack(pair))[0] for pair in zip(first, second, strict=False)]
    assert len(expected) == 20 - abs(step)
    np.testing.assert_array_equal(array_of(video, step=step), expected)


def test_frames_are_resized_as_for_labels(video):
    frames = np.stack([resize_frame(frame) for frame in VideoReader(video)])
    flow = array_of(video, size=(128, 171))
    np.testing.assert_array_equal(flow, mas_labels.compute_flow(frames, "dis"))


@pytest.mark.parametrize(
    ("rows", "cols", "expected"), [(240, 320, (256, 341)), (320, 240, (341, 256)), (512, 512, (256, 256))]
)
def test_the_shorter_side_is_as_asked(rows, cols, expected):
    assert FlowOptions(short_side=256).frame_size(rows, cols) == expected


def test_vectors_beyond_the_bound_are_counted(video):
    flow = array_of(video)
    for bound in (0.5, 20.0):
        options = FlowOptions(flow="dis", bound=bound)
        clipped = sum(part.clipped for part in flow_parts(VideoReader(video), options))
        assert clipped == (np.abs(flow) > bound).any(axis=-1).sum()
        assert (clipped > 0) == (bound == 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "dtype: expected one of float16, float32"),
        ({"bound": 0}, "bound: expected more than 0"),
        ({"bound": np.nan}, "bound: expected more than 0"),
        ({"flow": "lucas"}, "flow: expected one of tvl1"),
        ({"format": "flo"}, "format: expected one of tsn"),
        ({"picture": "bmp"}, "picture: expected one of jpg, png"),
        ({"step": 0}, "step: expected a number of frames other than 0"),
        ({"size": (40, 1000000)}, "expected rows and columns of 16 to 16384 pixels, found 40 x 1000000"),
        ({"size": (40, 40.5)}, "pixels, found 40 x 40.5"),
        ({"size": (40,)}, "pixels, found 40"),
        ({"short_side": 8}, "short_side: expected 16 to 16384, found 8"),
        ({"short_side": 64, "size": (64, 64)}, "leave one out"),
        ({"fps": "fast"}, "fps: expected frames per second"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        FlowOptions(**options)


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("missing.avi", {}, "no_file"),
        ("a.avi", {"step": 20}, "too_short"),
        ("wide.avi", {"short_side": 4096}, "wrong_size"),
    ],
)
def test_a_video_without_a_flow_says_why(video, name, options, code):
    if name == "wide.avi":
        write_video(video.with_name(name), moving_texture(2, 16, 160, 1, 0))
    with pytest.raises(VideoError) as error:
        list(flow_parts(VideoReader(video.with_name(name)), FlowOptions(flow="dis", **options)))
    assert error.value.code == code


def test_the_frames_before_damage_are_not_lost(video, tmp_path):
    frames = list(VideoReader(video))
    for number in (*range(1, 8), *range(9, 20)):
        cv2.imwrite(str(tmp_path / f"img_{number:05d}.png"), frames[number - 1])
    options, pairs = FlowOptions(flow="dis", format="npz", dtype="float32"), []
    with pytest.raises(VideoError, match="a number is missing, after 7 of 18 frames"):
        for part in flow_parts(open_video(tmp_path), options):
            pairs.extend(part.array)
    np.testing.assert_array_equal(pairs, array_of(video)[:6])
