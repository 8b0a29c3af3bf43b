"""Opens a video: a file, or a folder or archive of extracted frames, each with its own reader."""

from __future__ import annotations

import stat
from fractions import Fraction
from pathlib import Path

from mas_labels.video.frame_names import is_archive_name
from mas_labels.video.pictures import PictureReader, video_files
from mas_labels.video.reader import FrameReader
from mas_labels.video.video_file import VideoReader


def open_video(path: Path, rate: Fraction | None = None) -> FrameReader:
    """Return a reader for a video file, a folder of pictures, or an archive of pictures."""
    if _is_folder(path) or is_archive_name(path.name):
        return PictureReader(path, rate)
    return VideoReader(path, rate)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # its reader raises it
        return False


def stored_bytes(path: Path) -> int:
    """Return the size of a video in bytes: of its file, or of all its pictures.

    Raises
    ------
    OSError
        If it cannot be examined.
    """
    status = path.stat()  # once: a run that is resumed asks for every video, perhaps over a network
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    return sum(file.stat().st_size for file in video_files(path))
