"""Reads extracted frames as a video: a folder of numbered pictures, or an archive of them.

``img_00001.jpg``, ``frame000001.jpg``, ``000001.png``: one prefix, numbers without gaps. Other files in the
folder, such as ``flow_x_00001.jpg``, are ignored.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import VideoError
from mas_labels.video.frame_names import NUMBERED_PICTURE, is_frame_name, is_frame_path
from mas_labels.video.reader import NO_FILE, NO_MEMORY, FrameReader, WatchedFile, open_regular, unreadable

MAX_PICTURE_BYTES: Final = 1 << 28
MAX_TAR_BYTES: Final = 1 << 30
"""Limit of the pictures in a tar, which are kept in memory, since a tar can only be read from its start."""
MAX_MEMBERS_TRIED: Final = 100
"""Members of a tar that are searched for a frame, to decide whether it holds frames."""
JPEG_BEGIN: Final = b"\xff\xd8"
JPEG_END: Final = b"\xff\xd9"
ARCHIVE_ERRORS: Final = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError),
    *(NotImplementedError, RuntimeError, ValueError),
)
"""Exceptions for corrupt archives; the second line for unknown encryption or compression."""


class StoredPicture(NamedTuple):
    """A numbered picture: its path, its size in bytes, and a function that reads it."""

    name: str
    size: int
    read: Callable[[], bytes]


class PictureReader(FrameReader):
    """Iterates over the frames of one video that was extracted to pictures."""

    remedy_of_sizes = "give those of each size a folder of their own"

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Decode the pictures in the order of their numbers, see `FrameReader`.

        Raises
        ------
        VideoError
            If there are none, their names have several prefixes or a number twice, or `rate` is set; after
            some frames, if one is missing, cannot be decoded, or has another size.
        """
        self.frames = self.rows = self.cols = 0
        if self.rate is not None:
            raise VideoError(
                "open",
                "time_stamps",
                "pictures have no time stamps: leave out --fps, or give the video itself",
            )
        with _open_pictures(self.path) as (pictures, size):
            frames = _sort_pictures(pictures)
            self.file_bytes = sum(frame.size for frame in frames.values()) if size is None else size
            self.promised_frames = len(frames)
            for number, picture in frames.items():
                if self.frames and number - 1 not in frames:
                    raise VideoError(
                        "decode",
                        "frames_missing",
                        f"before {picture.name!r} a number is missing, after {self.frames} of {len(frames)} "
                        "frames: extract them again",
                    )
                frame = _decode(picture)
                self.check_size(frame, self.frames)
                self.frames += 1
                yield frame


def video_files(path: Path) -> list[Path]:
    """Return the files of a video: itself, or the pictures in its folder, sorted by name.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if is_frame_name(file.name))


def holds_frames(path: Path) -> bool:
    """Return whether an archive contains frames, by the first of its members."""
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                return any(map(is_frame_path, archive.namelist()))
        with tarfile.open(path) as archive:
            return any(is_frame_path(member.name) for member in islice(archive, MAX_MEMBERS_TRIED))
    except OSError as error:
        return error.errno is not None  # its reader raises it; errors of gzip have no number
    except ARCHIVE_ERRORS:
        return False


@contextmanager
def _open_pictures(path: Path) -> Iterator[tuple[list[StoredPicture], int | None]]:
    """Yield the pictures of a folder or archive, and the size of the archive in bytes (None for a folder)."""
    if path.is_dir():
        yield _list_folder(path), None
        return
    descriptor, size = open_regular(path)
    with WatchedFile(descriptor) as file:
        try:
            yield _list_archive(file, path.name.lower()), size
            file.check("decode")
        except VideoError:
            file.check("decode")
            raise
        except ARCHIVE_ERRORS as error:
            file.check("open")
            raise VideoError("open", "cannot_open", f"not an archive, or damaged: {error}") from error
        except OSError as error:
            file.check("open")
            if error.errno is None:  # an error of gzip
                raise VideoError("open", "cannot_open", f"not an archive, or damaged: {error}") from error
            raise unreadable("open", error) from error


def _list_folder(path: Path) -> list[StoredPicture]:
    try:
        return [
            StoredPicture(file.name, file.stat().st_size, partial(_read_file, file))
            for file in video_files(path)
        ]
    except FileNotFoundError:
        raise VideoError("open", NO_FILE, "pictures vanished while they were listed") from None
    except OSError as error:
        raise unreadable("open", error) from error


def _read_file(path: Path) -> bytes:
    descriptor, _ = open_regular(path)
    with os.fdopen(descriptor, "rb") as file:
        try:
            return file.read(MAX_PICTURE_BYTES + 1)
        except OSError as error:
            raise unreadable("decode", error) from error


def _list_archive(file: WatchedFile, name: str) -> list[StoredPicture]:
    if name.endswith(".zip"):
        return _list_zip(file)
    with tarfile.open(fileobj=file, mode="r:" if name.endswith(".tar") else "r:gz") as archive:
        return _read_tar(archive)


def _list_zip(file: WatchedFile) -> list[StoredPicture]:
    """List the pictures of a zip; each is unpacked into memory when it is read."""
    archive = zipfile.ZipFile(file)

    def read(member: zipfile.ZipInfo) -> bytes:
        with archive.open(member) as unpacked:
            return unpacked.read(MAX_PICTURE_BYTES + 1)

    members = [member for member in archive.infolist() if is_frame_path(member.filename)]
    return [StoredPicture(member.filename, member.file_size, partial(read, member)) for member in members]


def _read_tar(archive: tarfile.TarFile) -> list[StoredPicture]:
    """Read all pictures of a tar into memory."""
    pictures, bytes_left = [], MAX_TAR_BYTES
    for member in archive:
        if member.isreg() and is_frame_path(member.name):
            bytes_left -= member.size
            unpacked = archive.extractfile(member) if bytes_left >= 0 else None
            if unpacked is None:
                raise VideoError(
                    "open", "too_large", f"its pictures take more than {MAX_TAR_BYTES} bytes: unpack it"
                )
            data = unpacked.read()
            pictures.append(StoredPicture(member.name, len(data), partial(bytes, data)))
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it ends without its end mark")
    return pictures


def _sort_pictures(pictures: list[StoredPicture]) -> dict[int, StoredPicture]:
    """Return the frames by number, in the order of the numbers.

    Raises
    ------
    VideoError
        If there are none, or it is not clear which ones belong to the video.
    """
    frames: dict[int, StoredPicture] = {}
    prefixes: dict[tuple[str, str], str] = {}
    for picture in pictures:
        name = NUMBERED_PICTURE.fullmatch(picture.name)
        assert name is not None
        kind = name["kind"].lower().replace("jpeg", "jpg")
        prefixes.setdefault((name["prefix"], kind), picture.name)
        first = frames.setdefault(int(name["number"]), picture)
        if len(prefixes) > 1:
            one, other, *_ = prefixes.values()
            raise VideoError(
                "open",
                "frames_mixed",
                f"{one!r} and {other!r} are not of one video: give each a folder or archive",
            )
        if first is not picture:
            raise VideoError(
                "open", "frames_double", f"{first.name!r} and {picture.name!r} have one number: remove one"
            )
    if not frames:
        raise VideoError("open", "no_frames", "no numbered pictures, such as img_00001.jpg")
    return dict(sorted(frames.items()))


def decode_grey(path: Path) -> NDArray[np.uint8]:
    """Decode the file of a picture to (rows, cols) uint8; raises `VideoError` as frames do."""
    return _decode(StoredPicture(path.name, 0, partial(_read_file, path)), cv2.IMREAD_GRAYSCALE)


def _decode(picture: StoredPicture, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8]:
    """Decode a picture, by default to (rows, cols, 3) uint8 BGR, with its EXIF orientation applied.

    Raises
    ------
    VideoError
        If it cannot be decoded, or only in part.
    """
    frame, reason = None, "not a picture, or cut short"
    try:
        data = picture.read()
        if len(data) > MAX_PICTURE_BYTES:
            reason = f"larger than {MAX_PICTURE_BYTES} bytes"
        elif data and (data[:2] != JPEG_BEGIN or JPEG_END in data):  # OpenCV would pad a truncated JPEG
            frame = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except ARCHIVE_ERRORS as error:
        reason = str(error)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise VideoError("decode", NO_MEMORY, f"no memory to decode {picture.name!r}") from error
        reason = str(error).strip()
    if frame is None:
        raise VideoError(
            "decode", "broken_frame", f"{picture.name!r} cannot be decoded ({reason}): extract it again"
        )
    return frame
