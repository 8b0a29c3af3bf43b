"""The interface of frame readers, and the files that they read; for video files and for extracted frames.

The number of frames in a header is never trusted: frames are read until there are no more.
"""

from __future__ import annotations

import io
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError, VideoError, reason_of, system_error

NO_FILE: Final = "no_file"
DAMAGED: Final = "errors_concealed"
"""Code of a video that was decoded to its end, although not all of it is there, or as it was encoded."""
UNREADABLE: Final = "unreadable"
NO_MEMORY: Final = "no_memory"
MACHINE_CODES: Final = (UNREADABLE, NO_MEMORY)
"""Codes of failures of the machine, which say nothing about the file: it could not be read or decoded."""
RUN_AGAIN: Final = "run the command again, `make` with --retry-failed"
"""Remedy of these failures."""
COMPUTING_ERRORS: Final = (cv2.error, InputError, MemoryError)
"""Exceptions of computations on frames: `computing_error` makes a failure of the video of them."""


@dataclass
class VideoFacts:
    """Properties of a video.

    Attributes
    ----------
    file_bytes
        Size of its file, or of all its pictures.
    fps
        Frames per second: the requested rate, else the average that the container states; 0 if unknown.
    promised_frames
        Number of frames by the header: used in messages and estimates only.
    frames
        Number of frames returned so far: those decoded, or after the conversion to another rate.
    rows, cols
        Size of the frames as shown (orientation metadata applied), pixels; 0 before the first frame.
    """

    file_bytes: int = 0
    fps: float = 0.0
    promised_frames: int = 0
    frames: int = 0
    rows: int = 0
    cols: int = 0


class FrameReader(VideoFacts, ABC):
    """Iterates over the frames of one video, each decoded once, and updates the properties of the video.

    Attributes
    ----------
    path
        The file, or the folder of pictures.
    rate
        Frames per second to convert to (`mas_labels.video.frame_rate`); None: all frames.
    remedy_of_sizes
        Remedy for frames of several sizes, in error messages.
    use_of_damaged
        The use that is made of a video with damaged frames, in error messages.
    """

    remedy_of_sizes: ClassVar[str] = "cut the file there"
    use_of_damaged: str = "clips are cut from what a player would show"

    def __init__(self, path: Path, rate: Fraction | None = None) -> None:
        super().__init__()
        self.path, self.rate = path, rate

    @property
    def facts(self) -> VideoFacts:
        """A copy of the properties known so far."""
        return VideoFacts(**{field.name: getattr(self, field.name) for field in fields(VideoFacts)})

    @abstractmethod
    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Read the frames from the start: (rows, cols, 3) uint8 BGR, with their orientation applied.

        Raises
        ------
        VideoError
            If there are none, or one cannot be read; frames before it are returned first.
        """

    def check_size(self, frame: NDArray[np.uint8], number: int) -> None:
        """Store the size of frame 0; raise `VideoError` if a later frame has another size."""
        rows, cols = frame.shape[:2]
        if number == 0:
            self.rows, self.cols = rows, cols
        elif (rows, cols) != (self.rows, self.cols):
            raise VideoError(
                "decode",
                "size_changes",
                f"frame {number} has {rows} x {cols} pixels, those before it {self.rows} x {self.cols}: "
                f"{self.remedy_of_sizes}",
            )


def open_regular(path: Path) -> tuple[int, int]:
    """Open a regular file for reading; other kinds are refused without waiting for them.

    Returns
    -------
    descriptor, size in bytes

    Raises
    ------
    VideoError
        If it is missing, not a regular file, or cannot be read.
    """
    no_file = VideoError("open", NO_FILE, "expected a regular file, found none: check the path")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        raise no_file from None
    except OSError as error:
        raise unreadable("open", error) from error
    try:
        status = os.fstat(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise unreadable("open", error) from error
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise no_file
    return descriptor, status.st_size


class WatchedFile(io.FileIO):
    """An open file that records errors of the machine, which libraries report as damage to the file.

    An error looks like the end of the file to its reader, until `check` raises it.
    """

    failure: OSError | MemoryError | None = None

    def seekable(self) -> bool:
        """Return True, as for every regular file, without asking a disk that may fail."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes; none if the machine fails, which is recorded."""
        try:
            return super().read(size)
        except (OSError, MemoryError) as error:
            self.failure = error
            return b""

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        """Seek; record an error of the machine, and raise it."""
        try:
            return super().seek(position, whence)
        except OSError as error:
            if system_error(error) is not None:  # else an offset from a corrupt file
                self.failure = error
            raise

    def check(self, stage: str) -> None:
        """Raise `VideoError` if an error was recorded."""
        if self.failure is not None:
            raise unreadable(stage, self.failure)


def unreadable(stage: str, error: Exception) -> VideoError:
    """Make the error of a file that the machine could not read, which says nothing about the file."""
    return VideoError(
        stage,
        UNREADABLE,
        f"the machine could not read the file ({reason_of(error)}), which may be sound: {RUN_AGAIN}",
    )


def computing_error(stage: str, code: str, what: str, error: Exception) -> VideoError:
    """Make the error of a video on which one of `COMPUTING_ERRORS` was raised: `code`, or `NO_MEMORY`."""
    is_memory = isinstance(error, MemoryError) or getattr(error, "code", 0) == cv2.Error.StsNoMem
    return VideoError(stage, NO_MEMORY if is_memory else code, f"{what}: {str(error) or 'out of memory'}")
