"""Which video belongs to which splits, and how the names in a list file are matched with those on disk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mas_labels.errors import DatasetError

PathMatches = Mapping[str, re.Match[str]]
"""Relative path of a video -> the match of the recipe's `path` with it."""


@dataclass(frozen=True)
class Splits:
    """Which video belongs to which splits.

    Attributes
    ----------
    names
        The splits there are, in the recipe's order.
    by_path
        Splits of each relative path; of videos on disk and, with list files, of those missing too.
    missing
        Paths in a list file that are not on disk, sorted.
    source
        Where the splits come from, for people.
    notes
        Sentences on what does not fit.
    classes
        Class of each relative path, where the splits' files name it; else the path does.
    """

    names: tuple[str, ...] = ()
    by_path: Mapping[str, tuple[str, ...]] | None = None
    missing: tuple[str, ...] = ()
    source: str = "no splits"
    notes: tuple[str, ...] = ()
    classes: Mapping[str, str] = field(default_factory=dict)

    def of(self, path: str) -> tuple[str, ...]:
        """Return the splits of a video."""
        return self.by_path.get(path, ()) if self.by_path is not None else ()


class SplitTable:
    """Collects the splits of listed paths, taking names that differ from those on disk in case only for them.

    Parameters
    ----------
    matches
        The videos on disk.
    """

    def __init__(self, matches: PathMatches) -> None:
        self._matches = matches
        self._on_disk = {path.lower(): path for path in matches}
        self._splits_of: dict[str, list[str]] = {}
        self._other_case: set[str] = set()

    def add(self, listed: str, split: str | None) -> None:
        """Note that a list names a path; with None it belongs to no split there."""
        path = listed if listed in self._matches else self._on_disk.get(listed.lower(), listed)
        if path != listed:
            self._other_case.add(path)
        splits = self._splits_of.setdefault(path, [])
        if split is not None and split not in splits:
            splits.append(split)

    def result(self, names: Sequence[str], source: str, notes: Sequence[str]) -> Splits:
        """Return what was collected."""
        case = f"{len(self._other_case)} videos differ from the lists in case only, and were taken for them"
        return Splits(
            names=tuple(names),
            by_path={path: tuple(splits) for path, splits in self._splits_of.items()},
            missing=tuple(sorted(self._splits_of.keys() - self._matches.keys())),
            source=source,
            notes=(*notes, case) if self._other_case else tuple(notes),
        )


def fold_name(name: str) -> str:
    """Return a class name as names are compared and sorted: case and underscores for spaces do not count."""
    return name.lower().replace("_", " ")


def read_text(path: Path) -> str:
    """Return the text of a list file without its byte order mark; bytes that are not UTF-8 survive.

    Raises
    ------
    DatasetError
        The file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"expected a readable list file at {path}, found: {error.strerror}") from error
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list file that are not empty.

    Raises
    ------
    DatasetError
        The file cannot be read.
    """
    # not splitlines(): it also cuts at characters that may stand in a name
    return [line.strip(" \t\r") for line in read_text(path).split("\n") if line.strip()]
