"""Data sets of frames that were extracted from videos: what their files are called, and what is a video.

Video files come first: only where there are none, each folder that holds numbered pictures is a video; only
where there are none of these either, each archive is one, if any of them holds numbered pictures.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ARCHIVE_EXTENSIONS: Final = (".tar.gz", ".tgz", ".tar", ".zip")
"""Archives that may hold the frames of a video; the longest ending first."""
PICTURE_EXTENSIONS: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
NUMBERED: Final = re.compile(
    rf"(?P<prefix>.*?)(?P<number>[0-9]+)\.(?P<kind>{'|'.join(end[1:] for end in PICTURE_EXTENSIONS)})",
    re.I | re.S,
)
FLOW_PREFIX: Final = re.compile(r"(warp_?)?flow[_-]?([xyuv][_-]?)?|[xy][_-]", re.I)
"""Prefixes of pictures of flow, which lie beside the frames: ``flow_x_00001.jpg``."""
FLOW_FOLDER: Final = re.compile(r"((tvl1|warp|optical|opt)[_-]?)?flows?([_-]?[xyuv])?", re.I)
"""Names of folders of flow, which may lie beside those of frames: ``tvl1_flow``, ``flow_x``."""


def is_frame_name(name: str) -> bool:
    """Return whether a file's name is that of an extracted frame, such as ``img_00001.jpg``."""
    found = NUMBERED.fullmatch(name)
    return found is not None and name[0] != "." and not FLOW_PREFIX.fullmatch(found["prefix"])


def is_frame_path(path: str) -> bool:
    """Return whether a path in an archive is a frame's; hidden files and those that systems add are not."""
    *folders, name = path.split("/")
    hidden = any(folder == "__MACOSX" or (folder[:1] == "." and folder != ".") for folder in folders)
    return not hidden and name != "" and is_frame_name(name)


def is_archive_name(name: str) -> bool:
    """Return whether a file's name is that of an archive."""
    return name.lower().endswith(ARCHIVE_EXTENSIONS)


def find_extracted(root: Path, files: Iterable[str], pictures: Counter[str]) -> list[str]:
    """Return the videos of a data set without video files; folders of flow beside those of frames are none.

    Parameters
    ----------
    root
        The data set's folder.
    files
        Paths of its files, without numbered pictures.
    pictures
        Number of numbered pictures by their folder, which ends in ``/``; the root is empty.
    """
    if folders := [folder[:-1] for folder in pictures if folder]:
        return [folder for folder in folders if not _is_of_flow(folder)] or folders
    from mas_labels.pictures import holds_frames  # loads OpenCV, which few listings need

    archives = sorted(filter(is_archive_name, files))
    return archives if any(holds_frames(root / archive) for archive in archives) else []


def _is_of_flow(folder: str) -> bool:
    """Return whether a folder of pictures holds flow, by its name or by that of a folder it lies in."""
    return any(FLOW_FOLDER.fullmatch(part) for part in folder.split("/"))


def note_pictures(pictures: Counter[str], videos: int, extracted: int) -> list[str]:
    """Say what numbered pictures were taken for; `videos` and `extracted` are the numbers of either kind."""
    if videos and pictures:
        return [
            f"{pictures.total()} numbered pictures in {len(pictures)} folders are not taken for frames: "
            "there are video files, and frames need a root of their own"
        ]
    notes = []
    if extracted:
        what = "folders" if pictures.total() > pictures[""] else "archives"
        notes.append(f"no video files: {extracted} {what} of numbered pictures are taken for one video each")
    if pictures[""]:
        notes.append(
            f"{pictures['']} numbered pictures lie in the root itself and are not used: if they are a video, "
            "the root is the folder above"
        )
    return notes
