"""Finds the videos in a folder, with no `stat` per file: fast enough for hundreds of thousands of files."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mas_labels.datasets.extracted import find_extracted, note_pictures
from mas_labels.errors import DatasetError
from mas_labels.names import VIDEO_EXTENSIONS, first_names, printable
from mas_labels.video.frame_names import ARCHIVE_EXTENSIONS, FLOW_RECORD, is_frame_name

NOT_FOUND_ERRORS: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Errors that mean that a path does not exist; any other means that it cannot be examined now."""
GROUND_TRUTH_NAME: Final = "ground_truth.csv"
"""Table that `mas_labels.datasets.demo` puts beside its videos, where it is not worth a note."""
DISK_FOLDERS: Final = ("lost+found", "$RECYCLE.BIN", "System Volume Information")
"""Folders that belong to a disk, not to what is on it; the last one cannot even be read by most users."""


@dataclass(frozen=True)
class FolderContents:
    """The videos of a folder, and notes on everything else in it.

    Attributes
    ----------
    videos
        Paths relative to the folder, `/` between folders, sorted, exactly as on disk.
    ignored
        Number of files that do not look like videos, by extension.
    notes
        Notes for the user on what was left out, such as symbolic links, and on pictures.
    extracted
        Whether each video is a folder of frames, or an archive of one, instead of a video file.
    """

    videos: tuple[str, ...]
    ignored: dict[str, int]
    notes: tuple[str, ...]
    extracted: bool = False


def split_extension(path: str) -> tuple[str, str]:
    """Return a path without its extension, and the extension in lower case with its dot (or nothing)."""
    stem, dot, ending = path.rpartition(".")
    if not stem or stem.endswith("/") or "/" in ending:
        return path, ""
    return stem, (dot + ending).lower()


def video_stem(path: str, extensions: Collection[str] = ()) -> str:
    """Return a path without its extension, if that is one of `extensions`, of a video or of an archive.

    A folder of frames has none, even with dots in its name.
    """
    archive = next((ending for ending in ARCHIVE_EXTENSIONS if path.lower().endswith(ending)), "")
    stem, extension = split_extension(path)
    if archive:
        return path[: -len(archive)]
    return stem if extension in VIDEO_EXTENSIONS or extension in extensions else path


def walk_folder(root: Path, extensions: tuple[str, ...], follow_links: bool = False) -> FolderContents:
    """Find the videos under `root`: the files that end in one of `extensions`, ignoring case.

    If there are none, the videos are extracted frames: see `mas_labels.datasets.extracted`. Hidden files and
    folders, and the `DISK_FOLDERS`, are skipped; the notes name the hidden videos and folders.

    Parameters
    ----------
    root
        The folder.
    extensions
        Lower case, with their dot.
    follow_links
        Whether to follow symbolic links to folders, and to files outside of `root`. Each real folder is read
        once: under its own path if it lies under `root`, else under the least nested of the links to it.
        Folders that contain `root` are not read. A link to a file inside `root` always counts as a second
        name of that file.

    Raises
    ------
    DatasetError
        A folder cannot be read: the result would depend on the permissions of the user.
    """
    walk = _Walk(root, extensions, follow_links)
    try:
        walk.read_all()
    except OSError as error:
        raise DatasetError(
            f"cannot read {printable(os.fsdecode(error.filename or root))}: {error.strerror}. Its contents "
            f"belong to the data set, so nothing is done without them: make it readable, or move it elsewhere"
        ) from error
    videos = [path for path in walk.files if split_extension(path)[1] in extensions]
    extracted = [] if videos else find_extracted(root, walk.files, walk.pictures)
    found = set(videos or extracted)
    if extracted:
        walk.leave_out_flow(found)
    known = {*found, GROUND_TRUTH_NAME} if found else found
    others = (path for path in walk.files if path not in known)
    ignored = Counter(split_extension(path)[1] or "without extension" for path in others)
    if not walk.pictures.keys() & {f"{path}/" for path in extracted}:
        ignored.update(walk.picture_kinds)
    notes = (*walk.notes(), *note_pictures(walk.pictures, len(videos), len(extracted)))
    return FolderContents(tuple(sorted(found)), dict(sorted(ignored.items())), notes, bool(extracted))


class _Walk:
    """Collects the files of a folder; errors of the file system are raised as `OSError`."""

    def __init__(self, root: Path, extensions: tuple[str, ...], follow_links: bool) -> None:
        self._root, self._extensions, self._follow = root, extensions, follow_links
        self._real_root = Path(os.path.realpath(root))
        self._folders_read: set[Path] = set()  # real paths
        self.files: list[str] = []  # without numbered pictures, of which there may be millions
        self.pictures: Counter[str] = Counter()  # numbered pictures by folder
        self.picture_kinds: Counter[str] = Counter()  # numbered pictures by extension
        self._flow_outputs: list[str] = []  # folders that `mas-labels flow` has written
        self._folder_links: list[str] = []
        self._left_out: dict[str, list[str]] = {}  # paths by reason

    def read_all(self) -> None:
        """Read the root first, then the targets of links to folders, the least nested links first."""
        self._read_tree("", self._real_root)
        while self._folder_links:
            links = sorted(self._folder_links, key=lambda link: (link.count("/"), link))
            self._folder_links = []
            for link in links:
                real = Path(os.path.realpath(self._root / link))
                if real in self._folders_read:
                    self._leave_out("symbolic links lead to folders that are listed already", link)
                elif real in self._real_root.parents:
                    self._leave_out("symbolic links lead to folders that contain the root", link)
                else:
                    self._read_tree(f"{link}/", real)

    def _read_tree(self, prefix: str, real: Path) -> None:
        """Read a folder and its subfolders; `prefix` is its path under the root, `real` its real path."""
        folders = [(prefix, real)]
        while folders:
            prefix, real = folders.pop()
            if real in self._folders_read:
                continue
            self._folders_read.add(real)
            with os.scandir(self._root / prefix) as scan:
                entries = [entry for entry in scan if entry.name not in DISK_FOLDERS]
            if prefix and any(entry.name == FLOW_RECORD for entry in entries):
                self._flow_outputs.append(prefix)
            for entry in entries:  # which knows its type: no `stat`
                if entry.name[0] == ".":
                    self._skip_hidden(prefix, entry)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append((f"{prefix}{entry.name}/", real / entry.name))
                elif entry.is_symlink():
                    self._sort_link(prefix + entry.name)
                elif entry.is_file(follow_symlinks=False):
                    self._add_file(prefix, entry.name)
                else:
                    self._leave_out("pipes, sockets or devices are not videos", prefix + entry.name)

    def _skip_hidden(self, prefix: str, entry: os.DirEntry[str]) -> None:
        """Note a hidden folder or video; a file of metadata that macOS adds (``._one.mp4``) is neither."""
        is_video = split_extension(entry.name)[1] in self._extensions and not entry.name.startswith("._")
        if is_video or entry.is_dir(follow_symlinks=False):
            self._leave_out("hidden folders or videos were skipped", prefix + entry.name)

    def _add_file(self, prefix: str, name: str) -> None:
        if not is_frame_name(name):
            self.files.append(prefix + name)
        elif output := next(filter(prefix.startswith, self._flow_outputs), ""):
            reason = "folders were written by `mas-labels flow`, so pictures in them were left out"
            if output[:-1] not in self._left_out.get(reason, ()):
                self._leave_out(reason, output[:-1])
        else:
            self.pictures[prefix] += 1
            self.picture_kinds[split_extension(name)[1]] += 1

    def _sort_link(self, path: str) -> None:
        """Add the target of a link as a file, keep a link to a folder for later, or leave the link out."""
        real = Path(os.path.realpath(self._root / path))
        inside = real.is_relative_to(self._real_root)
        try:
            mode = real.stat().st_mode
        except OSError as error:
            if error.errno not in NOT_FOUND_ERRORS and (inside or self._follow):
                raise
            mode = 0 if error.errno in NOT_FOUND_ERRORS else stat.S_IFREG  # it exists, outside of the root
        if stat.S_ISREG(mode) and (inside or self._follow):
            folder, slash, name = path.rpartition("/")
            self._add_file(folder + slash, name)
        elif stat.S_ISDIR(mode) and self._follow:
            self._folder_links.append(path)
        elif stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            self._leave_out(
                "symbolic links were not followed (--follow-links does, or copy what they lead to)", path
            )
        else:
            self._leave_out("symbolic links lead to no file or folder", path)

    def leave_out_flow(self, videos: Collection[str]) -> None:
        """Note the folders of pictures that are not among the videos: they hold flow."""
        for folder in self.pictures:
            if folder and folder[:-1] not in videos:
                reason = "folders of pictures hold flow, by their names, and were left out"
                self._leave_out(reason, folder[:-1])

    def _leave_out(self, reason: str, path: str) -> None:
        self._left_out.setdefault(reason, []).append(path)

    def notes(self) -> tuple[str, ...]:
        """Return one sentence for each reason why paths were left out."""
        return tuple(
            f"{len(paths)} {reason}: {first_names(sorted(paths))}"
            for reason, paths in sorted(self._left_out.items(), reverse=True)
        )


def file_mode(path: Path) -> int:
    """Return the mode of a file or folder, as `os.stat` has it; 0 if the path does not exist.

    Raises
    ------
    DatasetError
        It cannot be examined.
    """
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in NOT_FOUND_ERRORS:
            return 0
        raise DatasetError(f"cannot examine {path}: {error.strerror}. Make it readable") from error
    except ValueError:  # a zero byte, as in a list that is no text
        return 0


def is_file(path: Path) -> bool:
    """Return whether a path is a regular file; raise `DatasetError` if it cannot be examined."""
    return stat.S_ISREG(file_mode(path))


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, without hidden ones; none if there is no such folder.

    Raises
    ------
    DatasetError
        It cannot be read.
    """
    try:
        with os.scandir(folder) as scan:
            return sorted(entry.name for entry in scan if entry.name[0] != ".")
    except OSError as error:
        if error.errno in NOT_FOUND_ERRORS:
            return []
        raise DatasetError(f"cannot read {folder}: {error.strerror}. Make it readable") from error


def resolve_inside(root: Path, path: str, follow_links: bool = False) -> Path:
    """Return the file at a relative path from a shard or a list, if it lies under `root`.

    Parameters
    ----------
    root
        The data set's folder.
    path
        The relative path.
    follow_links
        Whether links may lead out of `root`.

    Raises
    ------
    DatasetError
        If the path is absolute, has ``..``, or is a link that leads out of `root`.
    """
    parts = path.split("/")
    if not path or "\0" in path or path.startswith("/") or ".." in parts:
        inside, remedy = False, "the file that names it may be corrupt or not ours"
    else:
        inside = follow_links or (root / path).resolve().is_relative_to(root.resolve())
        remedy = (
            "the file that names it may be corrupt or not ours; if the links in that folder are yours, use "
            "--follow-links"
        )
    if not inside:
        raise DatasetError(
            f"{printable(path)!r} leads out of {root}: expected paths inside the data set's folder; {remedy}"
        )
    return root / path
