from __future__ import annotations

import numpy as np
import pytest
from helpers.brute_force import labels_of_view
from hypothesis import given, settings
from hypothesis import strategies as st

import mas_labels
from mas_labels.errors import ConfigError, InputError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.labels.views import view_table
from mas_labels.schema import LABEL_NAMES

CONVENTIONS = ("paper", "authors")


def random_clip(seed: int, frames: int = 4, rows: int = 128, cols: int = 171):
    """Frames with few colours in patches (so that colours dominate) and flow with a few moving patches."""
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (12, 3))
    patches = rng.integers(0, 12, (frames, rows // 8 + 1, cols // 8 + 1))
    pictures = palette[np.kron(patches, np.ones((1, 8, 8), int))[:, :rows, :cols]]
    pictures = np.clip(pictures + rng.integers(-9, 10, pictures.shape), 0, 255).astype(np.uint8)
    flow = rng.normal(0, 0.3, (frames - 1, rows, cols, 2))
    for _ in range(6):
        top, left = rng.integers(0, rows - 20), rng.integers(0, cols - 20)
        flow[:, top : top + 20, left : left + 20] += rng.normal(0, 4, (frames - 1, 1, 1, 2))
    return pictures, flow.astype(np.float32)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_labels_of_random_views_equal_brute_force(convention, seed):
    frames, flow = random_clip(seed)
    rng = np.random.default_rng(100 + seed)
    views = np.stack([rng.integers(0, 17, 25), rng.integers(0, 60, 25), rng.integers(0, 2, 25)], axis=1)
    found = mas_labels.compute_labels(frames, flow, views, convention)
    for view, labels in zip(views.tolist(), found, strict=True):
        expected = labels_of_view(frames, flow, *view, convention)
        assert dict(zip(LABEL_NAMES, labels.tolist(), strict=True)) == dict(
            zip(LABEL_NAMES, expected, strict=True)
        ), view


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(
    "sizes", [(224, 56, 28), (112, 14, 7), (96, 32, 16), (120, 40, 20), (84, 12, 7), (16, 16, 8)]
)
def test_labels_in_any_geometry_equal_brute_force(convention, sizes):
    """Odd and fine grids, blocks that are no multiples of the rings, one block; mirrored views and others."""
    view = sizes[0]
    rows, cols = view + 13, view + 31
    geometry = Geometry(16, 1, rows, cols, *sizes)
    frames, flow = random_clip(view, frames=3, rows=rows, cols=cols)
    views = [(0, 0, 0), (13, 31, 1), (5, 30, 0), (5, 30, 1)]
    found = mas_labels.compute_labels(frames, flow, views, convention, geometry)
    for one, labels in zip(views, found.tolist(), strict=True):
        expected = labels_of_view(frames, flow, *one, convention, sizes)
        assert dict(zip(LABEL_NAMES, labels, strict=True)) == dict(zip(LABEL_NAMES, expected, strict=True))
    assert (found >= geometry.label_min(convention)).all() and (found <= geometry.label_max).all()
    centre = [[(rows - view) // 2, (cols - view) // 2, 0]]
    of_centre = mas_labels.compute_labels(frames, flow, centre, convention, geometry)
    by_default = mas_labels.compute_labels(frames, flow, None, convention, geometry)
    assert by_default.tolist() == of_centre.tolist()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_labels_of_the_longest_clip_equal_brute_force(convention):
    frames, flow = random_clip(9, frames=256, rows=24, cols=25)
    flow[254] *= 9.0  # the last field is the one of largest motion
    geometry = Geometry(256, 1, 24, 25, 24, 8, 4)
    found = mas_labels.compute_labels(frames, flow, [(0, 1, 1)], convention, geometry)
    assert found[0].tolist() == labels_of_view(frames, flow, 0, 1, 1, convention, (24, 8, 4))
    assert found[0].tolist()[12:14] == [255, 255]


@pytest.mark.slow
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("seed", range(10, 40))
def test_labels_of_many_random_views_equal_brute_force(convention, seed):
    test_labels_of_random_views_equal_brute_force(convention, seed)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_real_clip_equals_brute_force(convention, shared_videos):
    from mas_labels.video.clips import cut_clips
    from mas_labels.video.video_file import VideoReader

    path = sorted((shared_videos / "ucf101" / "YoYo").glob("*.avi"))[0]
    _, frames = next(cut_clips(VideoReader(path)))
    flow = mas_labels.compute_flow(frames, "dis")
    views = view_table(16)[::5]
    found = mas_labels.compute_labels(frames, flow, views, convention)
    expected = [labels_of_view(frames, flow, *view, convention) for view in views.tolist()]
    assert found.tolist() == expected


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(0, 16), st.integers(0, 59), st.sampled_from(CONVENTIONS))
def test_mirrored_view_is_the_view_of_the_mirrored_clip(seed, top, left, convention):
    """Exactly, including ties and bin edges: flows of small integers are full of both."""
    rng = np.random.default_rng(seed)
    frames = rng.choice(np.array([0, 127, 128, 255], np.uint8), (3, 128, 171, 3))
    flow = rng.integers(-1, 2, (2, 128, 171, 2)).astype(np.float32)
    mirrored_flow = flow[:, :, ::-1] * np.float32([-1, 1])
    found = mas_labels.compute_labels(frames, flow, [(top, left, 1)], convention)
    expected = mas_labels.compute_labels(frames[:, :, ::-1], mirrored_flow, [(top, 59 - left, 0)], convention)
    assert found.tolist() == expected.tolist()


def test_labels_are_in_their_ranges():
    frames, flow = random_clip(3)
    labels = mas_labels.compute_labels(frames, flow, view_table(16))
    assert labels.dtype == np.uint8
    assert labels.shape == (len(view_table(16)), 27)
    assert (labels >= 1).all()
    assert (labels <= DEFAULT_GEOMETRY.label_max).all()


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("speed", [0.0, 3.7])
def test_still_clip_gets_the_lowest_numbers(convention, speed):
    frames = np.full((16, 128, 171, 3), 200, np.uint8)
    flow = np.full((15, 128, 171, 2), speed, np.float32)
    labels = mas_labels.compute_labels(frames, flow, [(0, 0, 0), (5, 9, 1)], convention)
    named = dict(zip(LABEL_NAMES, labels[0].tolist(), strict=True))
    white = {"paper": 8, "authors": 4}[convention]
    for name, value in named.items():
        if name.rpartition("_")[2] in ("cd", "cs", "C"):
            assert value == white
        elif convention == "authors" and name in ("grid_ul", "grid_uo", "grid_vl", "grid_vo"):
            assert value == 0
        else:
            assert value == 1
    assert labels[0].tolist() == labels[1].tolist()


def test_small_numbers_computed_by_hand():
    """A yellow square appears in frame 1, in block 6 of the grid; a patch in block 11 moves in field 2."""
    frames = np.zeros((3, 112, 112, 3), np.uint8)
    frames[..., 2] = 200  # a blue background: octant 001, number 2
    frames[1:, 30:56, 30:56] = (255, 255, 0)  # yellow, number 7: block 6, rings 1 and 2, triangles 1 and 2
    flow = np.zeros((2, 112, 112, 2), np.float32)
    flow[1, 60:80, 60:80, 0] = 4.0  # block 11
    named = dict(zip(LABEL_NAMES, mas_labels.compute_labels(frames, flow)[0].tolist(), strict=True))
    assert (named["grid_ul"], named["grid_vl"]) == (11, 1)  # v never moves: lowest numbers
    assert named["grid_vo"] == 1
    assert (named["ui"], named["vi"]) == (2, 1)
    # d/dcol is +2 along the left edge of the patch (angle 0, bin 1), -2 along the right (180, bin 5), d/drow
    # +2 along the top (270, bin 7), -2 along the bottom (90, bin 3): edges of one length, the lowest bin wins
    assert named["grid_uo"] == 1
    assert named["grid_pd"] == 6
    assert named["grid_cd"] == 7  # 2 of 3 frames show yellow in 26 x 26 of the 28 x 28 pixels
    assert (named["grid_ps"], named["grid_cs"]) == (1, 2)
    assert named["rings_pd"] == 1
    assert (named["rings_ps"], named["rings_cs"]) == (3, 2)  # rings 3 and 4 are equally still
    assert named["triangles_pd"] in (1, 2)
    assert (named["triangles_ps"], named["triangles_cs"]) == (3, 2)
    assert named["C"] == 2


def test_default_view_is_the_centre():
    frames, flow = random_clip(5)
    centre = mas_labels.compute_labels(frames, flow, [(8, 29, 0)])
    assert mas_labels.compute_labels(frames, flow).tolist() == centre.tolist()


def test_any_size_of_frame_and_clip():
    frames, flow = random_clip(6, frames=3, rows=200, cols=150)
    found = mas_labels.compute_labels(frames, flow, [(88, 38, 1)])
    assert found[0].tolist() == labels_of_view(frames, flow, 88, 38, 1, "paper")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"views": [(17, 0, 0)]}, "row 0 is (17, 0, 0)"),
        ({"views": [(0, 60, 0)]}, "at most (16, 59, 1)"),
        ({"views": [(0, 0, 2)]}, "at most (16, 59, 1)"),
        ({"views": [(0.5, 0, 0)]}, "expected integers"),
        ({"frames": np.zeros((4, 128, 171, 3), np.float32)}, "uint8"),
        ({"frames": np.zeros((4, 128, 171), np.uint8)}, "(frames, rows, cols, 3)"),
        ({"frames": np.zeros((5, 128, 171, 3), np.uint8)}, "expected shape (4, 128, 171, 2)"),
        ({"flow": np.full((3, 128, 171, 2), np.nan, np.float32)}, "finite"),
        ({"flow": np.zeros((3, 128, 171, 2), int)}, "floating point"),
    ],
)
def test_wrong_input_is_refused_with_the_expected_one(change, message):
    frames, flow = random_clip(0)
    with pytest.raises(InputError) as error:
        mas_labels.compute_labels(**{"frames": frames, "flow": flow, **change})
    assert message in str(error.value)


def test_a_clip_of_too_many_frames_is_refused():
    with pytest.raises(InputError, match="at most 256, found 257"):
        mas_labels.compute_labels(
            np.zeros((257, 112, 112, 3), np.uint8), np.zeros((256, 112, 112, 2), np.float32)
        )


def test_frames_smaller_than_a_view_are_refused():
    with pytest.raises(InputError, match="at least 112 x 112"):
        mas_labels.compute_labels(
            np.zeros((2, 100, 171, 3), np.uint8), np.zeros((1, 100, 171, 2), np.float32)
        )
    larger = Geometry(16, 1, 224, 224, view_size=224, grid_block=56, ring_width=28)
    with pytest.raises(InputError, match="at least 224 x 224 pixels, found 128 x 171"):
        mas_labels.compute_labels(*random_clip(0), geometry=larger)


def test_unknown_convention_is_refused():
    frames, flow = random_clip(0)
    with pytest.raises(ConfigError, match="choose one of paper, authors"):
        mas_labels.compute_labels(frames, flow, convention="mine")
