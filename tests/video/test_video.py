from __future__ import annotations

import csv
import os
import pickle
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.videos import moving_texture, needs_opencv_5, write_video

from mas_labels.errors import VideoError
from mas_labels.video.video_file import VideoReader


def test_frames_are_in_order_and_counted(tmp_path):
    frames = np.stack([np.full((48, 64, 3), 10 * index, np.uint8) for index in range(20)])
    reader = VideoReader(write_video(tmp_path / "a.avi", frames, fps=12.0))
    decoded = np.stack(list(reader))
    assert decoded.shape == (20, 48, 64, 3)
    assert np.abs(decoded.mean(axis=(1, 2, 3)) - 10 * np.arange(20)).max() < 3
    assert (reader.frames, reader.rows, reader.cols, reader.fps) == (20, 48, 64, 12.0)


def test_a_reader_can_be_read_twice(tmp_path):
    reader = VideoReader(write_video(tmp_path / "a.avi", moving_texture(5, 48, 64, 1, 0)))
    assert len(list(reader)) == len(list(reader)) == reader.frames == 5


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


def test_a_title_that_is_not_utf8_is_ignored(tmp_path):
    """PyAV before 19 needs an option for it, which later versions lack."""
    path = write_video(tmp_path / "a.mp4", moving_texture(3, 48, 64, 1, 0), "mp4v")
    title = b"Lavf"  # FFmpeg's own name, as the encoder
    assert path.read_bytes().count(title) == 1
    path.write_bytes(path.read_bytes().replace(title, b"La\xe9f"))
    assert len(list(VideoReader(path))) == 3


@pytest.mark.parametrize(
    ("content", "stage", "code"),
    [
        (None, "open", "no_file"),
        (b"", "open", "cannot_open"),
        (b"no video at all", "open", "cannot_open"),
        (b"ffconcat version 1.0\nfile plain.avi", "open", "cannot_open"),
    ],
)
def test_files_that_are_not_videos_are_refused(tmp_path, content, stage, code):
    path = tmp_path / "a.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError) as error:
        list(VideoReader(path))
    assert (error.value.stage, error.value.code) == (stage, code)
    again = pickle.loads(pickle.dumps(error.value))
    assert (again.stage, again.code, str(again)) == (stage, code, str(error.value))


def test_a_fifo_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.avi")
    with pytest.raises(VideoError, match="regular file"):
        list(VideoReader(tmp_path / "a.avi"))


def played(reader):
    """Return the number of frames of a reader, and the code of the error at its end (None: no error)."""
    count = 0
    try:
        for _ in reader:
            count += 1
    except VideoError as error:
        return count, error.code
    return count, None


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile {}\n"


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [("a.m3u8", HLS, "playlist"), ("a.avi", HLS, "cannot_open"), ("a.avi", CONCAT, "cannot_open")],
)
def test_other_files_and_addresses_are_not_opened(tmp_path, name, text, code):
    """A list names an intact video and an address on which this test listens: neither is opened."""
    intact = write_video(tmp_path / "intact.avi", moving_texture(20, 48, 64, 1, 0))
    (tmp_path / name).write_text(text.format(intact))
    assert played(VideoReader(tmp_path / name)) == (0, code)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        (tmp_path / name).write_text(text.format(f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"))
        assert played(VideoReader(tmp_path / name)) == (0, code)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("name", ["http://127.0.0.1:9/a.avi", "tcp:127.0.0.1:9", "pipe:0", "/dev/zero"])
def test_a_name_is_never_an_address(name):
    assert played(VideoReader(Path(name))) == (0, "no_file")


def test_an_unknown_codec_is_refused(tmp_path):
    path = write_video(tmp_path / "a.avi", moving_texture(3, 48, 64, 1, 0))
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"QQQQ"))
    assert played(VideoReader(path)) == (0, "no_decoder")


@pytest.mark.parametrize(
    ("offset", "frames", "message"),
    [
        (400, 20, "1 of 20 frames are damaged, the first is frame 12"),
        (24, 19, "the decoder gave up 1 times, first after 12 frames"),
    ],
)
def test_damaged_frames_are_reported(tmp_path, offset, frames, message):
    """Part of the coded frame 12, a key frame, is overwritten; the frames that decode are returned."""
    path = write_video(tmp_path / "a.avi", moving_texture(20, 48, 64, 1, 0), "mp4v")
    data = bytearray(path.read_bytes())
    at = data.index(b"movi")
    for _ in range(13):
        at = data.index(b"00dc", at + 1)
    data[at + 8 + offset : at + 48 + offset] = bytes(40)
    path.write_bytes(data)
    reader = VideoReader(path)
    with pytest.raises(VideoError, match=message) as error:
        list(reader)
    assert (error.value.code, reader.frames) == ("errors_concealed", frames)


@needs_opencv_5
def test_pixels_are_those_of_opencvs_decoder(shared_videos):
    """So that shards made with OpenCV's decoder hold the same frames."""
    real = sorted((shared_videos / "ucf101").glob("*/*_c04.avi"))[:2]
    odd = ["c_ffv1.mkv", "c_mpeg2.ts", "c_vp9.webm", "dim_321x241.avi", "gray_h264.mp4", "h264_10bit.mp4"]
    for path in [*real, *(shared_videos / "odd" / name for name in [*odd, "rot_90.mp4", "vfr.mp4"])]:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        for frame in VideoReader(path):
            assert np.array_equal(capture.read()[1], frame), path
        assert not capture.read()[0], path


def test_odd_files_decode_to_the_frames_in_their_table(shared_videos):
    """The table has the number of frames that the ffmpeg command returns."""
    with (shared_videos / "odd" / "README.tsv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    assert len(rows) == 35
    for row in rows:
        reader = VideoReader(shared_videos / "odd" / row["file"])
        count, _ = played(reader)
        changes = row["file"] == "dim_change_midstream.ts"  # what comes behind the change is not used
        assert count == (29 if changes else int(row["ffmpeg_frames"] or 0)), row["file"]
        if row["fps"]:
            assert reader.fps == pytest.approx(float(row["fps"]), abs=0.001), row["file"]
        if row["width"] and count:
            turned = "rot_90" in row["file"]
            size = (reader.cols, reader.rows)[:: -1 if turned else 1]
            assert size == (int(row["width"]), int(row["height"])), row["file"]


def test_orientation_metadata_is_honoured(shared_videos):
    reader = VideoReader(shared_videos / "odd" / "rot_90.mp4")
    assert next(iter(reader)).shape == (320, 240, 3)
