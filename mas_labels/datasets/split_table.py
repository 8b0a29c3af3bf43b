"""The splits of each video, its class if list files give it, and the matching of listed names with paths."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mas_labels.datasets.folder import video_stem
from mas_labels.datasets.path_match import PathParts
from mas_labels.names import first_names, fold_name, printable

PathKey = tuple[str, ...]
"""The normalised parts of a path, for comparison."""


@dataclass(frozen=True)
class Splits:
    """The splits of each video.

    Attributes
    ----------
    names
        The splits there are, in the manifest's order.
    by_path
        Splits of each relative path: of videos on disk and, with list files, of missing ones.
    missing
        Paths in a list file that are not on disk, sorted.
    source
        Where the splits come from, as text.
    notes
        Sentences on what does not fit.
    classes
        Class of each relative path (None: it has none), if the list files give the classes; otherwise the
        class comes from the path.
    exact
        Paths that a list file names exactly as on disk, extension included.
    """

    names: tuple[str, ...] = ()
    by_path: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    source: str = "no splits"
    notes: tuple[str, ...] = ()
    classes: Mapping[str, str | None] = field(default_factory=dict)
    exact: frozenset[str] = frozenset()

    def of(self, path: str) -> tuple[str, ...]:
        """Return the splits of a video."""
        return self.by_path.get(path, ())

    def class_of(self, path: str, parts: PathParts | None) -> str | None:
        """Return the name of a video's class by the list files or else by its path."""
        return self.classes.get(path, parts.class_name if parts else None)


def path_key(path: str) -> PathKey:
    """Return the normalised parts of a path: folders like class names, the file's name without extension.

    >>> path_key("Brush_Hair/April_09.AVI")
    ('brush hair', 'april_09')
    """
    *folders, name = path.split("/")
    file = video_stem(name).lower()
    return (*map(fold_name, folders), unicodedata.normalize("NFC", file))


def clean_path(listed: str) -> str:
    r"""Return a listed path with ``/`` between folders and without ``.`` and empty parts.

    >>> clean_path("./Archery/v.avi"), clean_path("UCF-101\\Archery\\v.avi")
    ('Archery/v.avi', 'UCF-101/Archery/v.avi')
    """
    return "/".join(part for part in listed.replace("\\", "/").split("/") if part not in ("", ".")) or listed


class SplitTable:
    """Collects the splits of listed names, and finds the videos with these names.

    A name means the video at its path. If there is none, case and extension are ignored, and either may have
    more leading folders: the path on disk, or the name in the list, which then must include the class. A name
    that matches different videos, and names that match the same video, are ambiguous and not used.

    Parameters
    ----------
    videos
        The videos on disk.
    """

    def __init__(self, videos: Mapping[str, PathParts]) -> None:
        self._videos = videos
        self._splits_of: dict[str, list[str]] = {}  # by listed name
        self._by_end: dict[PathKey, list[str]] = {}
        self._by_name: dict[PathKey, list[str]] = {}
        for path, parts in videos.items():
            key = path_key(path)
            for first in range(len(key)):
                self._by_end.setdefault(key[first:], []).append(path)
            self._by_name.setdefault(key[-1 - parts.name.count("/") :], []).append(path)

    def add(self, listed: Sequence[str], split: str | None) -> None:
        """Add a name from a list to a split; None: to no split.

        Parameters
        ----------
        listed
            Names that the line may mean, the likeliest first; the first that matches a video is used. If none
            does, it is the second, which is without the number of a class.
        split
            The split.
        """
        names = [name if name in self._videos else clean_path(name) for name in listed]
        name = next((name for name in names if self._find(name)), names[:2][-1])
        splits = self._splits_of.setdefault(name, [])
        if split is not None and split not in splits:
            splits.append(split)

    def _find(self, name: str) -> list[str]:
        """Return the paths of the videos that a name may mean."""
        if name in self._videos:
            return [name]
        key = path_key(name)
        ends = self._by_end.get(key, [])
        found = [path for path in ends if path.count("/") == len(key) - 1] or ends
        for first in range(1, len(key)):
            found = found or self._by_name.get(key[first:], [])
        return found

    def result(self, names: Sequence[str], source: str, notes: Sequence[str]) -> Splits:
        """Return the collected splits of the videos.

        Parameters
        ----------
        names, source, notes
            As in `Splits`; notes on the matching are added.
        """
        found = {name: self._find(name) for name in self._splits_of}
        ambiguous = self._find_ambiguous(found)
        by_path: dict[str, list[str]] = {}
        for name, splits in self._splits_of.items():
            for path in found[name] if name not in ambiguous and found[name] else [name]:
                by_path.setdefault(path, []).extend(splits)
        respelled = sorted(
            {p for name in found if name not in ambiguous for p in found[name] if p not in found}
        )
        notes = list(notes)
        if respelled:
            notes.append(
                f"{len(respelled)} videos differ from the lists only in case, extension or leading folders, "
                f"and were matched with them: {first_names(respelled)}"
            )
        if ambiguous:
            example = min(ambiguous)
            notes.append(
                f"{len(ambiguous)} listed names match several videos, or several of them one, and are not "
                f"used: {printable(example)} ({first_names(found[example])})"
            )
        return Splits(
            names=tuple(names),
            by_path={path: tuple(dict.fromkeys(splits)) for path, splits in by_path.items()},
            missing=tuple(sorted(by_path.keys() - self._videos.keys())),
            source=source,
            notes=tuple(notes),
            exact=frozenset(self._splits_of.keys() & self._videos.keys()),
        )

    def _find_ambiguous(self, found: Mapping[str, Sequence[str]]) -> set[str]:
        """Return the names that match several videos, or a video that a name in another folder matches."""
        ambiguous = {name for name, paths in found.items() if len({self._videos[p].name for p in paths}) > 1}
        names_of: dict[str, list[str]] = {}
        for name, paths in found.items():
            for path in paths if name not in self._videos else ():
                names_of.setdefault(path, []).append(name)
        for names in names_of.values():
            keys = sorted(map(path_key, names), key=len)
            if any(keys[-1][-len(key) :] != key for key in keys):
                ambiguous.update(names)
        return ambiguous
