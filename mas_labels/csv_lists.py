"""Splits as Kinetics has them: a CSV file a split, with a row for each video and its class."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from mas_labels.errors import DatasetError
from mas_labels.folder import printable, split_extension
from mas_labels.split_rules import CsvRule
from mas_labels.split_table import PathMatches, Splits, read_text


def find_csv(rule: CsvRule, folder: Path) -> dict[str, Path]:
    """Return the CSV file of each split that has one in a folder.

    Raises
    ------
    DatasetError
        Two files fit one split.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:  # one of several places to look in: it need not be there
        return {}
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


def read_csv_lists(rule: CsvRule, extensions: Sequence[str], matches: PathMatches, folder: Path) -> Splits:
    """Read all CSV files of a folder.

    A row is matched with a video by the file's name alone, case included (YouTube's ids need it); the folder
    does not count. A missing video is given the path `<class>/<name>` with the first of the extensions.

    Raises
    ------
    DatasetError
        A file cannot be read, lacks a column, or has a row that does not fit.
    """
    files = find_csv(rule, folder)
    on_disk: dict[str, list[str]] = {}
    for path in matches:
        on_disk.setdefault(PurePosixPath(split_extension(path)[0]).name, []).append(path)
    splits_of: dict[str, list[str]] = {}
    classes: dict[str, str] = {}
    for split, file in files.items():
        for name, class_name in _rows(rule, file):
            for path in on_disk.get(name, [f"{class_name}/{name}{extensions[0]}"]):
                splits = splits_of.setdefault(path, [])
                splits.extend([split] if split not in splits else [])
                classes[path] = class_name
    absent = [split for split, _ in rule.files if split not in files]
    return Splits(
        names=tuple(files),
        by_path={path: tuple(splits) for path, splits in splits_of.items()},
        missing=tuple(sorted(splits_of.keys() - matches.keys())),
        source=f"{', '.join(file.name for file in files.values())} in {printable(os.fspath(folder))}",
        notes=(f"no CSV file found for {', '.join(absent)} in {folder}",) if absent else (),
        classes=classes,
    )


class _Cell(str):
    """A cell that can be formatted as a number: 17 in the table is 000017 in the file's name."""

    def __format__(self, how: str) -> str:
        return format(int(self), how) if how.endswith("d") else str.__format__(self, how)


def _rows(rule: CsvRule, path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and class of each row."""
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    for row in rows:
        cells = {column: _Cell(value) for column, value in row.items() if column and value}
        try:
            yield rule.name.format_map(cells), str(cells[rule.class_column])
        except (KeyError, ValueError) as error:
            raise DatasetError(
                f"expected columns for {rule.name} and {rule.class_column} in {path}, found in line "
                f"{rows.line_num}: {printable(str(dict(row)))} ({type(error).__name__}: {error})"
            ) from error
