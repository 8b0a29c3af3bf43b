"""Splits as HMDB51 has them: a list file for each class and split number, lines `name.avi mark`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mas_labels.errors import DatasetError
from mas_labels.folder import first_names, names_in, printable
from mas_labels.list_files import read_lines, split_number, unquote
from mas_labels.path_match import PathParts
from mas_labels.split_rules import MarkedListsRule
from mas_labels.split_table import Splits, SplitTable


def find_marked_lists(rule: MarkedListsRule, folder: Path) -> list[tuple[str, str, Path]]:
    """Return (class, number, file) of every list in a folder, sorted by name."""
    place = re.escape(rule.files)
    for name, what in (("class", ".+"), ("number", r"\d+")):
        place = place.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>{what})")
    found = ((re.fullmatch(place, name), name) for name in names_in(folder))
    return [(match["class"], match["number"], folder / name) for match, name in found if match]


def read_marked_lists(rule: MarkedListsRule, videos: Mapping[str, PathParts], folder: Path) -> Splits:
    """Read all lists of a folder; a video lies in the folder of its class.

    Raises
    ------
    DatasetError
        A list cannot be read, or a line is not a name and a mark.
    """
    lists = find_marked_lists(rule, folder)
    numbers = sorted({number for _, number, _ in lists}, key=int)
    split_of = {mark: split for split, mark in rule.marks}
    table = SplitTable(videos)
    for name, number, path in lists:
        for listed, mark in _lines(path):
            split = split_of.get(mark)
            table.add([f"{name}/{listed}"], None if split is None else f"{split}{number}")
    splits = [f"{split}{number}" for number in numbers for split, _ in rule.marks]
    source = f"{len(lists)} list files in {printable(os.fspath(folder))}"
    return table.result(splits, source, _note_absent(lists, numbers, folder))


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and mark of each line; names may hold spaces."""
    for line in read_lines(path):
        found = split_number(line)
        if found is None:
            raise DatasetError(f"expected lines such as `name.avi 1` in {path}, found {printable(line)!r}")
        yield unquote(found[0]), found[1]


def _note_absent(lists: Sequence[tuple[str, str, Path]], numbers: Sequence[str], folder: Path) -> list[str]:
    """Say which classes have fewer lists than others."""
    classes = sorted({name for name, _, _ in lists})
    there = {(name, number) for name, number, _ in lists}
    absent = [f"{name} {number}" for name in classes for number in numbers if (name, number) not in there]
    if not absent:
        return []
    return [f"{len(absent)} lists (class and split) are not in {folder}: {first_names(absent)}"]
