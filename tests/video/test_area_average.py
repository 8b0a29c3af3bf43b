"""Our area averages equal OpenCV's to the last bit, on every instruction set."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mas_labels.system.extensions import available_isas, load_extension
from mas_labels.video.area_average import area_average_opencv, area_weights, make_area_average
from mas_labels.video.clips import resize_frame

SIDES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)), st.tuples(st.integers(1, 400), st.integers(1, 7))
)
SHAPES = [(240, 320), (256, 342), (256, 340), (360, 640), (720, 1279), (129, 171), (128, 172)]
ROUNDING = 0 if platform.machine() == "x86_64" else 1
"""OpenCV's compiler may fuse its operations on other processors."""


def assert_averages(averages, frame, rows, cols):
    expected = area_average_opencv(frame, rows, cols)
    np.testing.assert_allclose(averages.astype(int), expected.astype(int), rtol=0, atol=ROUNDING)


@pytest.fixture
def not_built(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    make_area_average.cache_clear()
    monkeypatch.setitem(sys.modules, "mas_labels._resize", None)
    yield
    make_area_average.cache_clear()


@pytest.mark.parametrize("isa", available_isas("resize"))
@settings(max_examples=60)
@given(rows=SIDES, cols=SIDES, seed=st.integers(0, 99), levels=st.sampled_from([2, 256]))
def test_averages_equal_those_of_opencv(isa, rows, cols, seed, levels):
    """Sides of all sizes, shrunk a little or a lot; two levels give many halves, rounded to even."""
    random = np.random.default_rng(seed).integers(0, levels, (max(rows), max(cols), 3))
    frame, small = (random * (255 // (levels - 1))).astype(np.uint8), (min(rows), min(cols))
    assert_averages(make_area_average(isa)(frame, *small), frame, *small)


@pytest.mark.parametrize("isa", available_isas("resize"))
@pytest.mark.parametrize("shape", SHAPES)
def test_frames_of_videos_equal_those_of_opencv(isa, shape):
    frame = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    assert_averages(make_area_average(isa)(frame, 128, 171), frame, 128, 171)
    turned = frame[::-1, :, ::-1]  # the kernel does not take such strides
    assert_averages(make_area_average(isa)(turned, 128, 171), np.ascontiguousarray(turned), 128, 171)


def test_a_pixel_counts_as_far_as_it_overlaps_a_cell():
    starts, weights = area_weights(5, 2)  # cells of 2.5 pixels
    assert starts.tolist() == [0, 2]
    np.testing.assert_allclose(weights, [[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]], rtol=1e-6)


def test_without_the_extension_opencv_resizes_with_a_warning(not_built):
    frame = np.random.default_rng(2).integers(0, 256, (240, 320, 3), np.uint8)
    with pytest.warns(UserWarning, match="_resize is not built: OpenCV resizes"):
        small = resize_frame(frame)
    np.testing.assert_array_equal(small, area_average_opencv(frame, 128, 171))


@pytest.mark.parametrize(
    ("rows", "starts", "weights"),
    [
        (3, [0, 1], [[1], [1]]),
        (4, [0, 4], [[1], [1]]),
        (4, [0, 3], [[1, 0], [0.5, 0.5]]),
        (4, [-1, 3], [[1], [1]]),
        (2**31 - 1, [0, 3], [[1], [1]]),
    ],
)
def test_pixels_out_of_range_are_refused(rows, starts, weights):
    across = np.zeros(1, np.int32), np.ones((1, 1), np.float32)
    down, out = (np.array(starts, np.int32), np.array(weights, np.float32)), np.empty((2, 1, 3), np.uint8)
    arrays = np.zeros((4, 5, 3), np.uint8), *down, *across, out
    with pytest.raises(ValueError, match="do not fit"):
        load_extension("resize").area_average("portable", (rows, 5), (2, 1), *arrays)
