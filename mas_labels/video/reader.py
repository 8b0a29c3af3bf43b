"""A reader of frames: what is common to videos and to frames that were extracted from them before.

What a header says about the number of frames is never believed: frames are read until there are no more.
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

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import VideoError, reason_of, system_error

NO_FILE: Final = "no_file"
UNREADABLE: Final = "unreadable"
NO_MEMORY: Final = "no_memory"
MACHINE_CODES: Final = (UNREADABLE, NO_MEMORY)
"""Codes of failures that say nothing of the file: the machine could not read or decode it at the time."""


@dataclass
class VideoFacts:
    """Facts known of a video.

    Attributes
    ----------
    file_bytes
        Size of its file, or of all its pictures.
    fps
        Frames per second: as asked for, else on average as the container states them, 0 if nothing does.
    promised_frames
        Frames to expect by what the header states: only ever quoted in messages and estimates.
    frames
        Frames given out so far: those decoded, or what was made of them at another rate.
    rows, cols
        Size of the frames as they are shown (orientation metadata applied), 0 before the first.
    """

    file_bytes: int = 0
    fps: float = 0.0
    promised_frames: int = 0
    frames: int = 0
    rows: int = 0
    cols: int = 0


class FrameReader(VideoFacts, ABC):
    """Frames of one video, in order, each decoded once; learns the video's facts on the way.

    Attributes
    ----------
    path
        The file, or the folder of pictures.
    rate
        Frames per second to give out, by the file's time stamps (`mas_labels.video.frame_rate`); None: all
        frames.
    remedy_of_sizes
        What to do about frames of several sizes.
    """

    remedy_of_sizes: ClassVar[str] = "cut the file there"

    def __init__(self, path: Path, rate: Fraction | None = None) -> None:
        super().__init__()
        self.path, self.rate = path, rate

    @property
    def facts(self) -> VideoFacts:
        """Facts known by now, as a copy that stays as it is."""
        return VideoFacts(**{field.name: getattr(self, field.name) for field in fields(VideoFacts)})

    @abstractmethod
    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Read the frames from the start: (rows, cols, 3) uint8 BGR, as they are to be shown.

        Raises
        ------
        VideoError
            If there is none, or something is wrong with one, perhaps after others.
        """

    def check_size(self, frame: NDArray[np.uint8], number: int) -> None:
        """Note the size of frame 0; raise `VideoError` if a later frame has another one."""
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
    """Open a file for reading; what is no regular file is not waited for.

    Returns
    -------
    descriptor, size in bytes

    Raises
    ------
    VideoError
        If there is none, or it cannot be read.
    """
    none = VideoError("open", NO_FILE, "expected a regular file, found none: check the path")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        raise none from None
    except OSError as error:
        raise unreadable("open", error) from error
    try:
        found = os.fstat(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise unreadable("open", error) from error
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise none
    return descriptor, found.st_size


class WatchedFile(io.FileIO):
    """An open video or archive that remembers what the machine refused: its reader rewords it, or goes on.

    What cannot be read is as the file's end, until `check` is asked.
    """

    trouble: OSError | MemoryError | None = None

    def seekable(self) -> bool:
        """Return True, as of every regular file: a disk that refuses to move on is not a pipe."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; nothing, where the machine refuses."""
        try:
            return super().read(size)
        except (OSError, MemoryError) as error:
            self.trouble = error
            return b""

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        """Move on; note a refusal, and raise it."""
        try:
            return super().seek(position, whence)
        except OSError as error:
            if system_error(error) is not None:  # else the place that a damaged file leads to
                self.trouble = error
            raise

    def check(self, stage: str) -> None:
        """Raise `VideoError` if anything was refused."""
        if self.trouble is not None:
            raise unreadable(stage, self.trouble)


def unreadable(stage: str, error: OSError | MemoryError) -> VideoError:
    """Say that the machine could not read a file, which says nothing of the file."""
    return VideoError(
        stage,
        UNREADABLE,
        f"the machine could not read the file ({reason_of(error)}), which may be sound: --retry-failed tries "
        "it again",
    )
