"""Files that end before their container says: decoders see whole frames until the end, and no error."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest
from helpers.videos import moving_texture

from mas_labels.errors import VideoError
from mas_labels.video.stated_length import ASF_PARTS, missing_bytes
from mas_labels.video.video_file import VideoReader

FRAMES = 20


def encode(path: Path) -> Path:
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as file:
        stream = file.add_stream("mpeg4", rate=25, width=64, height=48)
        stream.pix_fmt = "yuv420p"
        for picture in moving_texture(FRAMES, 48, 64, 1, 0):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        file.mux(stream.encode())
    return path


def missing(path: Path) -> int:
    with io.FileIO(path) as file:
        return missing_bytes(file, path.stat().st_size)


@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.mkv"])
def test_a_file_cut_between_two_frames_keeps_its_frames_and_is_a_failure(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / name)
    assert len(list(VideoReader(path))) == FRAMES and missing(path) == 0
    with av.open(str(path)) as file:
        places = [packet.pos for packet in file.demux(video=0) if packet.pos is not None]
    whole, cut = path.stat().st_size, sorted(places)[12]
    path.write_bytes(path.read_bytes()[:cut])
    reader = VideoReader(path)
    expected = f"^at least {whole - cut} bytes are missing at the end of the file: clips are cut from what"
    with pytest.raises(VideoError, match=expected) as error:
        list(reader)
    assert error.value.code == "errors_concealed" and 0 < reader.frames < FRAMES


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"RIFF" + bytes(4), 0),  # a recording that broke off
        (b"RIFF\xc4\xff\xff\xff", 0xFFFFFFC4 + 8 - 100),
        (b"RIFF" + (100).to_bytes(4, "little"), 0),  # its own eight bytes counted twice
        (b"\0\0\0\0mdat", 0),  # to the end of the file
        (b"\0\0\0\1mdat" + (1 << 40).to_bytes(8, "big"), (1 << 40) - 100),
        (b"\0\0\0\7mdat", 0),
        (b"\0\0\0\10free\0\0\1\0abcd", 0),  # what follows is no part of it
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7, 0),  # of a live stream
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x40\xff", 5 + 6 + 255 - 100),
        (b"\x1a\x45\xdf\xa3\x00", 0),
        (ASF_PARTS[0] + (30).to_bytes(8, "little") + bytes(6) + ASF_PARTS[1] + b"\xff" + bytes(7), 185),
        (b"", 0),
    ],
)
def test_lengths_that_containers_state(tmp_path: Path, head: bytes, expected: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(head.ljust(100, b"\0") if head else b"")
    assert missing(path) == expected


def test_no_file_of_real_footage_lacks_anything(shared_videos: Path) -> None:
    files = [path for path in shared_videos.glob("*/**/*.*") if path.parent.name != "odd"]
    assert len(files) > 100 and not [path for path in files if missing(path)]
