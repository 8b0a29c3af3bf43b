"""Extracted frames as a video: a folder of numbered pictures, or an archive of one.

``img_00001.jpg``, ``frame000001.jpg``, ``000001.png``: one prefix, numbers without gaps. What else is in the
folder, such as ``flow_x_00001.jpg``, is not looked at.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import VideoError
from mas_labels.video.frame_names import NUMBERED, is_archive_name, is_frame_name, is_frame_path
from mas_labels.video.reader import NO_FILE, NO_MEMORY, FrameReader, WatchedFile, open_regular, unreadable
from mas_labels.video.video_file import VideoReader

MAX_PICTURE_BYTES: Final = 1 << 28
MAX_TAR_BYTES: Final = 1 << 30
"""Pictures of a tar are kept in memory, since it can be read from its start only."""
MAX_MEMBERS_TRIED: Final = 100
JPEG_BEGIN: Final = b"\xff\xd8"
JPEG_END: Final = b"\xff\xd9"
BROKEN_ARCHIVE: Final = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError),
    *(NotImplementedError, RuntimeError, ValueError),  # of ciphers and compressions that Python does not know
)


class StoredPicture(NamedTuple):
    """A numbered picture: its name with folders, its size in bytes, and how to read it."""

    name: str
    size: int
    read: Callable[[], bytes]


class PictureReader(FrameReader):
    """Frames of one video, each a picture of its own."""

    remedy_of_sizes = "give those of each size a folder of their own"

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Decode the pictures in the order of their numbers, as `FrameReader` says.

        Raises
        ------
        VideoError
            If there is none, their names have several prefixes or a number twice, or a `rate` is asked for;
            after some frames, if one is missing, cannot be decoded, or has another size.
        """
        self.frames = self.rows = self.cols = 0
        if self.rate is not None:
            raise VideoError(
                "open",
                "time_stamps",
                "pictures have no time stamps: label without --fps, or the video itself",
            )
        with _open_pictures(self.path) as (pictures, size):
            frames = _in_order(pictures)
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


def open_video(path: Path, rate: Fraction | None = None) -> FrameReader:
    """Return the reader of what is at a path: a video file, a folder of pictures, or an archive of one."""
    if _is_folder(path) or is_archive_name(path.name):
        return PictureReader(path, rate)
    return VideoReader(path, rate)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # its reader says why
        return False


def video_files(path: Path) -> list[Path]:
    """Return the files that a video is made of: itself, or the pictures in its folder, sorted by name.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if is_frame_name(file.name))


def stored_bytes(path: Path) -> int:
    """Return the size of a video: of its file, or of all its pictures.

    Raises
    ------
    OSError
        If it cannot be seen.
    """
    return sum(file.stat().st_size for file in video_files(path))


def holds_frames(path: Path) -> bool:
    """Return whether an archive has frames in it, as far as its first members tell."""
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                return any(map(is_frame_path, archive.namelist()))
        with tarfile.open(path) as archive:
            return any(is_frame_path(member.name) for member in islice(archive, MAX_MEMBERS_TRIED))
    except OSError as error:
        return error.errno is not None  # its reader says why; gzip's own errors have no number
    except BROKEN_ARCHIVE:
        return False


@contextmanager
def _open_pictures(path: Path) -> Iterator[tuple[list[StoredPicture], int | None]]:
    """Yield the pictures of a folder or archive, and the size of the archive."""
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
        except BROKEN_ARCHIVE as error:
            file.check("open")
            raise VideoError("open", "cannot_open", f"not an archive, or damaged: {error}") from error
        except OSError as error:
            file.check("open")
            if error.errno is None:  # gzip's own
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
    """List a zip's pictures; each is unpacked into memory when it is its turn."""
    archive = zipfile.ZipFile(file)

    def read(member: zipfile.ZipInfo) -> bytes:
        with archive.open(member) as unpacked:
            return unpacked.read(MAX_PICTURE_BYTES + 1)

    members = [member for member in archive.infolist() if is_frame_path(member.filename)]
    return [StoredPicture(member.filename, member.file_size, partial(read, member)) for member in members]


def _read_tar(archive: tarfile.TarFile) -> list[StoredPicture]:
    """Read a tar's pictures, all of them."""
    pictures, left = [], MAX_TAR_BYTES
    for member in archive:
        if member.isreg() and is_frame_path(member.name):
            left -= member.size
            unpacked = archive.extractfile(member) if left >= 0 else None
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


def _in_order(pictures: list[StoredPicture]) -> dict[int, StoredPicture]:
    """Return the frames by number, in the order of the numbers.

    Raises
    ------
    VideoError
        If there is none, or it cannot be told which ones make the video.
    """
    frames: dict[int, StoredPicture] = {}
    prefixes: dict[tuple[str, str], str] = {}
    for picture in pictures:
        found = NUMBERED.fullmatch(picture.name)
        assert found is not None
        kind = found["kind"].lower().replace("jpeg", "jpg")
        prefixes.setdefault((found["prefix"], kind), picture.name)
        double = frames.setdefault(int(found["number"]), picture)
        if len(prefixes) > 1:
            one, other, *_ = prefixes.values()
            raise VideoError(
                "open",
                "frames_mixed",
                f"{one!r} and {other!r} are not of one video: give each a folder or archive",
            )
        if double is not picture:
            raise VideoError(
                "open", "frames_double", f"{double.name!r} and {picture.name!r} have one number: remove one"
            )
    if not frames:
        raise VideoError("open", "no_frames", "no numbered pictures, such as img_00001.jpg")
    return dict(sorted(frames.items()))


def _decode(picture: StoredPicture) -> NDArray[np.uint8]:
    """Decode a picture to BGR, turned as its EXIF says.

    Raises
    ------
    VideoError
        If it cannot be, or not whole.
    """
    frame, reason = None, "not a picture, or cut short"
    try:
        data = picture.read()
        if len(data) > MAX_PICTURE_BYTES:
            reason = f"larger than {MAX_PICTURE_BYTES} bytes"
        elif data and (data[:2] != JPEG_BEGIN or JPEG_END in data):  # OpenCV may fill up the rest
            frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except BROKEN_ARCHIVE as error:
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
