"""Lists of videos and their classes: lines of a path and perhaps numbers, or tables with a header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from mas_labels.datasets.folder import file_mode
from mas_labels.datasets.layout_hints import SPLIT_NAMES
from mas_labels.datasets.list_files import names_in_line, read_lines, read_text, separator_of, split_number
from mas_labels.errors import DatasetError
from mas_labels.names import VIDEO_EXTENSIONS, first_names, fold_name

LIST_EXTENSIONS: Final = (".txt", ".csv")
PATH_COLUMNS: Final = ("video", "path", "file", "filename", "file_name", "video_path", "video_name")
CLASS_COLUMNS: Final = ("class", "class_name", "label")
"""Names of columns of a table, in any case; of several, the first of these counts."""


class ListedVideo(NamedTuple):
    """A video that a list names, and the class after it, or its number; an empty text if there is none."""

    path: Path
    stated: str


def read_list(path: Path, root: Path) -> list[ListedVideo]:
    """Return the videos that a list names, in its order.

    Parameters
    ----------
    path
        A file of lines such as ``Archery/a.avi 1``; or a table (``.csv``), its columns separated by commas,
        semicolons or tabs, whose header has one of `PATH_COLUMNS`, and for classes one of `CLASS_COLUMNS`.
    root
        Folder that the paths in it begin from.

    Raises
    ------
    DatasetError
        If the list cannot be read or is empty, or a video is missing.
    """
    rows = list(_table_rows(path) if path.suffix.lower() == ".csv" else _line_rows(path))
    if not rows:
        raise DatasetError(f"expected the paths of videos in {path}, one a line, found none. Check the list")
    listed, missing = [], []
    for line, meanings in rows:
        named = (video for video in meanings if video.path != Path())  # an empty name would be the root
        found = next((video for video in _in_any_system(named) if file_mode(root / video.path)), None)
        if found is None:
            missing.append(line)
        else:
            listed.append(ListedVideo(root / found.path, found.stated))
    if missing:
        raise DatasetError(
            f"{path}: {len(missing)} of {len(rows)} videos are not in {root}: {first_names(missing)}. Check "
            f"the root (--root), or leave them out of the list{_columns_hint(path)}"
        )
    return listed


def _columns_hint(path: Path) -> str:
    """Return the end of a message about a list that may be a table with other columns."""
    return f"; a table needs a column {', '.join(PATH_COLUMNS)}" if path.suffix.lower() == ".csv" else ""


def _in_any_system(videos: Iterable[ListedVideo]) -> Iterator[ListedVideo]:
    """Yield each video as it is named, and with ``/`` for the backslashes of another system."""
    for video in videos:
        yield video
        yield video._replace(path=Path(str(video.path).replace("\\", "/")))


def _line_rows(path: Path) -> Iterator[tuple[str, list[ListedVideo]]]:
    """Yield each line, and the videos that it may mean, the likeliest first."""
    for line in read_lines(path):
        names = names_in_line(line, VIDEO_EXTENSIONS)
        yield line, [ListedVideo(Path(name), _class_after(name, line)) for name in names]


def _class_after(name: str, line: str) -> str:
    """Return the last number in a line after a name, else the text there."""
    text = line.partition(name)[2].strip(" \t,;|\"'")
    numbered = split_number(line)
    return numbered[1] if text and numbered else text


def _table_rows(path: Path) -> Iterator[tuple[str, list[ListedVideo]]]:
    """Yield each row of a table, and the video that it means; lines if there is no such header."""
    text = read_text(path)
    try:
        table = csv.reader(io.StringIO(text, newline=""), delimiter=separator_of(text))
        header, *rows = [row for row in table if any(row)]
    except (csv.Error, ValueError):  # no table, or an empty one
        header, rows = [], []
    columns = [cell.strip().lower() for cell in header]
    video = next((columns.index(name) for name in PATH_COLUMNS if name in columns), None)
    stated = next((columns.index(name) for name in CLASS_COLUMNS if name in columns), None)
    if video is None:
        yield from _line_rows(path)
        return
    for row in rows:
        cells = [*row, *[""] * len(columns)]
        yield ",".join(row), [ListedVideo(Path(cells[video]), "" if stated is None else cells[stated])]


def folder_classes(paths: Mapping[str, str]) -> dict[str, str]:
    """Return the classes of videos: of each path the first folder, of those not called as splits are.

    >>> folder_classes({"a": "Archery/a.avi", "b": "train/Archery/b.avi", "c": "train/c.avi"})
    {'a': 'Archery', 'b': 'Archery'}
    """
    found = {name: next(filter(_is_class, path.split("/")[:-1]), None) for name, path in paths.items()}
    return {name: folder for name, folder in found.items() if folder is not None}


def _is_class(folder: str) -> bool:
    return fold_name(folder) not in SPLIT_NAMES


def listed_classes(stated: Mapping[str, str]) -> dict[str, str]:
    """Return the classes of the videos of a list.

    Parameters
    ----------
    stated
        Name of each video -> the class, or its number, that the list states; empty: none.

    Returns
    -------
    dict
        Name -> the class. The folders of the videos are their classes if the list states none, or if the
        numbers that it states are names of these folders, one for one.
    """
    folders = folder_classes({name: name for name in stated})
    pairs = {(folders.get(name), text) for name, text in stated.items()}
    are_one_for_one = len(folders) == len(stated) and (
        len(pairs) == len(set(folders.values())) == len(set(stated.values()))
    )
    if not any(stated.values()) or (are_one_for_one and all(map(str.isdecimal, stated.values()))):
        return folders
    return {name: text for name, text in stated.items() if text}
