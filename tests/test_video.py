from __future__ import annotations

import csv
import os
import pickle

import numpy as np
import pytest
from conftest import moving_texture, write_video

from mas_labels.errors import VideoError
from mas_labels.video import VideoReader


def test_frames_come_in_order_and_are_counted(tmp_path):
    frames = np.stack([np.full((48, 64, 3), 10 * index, np.uint8) for index in range(20)])
    reader = VideoReader(write_video(tmp_path / "a.avi", frames, fps=12.0))
    decoded = np.stack(list(reader))
    assert decoded.shape == (20, 48, 64, 3)
    assert np.abs(decoded.mean(axis=(1, 2, 3)) - 10 * np.arange(20)).max() < 3
    assert (reader.decoded_frames, reader.rows, reader.cols, reader.fps) == (20, 48, 64, 12.0)


def test_a_reader_can_be_read_twice(tmp_path):
    reader = VideoReader(write_video(tmp_path / "a.avi", moving_texture(5, 48, 64, 1, 0)))
    assert len(list(reader)) == len(list(reader)) == reader.decoded_frames == 5


@pytest.mark.parametrize(
    "name", ["a:b.avi", "with space.avi", "%03d.avi", "視频 ü.avi", "-x.avi", "line\nbreak.avi"]
)
def test_awkward_names_open(tmp_path, name, monkeypatch):
    made = write_video(tmp_path / "plain.avi", moving_texture(3, 48, 64, 1, 0))
    made.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(list(VideoReader(type(made)(name)))) == 3


def test_a_name_that_is_not_utf8_opens(tmp_path):
    made = write_video(tmp_path / "plain.avi", moving_texture(3, 48, 64, 1, 0))
    name = os.fsdecode(b"latin-\xe9.avi")
    made.rename(tmp_path / name)
    assert len(list(VideoReader(tmp_path / name))) == 3


@pytest.mark.parametrize(
    ("content", "stage", "code"),
    [
        (None, "open", "no_file"),
        (b"", "open", "cannot_open"),
        (b"no video at all", "open", "cannot_open"),
        (b"ffconcat version 1.0\nfile plain.avi", "open", "playlist"),
    ],
)
def test_what_is_no_video_is_told(tmp_path, content, stage, code):
    path = tmp_path / "a.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError) as error:
        list(VideoReader(path))
    assert (error.value.stage, error.value.code) == (stage, code)
    again = pickle.loads(pickle.dumps(error.value))
    assert (again.stage, again.code, str(again)) == (stage, code, str(error.value))


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.avi")
    with pytest.raises(VideoError, match="regular file"):
        list(VideoReader(tmp_path / "a.avi"))


def test_odd_files_decode_as_their_table_says(shared_videos):
    with (shared_videos / "odd" / "README.tsv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    assert len(rows) == 35
    for row in rows:
        expected = int(row["cv2_frames cv2_CAP_PROP_FRAME_COUNT shape"].split()[0])
        reader = VideoReader(shared_videos / "odd" / row["file"])
        try:
            found = len(list(reader))
        except VideoError as error:
            found = 0
            assert error.code in ("cannot_open", "no_frames"), row["file"]
        assert found == expected, row["file"]


def test_orientation_metadata_is_honoured(shared_videos):
    reader = VideoReader(shared_videos / "odd" / "rot_90.mp4")
    assert next(iter(reader)).shape == (320, 240, 3)
