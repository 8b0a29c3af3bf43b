"""Finds the flow of a video among files that other programs wrote, whatever their layout.

Pictures of the two components lie in one folder for each video, their names beginning with the component
(``flow_x_00001.jpg``, ``y_0001.png``), or in two folder trees named after the components
(``u/<video>/frame000001.jpg``). Numbers are in a file ``<video>.npz``, ``.h5`` or ``.npy``.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from mas_labels.datasets.folder import NOT_FOUND_ERRORS, video_stem
from mas_labels.errors import VideoError
from mas_labels.video.frame_names import NUMBERED_PICTURE
from mas_labels.video.reader import unreadable

COMPONENT_FOLDERS: Final = (("u", "v"), ("x", "y"), ("flow_x", "flow_y"))
"""Names of the two folder trees, one for each component."""
COMPONENT_PREFIX: Final = re.compile(
    r"(?:flow[_-]?|(?=.[_-]))(?P<component>[xyuv])[_-]?(?:(?P<step>[pm]\d+)_)?", re.IGNORECASE | re.ASCII
)
"""Prefix of a picture of one component; denseflow states the step there unless it is 1: ``flow_x_p2_``."""
FIRST_COMPONENTS: Final = "xu"
ARRAY_EXTENSIONS: Final = (".npz", ".h5", ".npy")
NO_FLOW: Final = "no_flow"
OTHER_STEP: Final = "other_step"
"""Codes of failures: there is no flow of the video; it is not between consecutive frames."""
STEP_REMEDY: Final = "labels need flow between consecutive frames of the video: make it with step 1"


class FlowFiles(NamedTuple):
    """Files of the flow of one video."""

    path: Path
    """The file of numbers, or the folder of the pictures of u."""
    pairs: tuple[tuple[Path, Path], ...] = ()
    """Pictures of u and v, in the order of their numbers; none for a file of numbers."""


def find_flow(folder: Path, video: str) -> FlowFiles:
    """Find the flow of a video.

    Parameters
    ----------
    folder
        Folder of a data set's flow.
    video
        Path of the video, relative to the data set's root.

    Raises
    ------
    VideoError
        If there is none, its pictures do not belong together, it is not between consecutive frames, or the
        folder cannot be read.

    Notes
    -----
    First with the video's whole path, then with its name alone, since public flow of UCF101 and HMDB51 has no
    class folders; regardless of case only if that finds nothing: UCF101's ``v_HandStandPushups_g01_c01`` is
    ``v_HandstandPushups_g01_c01`` there.
    """
    try:
        for resolve in (_existing, _in_any_case):
            for name in possible_names(video):
                if files := _look_for(folder, name, resolve):
                    return files
        folder.stat()  # a folder that is not mounted says nothing about the video
    except OSError as error:
        raise unreadable("flow", error) from error
    raise VideoError("flow", NO_FLOW, f"no flow of it is in {folder}: make it, then use --retry-failed")


def describe_layouts(video: str) -> str:
    """Return examples of the places where the flow of a video is looked for, as text."""
    stem = video_stem(video)
    return f"{stem}/flow_x_00001.jpg, u/{Path(stem).name}/frame000001.jpg or {stem}.npz"


def possible_names(video: str) -> list[str]:
    """Return the names that a video's flow may have, the longest first: with and without extension, class."""
    stem = video_stem(video)
    return list(dict.fromkeys((video, stem, Path(stem).name)))


def _look_for(folder: Path, name: str, resolve: Callable[[Path], Path | None]) -> FlowFiles | None:
    """Find flow under one name; `resolve` returns a path that exists."""
    place = resolve(folder / name)
    if place is not None and _is_folder(place):
        u, v = _list_components(place)
        if u or v:
            return FlowFiles(place, _pair(u, v))
    for names in COMPONENT_FOLDERS:
        places = [resolve(folder / part / name) for part in names]
        u, v = (_list_pictures(place) if place is not None and _is_folder(place) else {} for place in places)
        if u or v:
            return FlowFiles(next(filter(None, places)), _pair(u, v))
    for extension in ARRAY_EXTENSIONS:
        path = resolve(folder / f"{name}{extension}")
        if path is not None and not _is_folder(path):
            return FlowFiles(path)
    return None


def _existing(path: Path) -> Path | None:
    return path if _mode(path) else None


def _in_any_case(path: Path) -> Path | None:
    """Return the path in its folder that differs in case at most."""
    if not _is_folder(path.parent):
        return None
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if entry.name.casefold() == path.name.casefold()]
    return path.parent / names[0] if len(names) == 1 else None


def _mode(path: Path) -> int:
    """Return a file's mode; 0 if it does not exist."""
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in NOT_FOUND_ERRORS:
            return 0
        raise


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(_mode(path))


def _list_components(folder: Path) -> tuple[dict[int, Path], dict[int, Path]]:
    """Return the pictures of u and v in a folder by number."""
    u: dict[int, Path] = {}
    v: dict[int, Path] = {}
    for path, picture in _numbered_pictures(folder):
        prefix = COMPONENT_PREFIX.fullmatch(picture["prefix"])
        if prefix is None:  # a frame, or another picture
            continue
        if prefix["step"]:
            raise VideoError(
                "flow",
                OTHER_STEP,
                f"{path.name!r} is of step {prefix['step'].lower().replace('p', '').replace('m', '-')}: "
                f"{STEP_REMEDY}",
            )
        _put(u if prefix["component"].lower() in FIRST_COMPONENTS else v, int(picture["number"]), path)
    return u, v


def _list_pictures(folder: Path) -> dict[int, Path]:
    """Return all numbered pictures in a folder by number."""
    pictures: dict[int, Path] = {}
    for path, picture in _numbered_pictures(folder):
        _put(pictures, int(picture["number"]), path)
    return pictures


def _numbered_pictures(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name[0] != ".")
    matches = ((name, NUMBERED_PICTURE.fullmatch(name)) for name in names)
    return [(folder / name, match) for name, match in matches if match]


def _put(pictures: dict[int, Path], number: int, path: Path) -> None:
    first = pictures.setdefault(number, path)
    if first is not path:
        raise VideoError(
            "flow", "flow_double", f"{first.name!r} and {path.name!r} have one number: remove one of them"
        )


def _pair(u: dict[int, Path], v: dict[int, Path]) -> tuple[tuple[Path, Path], ...]:
    """Pair the pictures of u and v by number."""
    numbers = range(min((*u, *v)), max((*u, *v)) + 1)
    for number in numbers:
        if number not in u or number not in v:
            component = "u (x)" if number not in u else "v (y)"
            raise VideoError(
                "flow",
                "flow_missing",
                f"the picture of {component} with number {number} is missing, of {len(u)} and {len(v)}: make "
                "the flow again",
            )
    return tuple((u[number], v[number]) for number in numbers)
