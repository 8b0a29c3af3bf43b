"""Names of extracted frames: of pictures, of archives of them, and of flow, which lies beside them."""

from __future__ import annotations

import re
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
