"""Splits as Kinetics has them: a CSV file a split, with a row for each video and its class."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from mas_labels.datasets.folder import names_in
from mas_labels.datasets.list_files import read_lines, read_text, split_number, unquote
from mas_labels.datasets.path_match import PathParts
from mas_labels.datasets.split_rules import CsvRule, MarkedListsRule
from mas_labels.datasets.split_table import Splits, SplitTable
from mas_labels.errors import DatasetError
from mas_labels.names import first_names, fold_name, printable


def find_csv(rule: CsvRule, folder: Path) -> dict[str, Path]:
    """Return the CSV file of each split that has one in a folder.

    Raises
    ------
    DatasetError
        Two files fit one split, or the folder cannot be read.
    """
    names = names_in(folder)
    found: dict[str, Path] = {}
    for split, pattern in rule.files:
        fitting = [name for name in names if fnmatch(name, pattern)]
        if len(fitting) > 1:
            raise DatasetError(
                f"expected one file {pattern} in {folder} for the split {split}, found "
                f"{', '.join(fitting)}. Leave one of them there"
            )
        if fitting:
            found[split] = folder / fitting[0]
    return found


def read_csv_lists(
    rule: CsvRule, extensions: Sequence[str], videos: Mapping[str, PathParts], folder: Path
) -> Splits:
    """Read all CSV files of a folder.

    A row is matched with a video by the file's name alone, case included (YouTube's ids need it); the folder
    does not count. A missing video is given the path `<class>/<name>` with the first of the extensions. A row
    without a class gives its video none; nor does a folder called as a split give one to a video without row.

    Raises
    ------
    DatasetError
        A file cannot be read, lacks a column, or has a row that does not fit.
    """
    files = find_csv(rule, folder)
    on_disk: dict[str, list[str]] = {}
    for path, parts in videos.items():
        on_disk.setdefault(file_stem(parts), []).append(path)
    splits_of: dict[str, list[str]] = {}
    classes: dict[str, str | None] = {}
    torn: dict[str, str] = {}  # videos with several classes
    absent = [split for split, _ in rule.files if split not in files]
    notes = [f"no CSV file found for {', '.join(absent)} in {folder}"] if absent else []
    for split, file in files.items():
        without = 0
        for name, class_name in _rows(rule, file):
            without += class_name is None
            missing = "/".join(filter(None, (class_name, f"{name}{extensions[0]}")))
            for path in on_disk.get(name, [missing]):
                splits = splits_of.setdefault(path, [])
                splits.extend([split] if split not in splits else [])
                before = classes.get(path)
                if class_name and before and fold_name(class_name) != fold_name(before):
                    torn[path] = f"{before}, {class_name}"
                classes[path] = class_name or before
        if without:
            notes.append(
                f"{without} rows of {file.name} have no {rule.class_column}: no class for their videos"
            )
    if torn:
        path = min(torn)
        notes.append(
            f"{len(torn)} videos have rows of several classes, the last is taken: {printable(path)} "
            f"({printable(torn[path])})"
        )
    return Splits(
        names=tuple(files),
        by_path={path: tuple(splits) for path, splits in splits_of.items()},
        missing=tuple(sorted(splits_of.keys() - videos.keys())),
        source=f"{', '.join(file.name for file in files.values())} in {printable(os.fspath(folder))}",
        notes=tuple(notes),
        classes={**dict.fromkeys(_in_folders_of_splits(rule, videos)), **classes},
    )


def _in_folders_of_splits(rule: CsvRule, videos: Mapping[str, PathParts]) -> list[str]:
    """Return the videos whose class would be a split's name."""
    splits = {fold_name(split) for split, _ in rule.files}
    return [
        path for path, parts in videos.items() if parts.class_name and fold_name(parts.class_name) in splits
    ]


def file_stem(parts: PathParts) -> str:
    """Return the name of a video's file without folder and extension."""
    return parts.name.rpartition("/")[2]


class _Cell(str):
    """A cell that can be formatted as a number: 17, or 17.0, in the table is 000017 in the file's name."""

    def __format__(self, how: str) -> str:
        if not how.endswith("d"):
            return str.__format__(self, how)
        if not float(self).is_integer():
            raise ValueError(f"{self!s} is not a whole number")
        return format(int(float(self)), how)


def _rows(rule: CsvRule, path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield name and class of each row; None for a class that is not there."""
    text = read_text(path)
    head = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    for row in rows:
        cells = {column.strip(): _Cell(value.strip()) for column, value in row.items() if column and value}
        try:
            class_name = cells.get(rule.class_column)
            yield rule.name.format_map(cells), str(class_name) if class_name else None
        except (KeyError, ValueError) as error:
            reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
            raise DatasetError(
                f"expected columns for {rule.name} in {path}, found in line {rows.line_num}: "
                f"{printable(str(dict(row)))} ({reason}). Mend the table, or describe it in a manifest of "
                "your own"
            ) from error


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
