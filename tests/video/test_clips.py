from __future__ import annotations

import cv2
import numpy as np
import pytest

from mas_labels.geometry import Geometry
from mas_labels.video.clips import cut_clips, resize_frame


def numbered(count):
    return [np.full((120, 160, 3), index, np.uint8) for index in range(count)]


@pytest.mark.parametrize(
    ("frames", "stride", "starts"),
    [
        (15, 16, []),
        (16, 16, [0]),
        (31, 16, [0]),
        (32, 16, [0, 16]),
        (33, 8, [0, 8, 16]),
        (40, 20, [0, 20]),
        (52, 20, [0, 20]),
    ],
)
def test_the_stride_determines_where_clips_start(frames, stride, starts):
    clips = list(cut_clips(numbered(frames), stride))
    assert [start for start, _ in clips] == starts
    for start, clip in clips:
        assert clip.shape == (16, 128, 171, 3)
        assert clip[:, 0, 0, 0].tolist() == list(range(start, start + 16))


@pytest.mark.parametrize(
    ("frames", "stride", "step", "clips"),
    [
        (7, None, 3, {0: [0, 3, 6]}),
        (6, None, 3, {}),
        (14, None, 3, {0: [0, 3, 6], 7: [7, 10, 13]}),
        (9, 2, 2, {0: [0, 2, 4], 2: [2, 4, 6], 4: [4, 6, 8]}),
        (9, 1, 3, {0: [0, 3, 6], 1: [1, 4, 7], 2: [2, 5, 8]}),
        (20, 12, 2, {0: [0, 2, 4], 12: [12, 14, 16]}),
    ],
)
def test_frames_of_a_clip_are_a_step_apart(frames, stride, step, clips):
    geometry = Geometry(3, step, 40, 60, view_size=32, grid_block=8, ring_width=4)
    made = dict(cut_clips(numbered(frames), stride, geometry))
    assert {start: clip[:, 0, 0, 0].tolist() for start, clip in made.items()} == clips
    assert {clip.shape for clip in made.values()} <= {(3, 40, 60, 3)}


def test_frames_that_shrink_are_averaged():
    checkerboard = np.indices((256, 342)).sum(axis=0) % 2 * 200
    small = resize_frame(np.repeat(checkerboard[..., None], 3, axis=2).astype(np.uint8))
    assert (small == 100).all()


def test_a_frame_becomes_rgb_of_128_x_171():
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[..., 0] = 255  # blue, in OpenCV's order
    assert resize_frame(frame).shape == (128, 171, 3)
    assert resize_frame(frame)[64, 80].tolist() == [0, 0, 255]


@pytest.mark.parametrize("shape", [(640, 64), (64, 640)])
def test_one_side_may_shrink_while_the_other_grows(shape):
    """Stripes of single pixels along the side that shrinks are averaged, not sampled."""
    stripes = np.indices(shape)[0 if shape[0] > shape[1] else 1] % 2 * 200
    small = resize_frame(np.repeat(stripes[..., None], 3, axis=2).astype(np.uint8)).astype(int)
    assert small.shape == (128, 171, 3)
    assert abs(small - 100).max() <= 20  # a window of 5 or 3.74 pixels holds nearly as many of either


@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ((240, 320), cv2.INTER_AREA),
        ((128, 320), cv2.INTER_AREA),
        ((240, 171), cv2.INTER_AREA),
        ((64, 64), cv2.INTER_LINEAR),
        ((128, 64), cv2.INTER_LINEAR),
        ((64, 171), cv2.INTER_LINEAR),
        ((128, 171), cv2.INTER_LINEAR),
    ],
)
def test_sides_that_both_shrink_or_grow_are_resized_at_once(shape, how):
    """Also if one side keeps its length: as in shards of earlier versions."""
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    expected = cv2.resize(frame, (171, 128), interpolation=how)
    np.testing.assert_array_equal(resize_frame(frame), expected[..., ::-1])


@pytest.mark.parametrize("shape", [(16, 16, 3), (480, 100, 3), (241, 321, 3), (128, 171, 3)])
def test_any_size_is_resized(shape):
    frame = np.full(shape, 77, np.uint8)
    assert (resize_frame(frame) == 77).all()
