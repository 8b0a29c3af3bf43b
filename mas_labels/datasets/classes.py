"""The classes of a data set in order, where different spellings of a name are one class."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mas_labels.datasets.folder import is_file
from mas_labels.datasets.list_files import read_lines, unquote
from mas_labels.datasets.manifest import Manifest
from mas_labels.errors import DatasetError
from mas_labels.names import first_names, fold_name, printable, sort_key


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Attributes
    ----------
    names
        Names of the classes, in order.
    index_of
        Index of each class in `names`, by the `fold_name` of its name.
    notes
        Notes for the user on names that differ from the class list or from one another.
    """

    names: tuple[str, ...]
    index_of: Mapping[str, int]
    notes: tuple[str, ...]

    def find(self, name: str | None) -> tuple[str | None, int]:
        """Return the spelling of a class that is used here, and its index, -1 for an unknown class."""
        index = -1 if name is None else self.index_of.get(fold_name(name), -1)
        return (self.names[index] if index >= 0 else name), index


def order_classes(
    manifest: Manifest,
    on_disk: Collection[str | None],
    in_lists: Collection[str | None],
    folders: Sequence[Path],
) -> Classes:
    """Order the classes: those of the manifest's class list first, then the others alphabetically.

    Names that differ only in case, underscores for spaces or Unicode form are one class. Its spelling is that
    of the class list, else that of the list files, else the alphabetically first.

    Parameters
    ----------
    manifest
        The manifest.
    on_disk
        Names of the classes of the videos on disk; None is ignored.
    in_lists
        Names of the classes in the list files.
    folders
        Folders to search for the class list.

    Raises
    ------
    DatasetError
        The class list is empty or names a class twice.
    """
    listed, notes = _find_class_list(manifest, folders)
    spelled = {fold_name(name): name for name in listed}
    named = [sorted(filter(None, names), key=sort_key) for names in (in_lists, on_disk)]
    for name in itertools.chain(*named):
        spelled.setdefault(fold_name(name), name)
    others = sorted(list(spelled.values())[len(listed) :], key=sort_key)
    if listed and others:
        notes.append(
            f"{len(others)} classes on disk are not in {manifest.class_list} and come after it: "
            f"{first_names(others)}"
        )
    variants = [name for name in dict.fromkeys(itertools.chain(*named)) if spelled[fold_name(name)] != name]
    if variants:
        first = variants[0]
        notes.append(
            f"{len(variants)} class names are other spellings of a class and were merged with it: "
            f"{printable(first)} is {printable(spelled[fold_name(first)])}"
            f"{', ...' if len(variants) > 1 else ''}"
        )
    ordered = (*listed, *others)
    return Classes(ordered, {fold_name(name): index for index, name in enumerate(ordered)}, tuple(notes))


def _find_class_list(manifest: Manifest, folders: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return the classes in the manifest's class list, and notes."""
    if manifest.class_list is None:
        return [], []
    path = next((f / manifest.class_list for f in folders if is_file(f / manifest.class_list)), None)
    if path is None:
        return [], [f"no {manifest.class_list} found: the classes on disk are numbered alphabetically"]
    return _read_class_list(path), []


def _read_class_list(path: Path) -> list[str]:
    """Read a class list: lines of `number name` (ordered by number) or of `name` (in their order).

    The number may be followed by a comma, semicolon, colon or full stop, and a name be in quotes.
    """
    lines = read_lines(path)
    numbered = [match for line in lines if (match := re.fullmatch(r"(\d+)[.:]?[ \t,;]+(.+)", line))]
    names = lines
    if len(numbered) == len(lines):
        names = [match[2] for match in sorted(numbered, key=lambda match: int(match[1]))]
    names = [unquote(name) for name in names]
    if not names or len({fold_name(name) for name in names}) < len(names):
        raise DatasetError(
            f"expected a list of different classes in {path}, found {len(names)}, some twice: fix the list"
        )
    return names
