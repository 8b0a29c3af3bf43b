"""Reads splits and classes from list files: plain (UCF101), marked (HMDB51) and CSV (Kinetics)."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mas_labels.datasets.folder import is_file, names_in
from mas_labels.datasets.list_files import (
    names_in_line,
    read_lines,
    read_text,
    separator_of,
    split_number,
    unquote,
)
from mas_labels.datasets.path_match import PathParts
from mas_labels.datasets.split_rules import CsvRule, ListsRule, MarkedListsRule
from mas_labels.datasets.split_table import Splits, SplitTable
from mas_labels.errors import DatasetError
from mas_labels.names import first_names, fold_name, printable


def read_plain_lists(
    rule: ListsRule, extensions: Sequence[str], videos: Mapping[str, PathParts], folder: Path
) -> Splits:
    """Read the list files in a folder, one per split; a line is a path and perhaps numbers.

    Raises
    ------
    DatasetError
        A list cannot be read.
    """
    absent = [name for _, name in rule.files if not is_file(folder / name)]
    present = [(split, name) for split, name in rule.files if name not in absent]
    table = SplitTable(videos)
    for split, name in present:
        for line in read_lines(folder / name):
            table.add(names_in_line(line, extensions), split)
    notes = [f"list files not found in {folder}: {', '.join(absent)}"] if absent else []
    source = f"list files in {printable(os.fspath(folder))}"
    return table.result([split for split, _ in present], source, notes)


def find_marked_lists(rule: MarkedListsRule, folder: Path) -> list[tuple[str, str, Path]]:
    """Return (class, number, file) of every marked list in a folder, sorted by name."""
    pattern = re.escape(rule.files)
    for name, expression in (("class", ".+"), ("number", r"\d+")):
        pattern = pattern.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>{expression})")
    found = ((re.fullmatch(pattern, name), name) for name in names_in(folder))
    return [(match["class"], match["number"], folder / name) for match, name in found if match]


def read_marked_lists(rule: MarkedListsRule, videos: Mapping[str, PathParts], folder: Path) -> Splits:
    """Read the marked lists of a folder; a video is in the folder of its class.

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
        for listed, mark in _read_marks(path):
            split = split_of.get(mark)
            table.add([f"{name}/{listed}"], None if split is None else f"{split}{number}")
    splits = [f"{split}{number}" for number in numbers for split, _ in rule.marks]
    source = f"{len(lists)} list files in {printable(os.fspath(folder))}"
    return table.result(splits, source, _note_absent(lists, numbers, folder))


def _read_marks(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the mark in each line; names may contain spaces."""
    for line in read_lines(path):
        found = split_number(line)
        if found is None:
            raise DatasetError(f"expected lines such as `name.avi 1` in {path}, found {printable(line)!r}")
        yield unquote(found[0]), found[1]


def _note_absent(lists: Sequence[tuple[str, str, Path]], numbers: Sequence[str], folder: Path) -> list[str]:
    """Return a sentence on the classes that have fewer lists than others, if any."""
    classes = sorted({name for name, _, _ in lists})
    present = {(name, number) for name, number, _ in lists}
    absent = [f"{name} {number}" for name in classes for number in numbers if (name, number) not in present]
    if not absent:
        return []
    return [f"{len(absent)} lists (class and split) are not in {folder}: {first_names(absent)}"]


def find_csv(rule: CsvRule, folder: Path) -> dict[str, Path]:
    """Find the CSV file of each split in a folder; splits without one are left out.

    Raises
    ------
    DatasetError
        Two files match one split, or the folder cannot be read.
    """
    names = names_in(folder)
    found: dict[str, Path] = {}
    for split, pattern in rule.files:
        matching = [name for name in names if fnmatch(name.lower(), pattern.lower())]
        if len(matching) > 1:
            raise DatasetError(
                f"expected one file {pattern} in {folder} for the split {split}, found "
                f"{', '.join(matching)}. Keep one of them there"
            )
        if matching:
            found[split] = folder / matching[0]
    return found


def read_csv_lists(
    rule: CsvRule, extensions: Sequence[str], videos: Mapping[str, PathParts], folder: Path
) -> Splits:
    """Read the CSV files of a folder, one per split; a row names a video and its class.

    A row is matched with a video by the name of the file alone, case-sensitively, as YouTube's ids need it;
    the folder is ignored. The first of its names that is on disk counts. A video that is missing on disk gets
    the path `<class>/<name>` with the first of its names and of the extensions. A video has no class if its
    row has none, or if it has no row and its folder has the name of a split.

    Raises
    ------
    DatasetError
        A file cannot be read, lacks a column, or has an invalid row.
    """
    files = find_csv(rule, folder)
    on_disk: dict[str, list[str]] = {}
    for path, parts in videos.items():
        on_disk.setdefault(file_stem(parts), []).append(path)
    splits_of: dict[str, list[str]] = {}
    classes: dict[str, str | None] = {}
    conflicts: dict[str, str] = {}  # videos with several classes
    absent = [split for split, _ in rule.files if split not in files]
    notes = [f"no CSV file found for {', '.join(absent)} in {folder}"] if absent else []
    for split, file in files.items():
        unclassified = 0
        for names, class_name in _read_csv_rows(rule, file):
            unclassified += class_name is None
            missing = "/".join(filter(None, (class_name, f"{names[0]}{extensions[0]}")))
            for path in next((on_disk[name] for name in names if name in on_disk), [missing]):
                splits = splits_of.setdefault(path, [])
                splits.extend([split] if split not in splits else [])
                before = classes.get(path)
                if class_name and before and fold_name(class_name) != fold_name(before):
                    conflicts[path] = f"{before}, {class_name}"
                classes[path] = class_name or before
        if unclassified:
            notes.append(
                f"{unclassified} rows of {file.name} have no {rule.class_column}: their videos have no class"
            )
    notes += _note_conflicts(conflicts)
    return Splits(
        names=tuple(files),
        by_path={path: tuple(splits) for path, splits in splits_of.items()},
        missing=tuple(sorted(splits_of.keys() - videos.keys())),
        source=f"{', '.join(file.name for file in files.values())} in {printable(os.fspath(folder))}",
        notes=tuple(notes),
        classes={**dict.fromkeys(_in_split_folders(rule, videos)), **classes},
    )


def _note_conflicts(conflicts: Mapping[str, str]) -> list[str]:
    """Return a sentence on the videos with several classes, if any; `conflicts` has their classes by path."""
    if not conflicts:
        return []
    path = min(conflicts)
    return [
        f"{len(conflicts)} videos have rows with several classes; the last one is used: "
        f"{printable(path)} ({printable(conflicts[path])})"
    ]


def _in_split_folders(rule: CsvRule, videos: Mapping[str, PathParts]) -> list[str]:
    """Return the videos whose class folder is named like a split."""
    splits = {fold_name(split) for split, _ in rule.files}
    return [
        path for path, parts in videos.items() if parts.class_name and fold_name(parts.class_name) in splits
    ]


def file_stem(parts: PathParts) -> str:
    """Return the name of a video's file, without folder and extension."""
    return parts.name.rpartition("/")[2]


class _Cell(str):
    """A cell that can be formatted as a number: 17 or 17.0 in the table is 000017 in the name of a file."""

    def __format__(self, spec: str) -> str:
        if not spec.endswith("d"):
            return str.__format__(self, spec)
        if not float(self).is_integer():
            raise ValueError(f"{self!s} is not a whole number")
        return format(int(float(self)), spec)


def _read_csv_rows(rule: CsvRule, path: Path) -> Iterator[tuple[list[str], str | None]]:
    """Yield the names that the video may have, and its class (or None), in each row of a CSV file."""
    text = read_text(path)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator_of(text))
    row: dict[str | Any, str | Any] = {}
    try:
        for row in rows:
            cells = {name.strip(): _Cell(value.strip()) for name, value in row.items() if name and value}
            cells = {name.lower(): value for name, value in cells.items()} | cells
            class_name = cells.get(rule.class_column)
            yield _names_of(rule, cells), str(class_name) if class_name else None
    except (csv.Error, KeyError, ValueError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise DatasetError(
            f"expected columns for {rule.names[0]} in {path}, found in line {rows.line_num}: "
            f"{printable(str(row)):.200} ({reason}). Fix the table, or describe it in your own manifest"
        ) from error


def _names_of(rule: CsvRule, cells: Mapping[str, _Cell]) -> list[str]:
    """Return the names that follow from the columns of a row; raise `KeyError` if there are none."""
    names, missing = [], None
    for name in rule.names:
        try:
            names.append(name.format_map(cells))
        except KeyError as error:
            missing = missing or error
    if missing and not names:
        raise missing
    return names
