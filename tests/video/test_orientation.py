"""Frames are rotated and mirrored as in players: all eight orientations, known answers, FFmpeg's output."""

from __future__ import annotations

import gc
import shutil
import struct
import subprocess

import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from helpers.orientation import WAYS, corners, jpeg_with_exif, quarters
from helpers.videos import write_video

from mas_labels.video.video_file import VideoReader

STORED = ["red green", "blue white"]


def with_matrix(path, a, b, c, d):
    """Write a video of four colours with a display matrix in the header of its track."""
    write_video(path, np.stack([quarters()] * 3), "mp4v")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", *(round(v * 65536) for v in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)
    path.write_bytes(data)
    return path


def shown_by_ffmpeg(path, shape):
    if shutil.which("ffmpeg") is None:
        pytest.skip("the command ffmpeg is not on this machine")
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8).reshape(
        shape
    )


@pytest.mark.parametrize(("matrix", "shown"), [(matrix, shown) for matrix, (shown, _) in WAYS.items()])
@pytest.mark.parametrize("scale", [1, 2.5])
def test_all_eight_orientations_are_applied(tmp_path, matrix, shown, scale):
    path = with_matrix(tmp_path / "a.mp4", *(scale * value for value in matrix))
    frames = np.stack(list(VideoReader(path)))
    assert frames.shape[1:] == ((48, 64, 3) if matrix[0] else (64, 48, 3))
    assert [corners(frame) for frame in frames] == [shown] * 3


@pytest.mark.parametrize("matrix", WAYS)
def test_frames_are_those_of_ffmpeg(tmp_path, matrix):
    path = with_matrix(tmp_path / "a.mp4", *matrix)
    ours = np.stack(list(VideoReader(path)))
    assert np.abs(shown_by_ffmpeg(path, ours.shape).astype(int) - ours).mean() < 1


@pytest.mark.parametrize("matrix", WAYS)
def test_opencv_rotates_but_does_not_mirror(tmp_path, matrix):
    """OpenCV shows mirrored videos differently from players, and therefore from us."""
    path = with_matrix(tmp_path / "a.mp4", *matrix)
    theirs = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG).read()[1]
    a, b, c, d = matrix
    turned_only = a * d - b * c == 1
    assert (corners(theirs) == WAYS[matrix][0]) == turned_only


@pytest.mark.parametrize(
    "matrix",
    [(0.7, 0.7, -0.7, 0.7), (1, 0, 0.5, 1), (1, 1, 1, 1), (0, 0, 0, 0), (0, 1, 0, 1), (0.99, 0.02, 0, 1)],
)
def test_other_matrices_are_left_alone(tmp_path, matrix):
    frame = next(iter(VideoReader(with_matrix(tmp_path / "a.mp4", *matrix))))
    assert frame.shape == (48, 64, 3)
    assert corners(frame) == STORED


@pytest.mark.parametrize(("shown", "orientation"), WAYS.values())
def test_exif_orientation_is_applied_like_a_matrix(tmp_path, shown, orientation):
    """FFmpeg passes EXIF on as side data of a type unknown to PyAV, which must not hide the matrix."""
    path = jpeg_with_exif(tmp_path / "a.jpg", orientation)
    assert corners(next(iter(VideoReader(path)))) == corners(cv2.imread(str(path))) == shown


@pytest.mark.parametrize(("name", "red_row", "red_col"), [("plain", 0, 0), ("hflip", 0, 1), ("vflip", 1, 0)])
def test_the_shared_cases_are_shown_as_players_do(shared_cases, name, red_row, red_col):
    frame = next(iter(VideoReader(shared_cases / f"{name}.mp4"))).astype(int)
    red = frame[..., 2] - frame[..., :2].max(axis=-1) > 100
    rows, cols = np.nonzero(red)
    assert (rows.mean() > 64, cols.mean() > 88) == (red_row, red_col)


def test_decoded_frames_are_freed_without_a_collection_of_garbage(tmp_path):
    """Collections come hundreds of frames later, which are 3 MB each in full HD."""
    path = with_matrix(tmp_path / "a.mp4", *next(iter(WAYS)))
    gc.collect()
    gc.disable()
    try:
        assert len(list(VideoReader(path))) == 3
        assert not [kept for kept in gc.get_objects() if type(kept) is VideoFrame]
    finally:
        gc.enable()
