from __future__ import annotations

import numpy as np
import pytest

from mas_labels.clips import cut_clips, resize_frame


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
def test_clips_start_where_the_stride_says(frames, stride, starts):
    clips = list(cut_clips(numbered(frames), stride))
    assert [start for start, _ in clips] == starts
    for start, clip in clips:
        assert clip.shape == (16, 128, 171, 3)
        assert clip[:, 0, 0, 0].tolist() == list(range(start, start + 16))


def test_frames_that_shrink_are_averaged_over_areas():
    checkerboard = np.indices((256, 342)).sum(axis=0) % 2 * 200
    small = resize_frame(np.repeat(checkerboard[..., None], 3, axis=2).astype(np.uint8))
    assert (small == 100).all()


def test_a_frame_becomes_rgb_of_128_x_171():
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[..., 0] = 255  # blue, in OpenCV's order
    assert resize_frame(frame).shape == (128, 171, 3)
    assert resize_frame(frame)[64, 80].tolist() == [0, 0, 255]


@pytest.mark.parametrize("shape", [(16, 16, 3), (480, 100, 3), (241, 321, 3), (128, 171, 3)])
def test_any_size_is_resized(shape):
    frame = np.full(shape, 77, np.uint8)
    assert (resize_frame(frame) == 77).all()
