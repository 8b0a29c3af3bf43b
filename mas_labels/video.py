"""A file -> its frames, and all that goes wrong with files.

What a header says about the number of frames is never believed: frames are read until there are no more.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

# Read by OpenCV when it first opens a file: broken videos are reported by us, once, not frame by frame.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import VideoError


@contextmanager
def _utf8_name(path: Path) -> Iterator[str]:
    """Give a name that OpenCV can open the file by, valid until the block ends.

    Absolute, since FFmpeg reads "name:with:colons.avi" as a protocol; and UTF-8, since OpenCV crashes on
    other names: those get a link for a moment.
    """
    name = str(path.absolute())
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / "video"
            link.symlink_to(name)
            yield str(link)
    else:
        yield name


@dataclass
class VideoFacts:
    """What is known of a video file.

    Attributes
    ----------
    file_bytes
        Size of the file.
    fps
        Frames per second as the container states them, 0 if it does not.
    promised_frames
        Frames as the header states them: only ever quoted in messages and estimates.
    decoded_frames
        Frames decoded so far.
    rows, cols
        Size of the frames as they are shown (orientation metadata applied), 0 before the first.
    """

    file_bytes: int = 0
    fps: float = 0.0
    promised_frames: int = 0
    decoded_frames: int = 0
    rows: int = 0
    cols: int = 0


class VideoReader(VideoFacts):
    """Frames of one file, in order, each decoded once; learns the file's facts on the way.

    Attributes
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def facts(self) -> VideoFacts:
        """What is known by now, as a copy that stays as it is."""
        return VideoFacts(**{field.name: getattr(self, field.name) for field in fields(VideoFacts)})

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Decode the file from its start.

        Yields
        ------
        (rows, cols, 3) uint8 BGR, as OpenCV decodes.

        Raises
        ------
        VideoError
            If the file cannot be opened, has no frame that decodes, or changes size on its way.
        """
        self.decoded_frames = self.rows = self.cols = 0
        capture = self._open()
        try:
            while True:
                decoded, frame = capture.read()
                if not decoded:
                    break
                self._check_size(frame)
                self.decoded_frames += 1
                yield frame
        except cv2.error as error:
            raise VideoError("decode", "opencv_error", f"OpenCV gave up: {error.err or error}") from error
        finally:
            capture.release()
        if self.decoded_frames == 0:
            raise VideoError(
                "decode",
                "no_frames",
                f"the header promises {self.promised_frames} frames, none could be decoded: "
                "the stream is empty or in a codec this OpenCV lacks; re-encode the file",
            )

    def _open(self) -> cv2.VideoCapture:
        """Open the file with one decoding thread, the picture turned as its metadata says."""
        self._check_file()
        with _utf8_name(self.path) as name:
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not capture.isOpened():
            raise VideoError(
                "open",
                "cannot_open",
                f"no video stream was found in its {self.file_bytes} bytes: "
                "not a video, only sound, or cut short",
            )
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self.fps = max(0.0, capture.get(cv2.CAP_PROP_FPS))
        self.promised_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        return capture

    def _check_file(self) -> None:
        """Raise `VideoError` unless the file can be read and is no list of other files."""
        try:
            start = self._read_start()
        except OSError as error:
            raise VideoError("open", "unreadable", f"cannot read the file: {error.strerror}") from error
        if start.startswith(b"ffconcat"):  # FFmpeg would open whatever files it names
            raise VideoError("open", "playlist", "a list of other files: label those files themselves")

    def _read_start(self) -> bytes:
        """Return the file's first bytes and note its size; what is no regular file is not waited for."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except (FileNotFoundError, NotADirectoryError):
            descriptor = None
        if descriptor is not None:
            with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
                found = os.fstat(descriptor)
                if stat.S_ISREG(found.st_mode):
                    self.file_bytes = found.st_size
                    return file.read(16)
        raise VideoError("open", "no_file", "expected a regular file, found none: check the path")

    def _check_size(self, frame: NDArray[np.uint8]) -> None:
        """Note the first frame's size; raise `VideoError` if a later frame has another one."""
        rows, cols = frame.shape[:2]
        if self.decoded_frames == 0:
            self.rows, self.cols = rows, cols
        elif (rows, cols) != (self.rows, self.cols):
            raise VideoError(
                "decode",
                "size_changes",
                f"frame {self.decoded_frames} has {rows} x {cols} pixels, those before it "
                f"{self.rows} x {self.cols}: cut the file there",
            )
