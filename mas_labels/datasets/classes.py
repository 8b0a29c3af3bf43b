"""The classes of a data set, one for each name however it is spelled, in order."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mas_labels.datasets.list_files import read_lines
from mas_labels.datasets.manifest import Manifest
from mas_labels.datasets.splits import is_file
from mas_labels.errors import DatasetError
from mas_labels.names import first_names, fold_name, printable, sort_key


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Attributes
    ----------
    names
        In order.
    index_of
        Place of each name in `names`, by `fold_name` of it.
    notes
        Sentences on what does not fit.
    """

    names: tuple[str, ...]
    index_of: Mapping[str, int]
    notes: tuple[str, ...]

    def find(self, name: str | None) -> tuple[str | None, int]:
        """Return a class's name as it is spelled here, and its place; -1 if it has none."""
        index = -1 if name is None else self.index_of.get(fold_name(name), -1)
        return (self.names[index] if index >= 0 else name), index


def order_classes(
    manifest: Manifest, here: Collection[str | None], labels: Collection[str | None], folders: Sequence[Path]
) -> Classes:
    """Put classes in order: those of the manifest's class list first, then the others, alphabetically.

    Names that differ only in case, in underscores for spaces or in their Unicode form are one class. It is
    spelled as in the class list, else as in the splits' files, else as the first in the alphabet.

    Parameters
    ----------
    manifest
        The manifest.
    here
        Names of classes of the videos on disk; None counts as none.
    labels
        Names of classes in the splits' files.
    folders
        Where the class list is looked for.

    Raises
    ------
    DatasetError
        The class list is empty or names a class twice.
    """
    listed, notes = _find_class_list(manifest, folders)
    spelled = {fold_name(name): name for name in listed}
    named = [sorted(filter(None, names), key=sort_key) for names in (labels, here)]
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
            f"{len(variants)} class names are other spellings of a class and taken for it: "
            f"{printable(first)} is {printable(spelled[fold_name(first)])}"
            f"{', ...' if len(variants) > 1 else ''}"
        )
    ordered = (*listed, *others)
    return Classes(ordered, {fold_name(name): index for index, name in enumerate(ordered)}, tuple(notes))


def _find_class_list(manifest: Manifest, folders: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return the classes of the manifest's class list, and notes."""
    if manifest.class_list is None:
        return [], []
    path = next((f / manifest.class_list for f in folders if is_file(f / manifest.class_list)), None)
    if path is None:
        return [], [f"no {manifest.class_list} found: classes are numbered as they lie on disk"]
    return _read_class_list(path), []


def _read_class_list(path: Path) -> list[str]:
    """Read `number name` lines (ordered by number) or `name` lines (in their order)."""
    lines = read_lines(path)
    numbered = [match for line in lines if (match := re.fullmatch(r"(\d+)[ \t]+(.+)", line))]
    names = lines
    if len(numbered) == len(lines):
        names = [match[2] for match in sorted(numbered, key=lambda match: int(match[1]))]
    if not names or len({fold_name(name) for name in names}) < len(names):
        raise DatasetError(f"expected a list of different classes in {path}, found {len(names)}, some twice")
    return names
