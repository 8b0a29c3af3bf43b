"""Flow is written to files and read back."""

from __future__ import annotations

import cv2
import h5py
import numpy as np
import pytest
from helpers.videos import moving_texture, write_video
from hypothesis import given
from hypothesis import strategies as st

from mas_labels.errors import ConfigError, InputError, VideoError
from mas_labels.flow.estimators import ESTIMATORS
from mas_labels.flow.files import FRAMES_PER_CALL, flow_to_grey, video_flow, write_flow
from mas_labels.video.video_file import VideoReader


def fields(count=5, rows=24, cols=32):
    return np.random.default_rng(0).uniform(-15, 15, (count, rows, cols, 2)).astype(np.float32)


def grey_to_flow(grey, bound=20.0):
    """Undo `flow_to_grey`, to within bound / 255 pixels per frame where nothing was clipped."""
    return (grey.astype(np.float32) * np.float32(2.0 * bound / 255.0)) - np.float32(bound)


def test_grey_values_by_hand():
    flow = np.float32([-99, -20, -10, 0, 10, 20, 99])
    np.testing.assert_array_equal(flow_to_grey(flow), [0, 0, 64, 128, 191, 255, 255])


@given(st.floats(-20, 20, width=32), st.sampled_from([20.0, 25.0, 100.0]))
def test_grey_values_are_inverted_to_within_half_a_step(value, bound):
    assert abs(grey_to_flow(flow_to_grey(np.float32(value), bound), bound) - value) <= bound / 255 + 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0), ("float16", 0.004)])
def test_npz_and_h5_hold_the_flow(tmp_path, dtype, tolerance):
    flow = fields()
    assert write_flow(iter(flow), tmp_path / "a.npz", dtype=dtype) == 5
    assert write_flow(iter(flow), tmp_path / "new" / "a.h5", dtype=dtype) == 5
    with np.load(tmp_path / "a.npz") as npz, h5py.File(tmp_path / "new" / "a.h5") as h5:
        for stored in (npz["flow"], h5["flow"][:]):
            assert stored.dtype == dtype
            np.testing.assert_allclose(stored.astype(np.float32), flow, atol=tolerance, rtol=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "new"]


def test_pictures_hold_u_and_v(tmp_path):
    smooth = np.stack([cv2.GaussianBlur(field, (0, 0), 4) for field in fields(3, 40, 48)])
    assert write_flow(smooth, tmp_path / "pictures", bound=4.0) == 3
    folder = tmp_path / "pictures"
    assert (folder / "bound.txt").read_text() == "4\n"
    assert len(list(folder.glob("flow_[xy]_0000[123].jpg"))) == 6
    for number, field in enumerate(smooth, 1):
        for name, component in zip("xy", np.moveaxis(field, -1, 0), strict=True):
            picture = cv2.imread(str(folder / f"flow_{name}_{number:05d}.jpg"), cv2.IMREAD_UNCHANGED)
            assert np.abs(grey_to_flow(picture, 4.0) - component).mean() < 0.05


@pytest.mark.parametrize("size", [None, (24, 32)])
def test_a_videos_flow_is_that_of_its_frames(tmp_path, size):
    video = write_video(tmp_path / "a.avi", moving_texture(FRAMES_PER_CALL + 3, 48, 64, 1, 0))
    frames = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in VideoReader(video)]
    if size is not None:  # averaged, as frames of clips are
        small = [cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in VideoReader(video)]
        frames = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in small]
    expected = ESTIMATORS["dis"](np.stack(frames))
    np.testing.assert_array_equal(np.stack(list(video_flow(video, "dis", size))), expected)


def test_invalid_options_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="dtype"):
        write_flow(fields(), tmp_path / "a.npz", dtype="int8")
    with pytest.raises(ConfigError, match="bound"):
        write_flow(fields(), tmp_path / "a", bound=0)
    with pytest.raises(ConfigError, match="ending in"):
        write_flow(fields(), tmp_path / "a.flo")
    with pytest.raises(ConfigError, match="exists already"):
        write_flow(fields(), tmp_path)
    with pytest.raises(ConfigError, match="no flow method"):
        list(video_flow(tmp_path / "a.avi", "lucas"))
    with pytest.raises(VideoError, match="regular file"):
        list(video_flow(tmp_path / "a.avi"))


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a"])
def test_a_failed_write_leaves_no_files(tmp_path, name):
    with pytest.raises(InputError, match="at least one field"):
        write_flow(iter(()), tmp_path / name)
    with pytest.raises(InputError, match="flow field 1"):
        write_flow([np.zeros((8, 8, 2), np.float32), np.zeros((8, 9, 2), np.float32)], tmp_path / name)
    assert not list(tmp_path.iterdir())
