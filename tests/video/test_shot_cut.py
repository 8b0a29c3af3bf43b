"""Shot cuts: planted in synthetic and in real clips, and what resembles them."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.videos import SHARED, large_scene
from hypothesis import given, settings
from hypothesis import strategies as st

from mas_labels.errors import InputError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.video.clips import cut_clips
from mas_labels.video.open_video import open_video
from mas_labels.video.shot_cut import has_cut, shot_cuts

ODD = SHARED / "videos" / "odd"
needs_footage = pytest.mark.skipif(not ODD.is_dir(), reason="real footage is not there")


def planted(at: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.concatenate([first[:at], second[at:]])


@pytest.mark.parametrize("at", range(1, 16))
def test_a_planted_cut_is_found_wherever_it_lies(at):
    assert shot_cuts(planted(at, large_scene(0), large_scene(1))) == [at]


def test_two_cuts_are_found():
    assert shot_cuts(planted(5, large_scene(0), planted(11, large_scene(1), large_scene(2)))) == [5, 11]


def test_a_cut_between_equal_colours_is_found():
    """The second shot has the pixels of the first in another place."""
    frames = large_scene(0, speed=0)
    assert shot_cuts(planted(8, frames, np.roll(frames, (64, 80), axis=(1, 2)))) == [8]


def test_a_cut_to_the_mirrored_picture_and_one_to_black_are_found():
    frames = large_scene(0)
    assert shot_cuts(planted(8, frames, frames[:, :, ::-1])) == [8]
    assert shot_cuts(planted(3, frames, np.zeros_like(frames))) == [3]
    assert shot_cuts(planted(13, np.zeros_like(frames), frames)) == [13]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_no_cut(length):
    frames = large_scene(0)
    for first in (1, 6, 12):
        white = frames.copy()
        white[first : first + length] = 255
        assert not has_cut(white)
        brighter = frames.astype(int)
        brighter[first : first + length] += 120
        assert not has_cut(brighter.clip(0, 255).astype(np.uint8))


def test_fades_and_dissolves_are_no_cuts():
    first, second = large_scene(0).astype(float), large_scene(1).astype(float)
    share = np.linspace(0, 1, 16)[:, None, None, None]
    for fade in (first * (1 - share), first * share, first * (1 - 2 * share).clip(0)):
        assert not has_cut(fade.astype(np.uint8))
    assert not has_cut((first * (1 - share) + second * share).astype(np.uint8))


@pytest.mark.parametrize("speed", [4, 12, 24])
def test_fast_pans_are_no_cuts(speed):
    assert not has_cut(large_scene(0, speed=speed))


def test_black_noise_and_still_clips_have_no_cut():
    noise = np.random.default_rng(0).integers(0, 256, (16, 128, 171, 3), np.uint8)
    for frames in (np.zeros_like(noise), noise, noise[:1].repeat(16, axis=0), noise[:1]):
        assert shot_cuts(frames) == []


@pytest.mark.parametrize(("frames", "rows", "cols"), [(2, 128, 171), (32, 256, 342), (8, 72, 96)])
def test_any_size_and_length_will_do(frames, rows, cols):
    first, second = large_scene(0, frames, rows, cols), large_scene(1, frames, rows, cols)
    assert not has_cut(first)
    assert shot_cuts(planted(frames // 2, first, second)) == [frames // 2]


def test_frames_of_another_kind_are_refused():
    with pytest.raises(InputError, match="expected RGB as uint8"):
        has_cut(np.zeros((16, 128, 171, 3), np.float32))


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 16), st.integers(0, 12))
def test_a_repeated_frame_and_its_repetition_are_never_parted(seed, at, speed):
    """Property: no cut lies before a frame that equals the frame before it."""
    frames = planted(at, large_scene(seed, speed=speed), large_scene(seed + 1, speed=speed))
    repeated = frames.repeat(2, axis=0)
    assert all(cut % 2 == 0 for cut in shot_cuts(repeated))


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 15))
def test_mirroring_and_reversing_keep_the_cuts(seed, at):
    """Property: the cuts are those of the mirrored clip, and of the clip played backwards."""
    frames = planted(at, large_scene(seed, cols=176), large_scene(seed + 1, cols=176))
    assert shot_cuts(frames) == shot_cuts(frames[:, :, ::-1]) == shot_cuts(frames[:, ::-1])
    assert shot_cuts(frames) == [16 - cut for cut in reversed(shot_cuts(frames[::-1]))]


def real_clips(name: str, geometry: Geometry = DEFAULT_GEOMETRY) -> dict[int, list[int]]:
    """Return the cuts of each clip of a real video by the clip's first frame."""
    clips = cut_clips(open_video(SHARED / "videos" / name), geometry.extent, geometry)
    return {
        start: [start + geometry.frame_step * cut for cut in shot_cuts(frames)] for start, frames in clips
    }


@needs_footage
def test_the_cut_of_a_joined_real_clip_is_found():
    assert real_clips("odd/flash_cut.avi") == {0: [], 16: [20]}
    assert real_clips("odd/flash_cut.avi", Geometry(clip_frames=8, frame_step=3)) == {0: [21], 22: []}


@needs_footage
@pytest.mark.parametrize("name", ["pan_known.avi", "static.avi", "black.avi", "UPPER.AVI", "gray_h264.mp4"])
def test_real_clips_of_one_shot_have_no_cut(name):
    assert not any(real_clips(f"odd/{name}").values())
