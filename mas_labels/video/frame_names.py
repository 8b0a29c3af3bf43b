"""Recognises the names of extracted frames, of archives of frames, and of pictures of flow next to them."""

from __future__ import annotations

import re
from typing import Final

ARCHIVE_EXTENSIONS: Final = (".tar.gz", ".tgz", ".tar", ".zip")
"""Extensions of archives that may contain the frames of a video; the longest first."""
PICTURE_EXTENSIONS: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
NUMBERED_PICTURE: Final = re.compile(
    rf"(?P<prefix>.*?)(?P<number>[0-9]+)\.(?P<kind>{'|'.join(end[1:] for end in PICTURE_EXTENSIONS)})",
    re.I | re.S,
)
FLOW_PREFIX: Final = re.compile(r"(warp_?)?flow[_-]?([xyuv][_-]?)?([pm][0-9]+_)?|[xy][_-]", re.I)
"""Prefixes of pictures of flow beside the frames: ``flow_x_00001.jpg``, at step 2 ``flow_x_p2_00000.jpg``."""
FLOW_FOLDER: Final = re.compile(r"((tvl1|warp|optical|opt)[_-]?)?flows?([_-]?[xyuv])?", re.I)
"""Names of folders of flow next to folders of frames: ``tvl1_flow``, ``flow_x``."""

FLOW_RECORD: Final = "flow.json"
"""File in an output folder of `mas-labels flow` with the options that its flow was made with."""


def is_frame_name(name: str) -> bool:
    """Return whether a file has the name of an extracted frame, such as ``img_00001.jpg``."""
    found = NUMBERED_PICTURE.fullmatch(name)
    return found is not None and name[0] != "." and not FLOW_PREFIX.fullmatch(found["prefix"])


def is_frame_path(path: str) -> bool:
    """Return whether a path in an archive is that of a frame, and not of a hidden or system file."""
    *folders, name = path.split("/")
    hidden = any(folder == "__MACOSX" or (folder[:1] == "." and folder != ".") for folder in folders)
    return not hidden and name != "" and is_frame_name(name)


def is_archive_name(name: str) -> bool:
    """Return whether a file has the name of an archive."""
    return name.lower().endswith(ARCHIVE_EXTENSIONS)
