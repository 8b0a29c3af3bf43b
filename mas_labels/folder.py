"""The files of a folder, fast enough for hundreds of thousands: no `stat` per file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mas_labels.errors import DatasetError


@dataclass(frozen=True)
class FolderContents:
    """What a walk over a folder found.

    Attributes
    ----------
    videos
        Paths relative to the folder, `/` between folders, sorted, exactly as on disk.
    ignored
        Number of files that do not look like videos, by extension.
    notes
        Sentences on what was left out: links, folders that cannot be read.
    """

    videos: tuple[str, ...]
    ignored: dict[str, int]
    notes: tuple[str, ...]


def split_extension(path: str) -> tuple[str, str]:
    """Return a path without its extension, and the extension in lower case with its dot (or nothing)."""
    stem, dot, ending = path.rpartition(".")
    if not stem or stem.endswith("/") or "/" in ending:
        return path, ""
    return stem, (dot + ending).lower()


def printable(name: str) -> str:
    """Return a name as it can be shown anywhere: bytes that are not UTF-8 and control characters escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_names(names: Sequence[str], count: int = 3) -> str:
    """Return the first few names, and that there are more."""
    return ", ".join(printable(name) for name in names[:count]) + (", ..." if len(names) > count else "")


def walk_folder(root: Path, extensions: tuple[str, ...]) -> FolderContents:
    """Find the files under `root` that end in one of `extensions`, ignoring case.

    Hidden files and folders are skipped. A link to a file inside `root` counts as that file's second name;
    links out of `root`, links to folders and broken links are not followed, and noted.
    """
    videos: list[str] = []
    ignored: Counter[str] = Counter()
    notes: list[str] = []
    links: list[str] = []
    for path, is_link in _files(root, "", notes):
        _, extension = split_extension(path)
        if is_link and not _links_to_file_inside(root, path):
            links.append(path)
        elif extension in extensions:
            videos.append(path)
        else:
            ignored[extension or "without extension"] += 1
    if links:
        notes.append(
            f"{len(links)} symbolic links were not followed, since they lead out of the data set, to a "
            f"folder or nowhere (first: {printable(min(links))}). Give the folder they lead to as the root, "
            f"or copy it"
        )
    return FolderContents(tuple(sorted(videos)), dict(sorted(ignored.items())), tuple(notes))


def _files(folder: str | Path, prefix: str, notes: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield (relative path, is it a link) for files and links; the type comes with the folder's entry."""
    try:
        with os.scandir(folder) as scan:
            entries = list(scan)
    except OSError as error:
        notes.append(f"the folder {printable(prefix) or '.'} cannot be read: {error.strerror}")
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, f"{prefix}{entry.name}/", notes)
        elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
            yield prefix + entry.name, entry.is_symlink()


def resolve_inside(root: Path, path: str) -> Path:
    """Return the file that a shard's or a list's relative path names, only if it lies under `root`.

    Raises
    ------
    DatasetError
        If the path is absolute, has ``..``, or is a link that leads out of `root`.
    """
    parts = path.split("/")
    inside = path and "\0" not in path and not path.startswith("/") and ".." not in parts
    if not inside or not (root / path).resolve().is_relative_to(root.resolve()):
        raise DatasetError(
            f"{printable(path)!r} leads out of {root}: paths of videos lie inside the data set's folder; do "
            f"not trust where it comes from"
        )
    return root / path


def _links_to_file_inside(root: Path, path: str) -> bool:
    try:
        target = (root / path).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return False
    return target.is_file() and target.is_relative_to(root.resolve())
