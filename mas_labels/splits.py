"""Train and test splits (official list files, group numbers, or the path itself) and the order of classes.

Each rule of a recipe (`mas_labels.split_rules`) has one reader: here, in `mas_labels.marked_lists` or in
`mas_labels.csv_lists`.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from mas_labels.csv_lists import find_csv, read_csv_lists
from mas_labels.errors import ConfigError, DatasetError
from mas_labels.folder import first_names, printable, split_extension
from mas_labels.marked_lists import find_marked_lists, read_marked_lists
from mas_labels.recipe import Manifest
from mas_labels.recipe_keys import is_file_name
from mas_labels.split_rules import CsvRule, GroupsRule, ListsRule, MarkedListsRule, PathRule, SplitRule
from mas_labels.split_table import PathMatches, Splits, SplitTable, fold_name, read_lines


def list_folders(manifest: Manifest, root: Path, splits_dir: Path | None) -> list[Path]:
    """Return the folders in which list files are looked for, the best first.

    Raises
    ------
    ConfigError
        `splits_dir` was given to a recipe that reads no list files.
    DatasetError
        `splits_dir` was given and has none of the recipe's list files.
    """
    near_root = [root / folder for folder in manifest.list_folders]
    if splits_dir is None:
        return near_root
    wanted = [name for rule in manifest.splits for name in _list_names(rule)]
    if not wanted:
        raise ConfigError(f"the recipe {manifest.name} reads no list files; leave out the folder of splits")
    near_splits = [splits_dir / folder for folder in manifest.list_folders]
    if not any(_has_lists(rule, folder) for folder in near_splits for rule in manifest.splits):
        raise DatasetError(
            f"expected list files such as {wanted[0]} in {splits_dir}, found none. Give the folder they lie "
            f"in, or leave it out"
        )
    return near_splits + near_root


def read_splits(manifest: Manifest, matches: PathMatches, folders: Sequence[Path]) -> Splits:
    """Apply the first rule of the recipe that can be applied.

    Raises
    ------
    DatasetError
        No rule applies: all need list files and there are none.
    """
    for rule in manifest.splits:
        if isinstance(rule, GroupsRule):
            return _read_groups(rule, matches)
        if isinstance(rule, PathRule):
            return _read_path(matches)
        # the first folder with any of the lists: lists of two folders are never mixed
        folder = next((folder for folder in folders if _has_lists(rule, folder)), None)
        if folder is None:
            continue
        if isinstance(rule, MarkedListsRule):
            return read_marked_lists(rule, matches, folder)
        if isinstance(rule, CsvRule):
            return read_csv_lists(rule, manifest.extensions, matches, folder)
        return _read_lists(rule, manifest, matches, folder)
    if not manifest.splits:
        return Splits()
    names = [name for rule in manifest.splits for name in _list_names(rule)]
    looked = ", ".join(str(folder) for folder in folders)
    raise DatasetError(f"{manifest.name}: found none of {', '.join(names)} in {looked}. Give their folder")


def _list_names(rule: SplitRule) -> list[str]:
    """Return the names of a rule's list files, for people."""
    if isinstance(rule, MarkedListsRule):
        return [rule.files]
    return [name for _, name in rule.files] if isinstance(rule, ListsRule | CsvRule) else []


def _has_lists(rule: SplitRule, folder: Path) -> bool:
    """Say whether a folder holds any list file of a rule."""
    if isinstance(rule, MarkedListsRule):
        return bool(find_marked_lists(rule, folder))
    if isinstance(rule, CsvRule):
        return bool(find_csv(rule, folder))
    return any((folder / name).is_file() for name in _list_names(rule))


def _read_lists(rule: ListsRule, manifest: Manifest, matches: PathMatches, folder: Path) -> Splits:
    absent = [name for _, name in rule.files if not (folder / name).is_file()]
    present = [(split, name) for split, name in rule.files if name not in absent]
    table = SplitTable(matches)
    for split, name in present:
        for line in read_lines(folder / name):
            table.add(_path_in_line(line, manifest.extensions), split)
    notes = [f"list files not found in {folder}: {', '.join(absent)}"] if absent else []
    source = f"list files in {printable(os.fspath(folder))}"
    return table.result([split for split, _ in present], source, notes)


def _path_in_line(line: str, extensions: tuple[str, ...]) -> str:
    """Return the path of `path class` or `path`; names may hold spaces.

    The number of the class is not read: the class comes from the path.
    """
    found = re.fullmatch(r"(.+?)[ \t]+\d+", line)
    return found[1] if found and split_extension(found[1])[1] in extensions else line


def _read_groups(rule: GroupsRule, matches: PathMatches) -> Splits:
    numbers = {path: match["group"] for path, match in matches.items()}
    by_path = {
        path: tuple(split for split, members in rule.groups if int(number) in members)
        for path, number in numbers.items()
        if number is not None and number.isdecimal()
    }
    return Splits(tuple(split for split, _ in rule.groups), by_path, source="group numbers in the file names")


def _read_path(matches: PathMatches) -> Splits:
    """Take each video's split from its path; raise `DatasetError` if it cannot name a file."""
    by_path = {path: (match["split"],) for path, match in matches.items() if match["split"] is not None}
    names = sorted({split for splits in by_path.values() for split in splits})
    bad = [name for name in names if not is_file_name(name)]
    if bad:
        raise DatasetError(
            f"the name of a split becomes part of shards' file names: expected letters, digits, '_', '.' and "
            f"'-', found {first_names(bad)}. Change the recipe's `path`, or rename the folder"
        )
    return Splits(tuple(names), by_path, source="folder names")


def order_classes(
    manifest: Manifest, here: set[str], labels: Collection[str], folders: Sequence[Path]
) -> tuple[tuple[str, ...], list[str]]:
    """Return the classes in order, and notes.

    Those of the recipe's class list first, in its order; then the others, alphabetically ignoring case.

    Parameters
    ----------
    manifest
        The recipe.
    here
        Names of classes on disk.
    labels
        Names of classes in the splits' files; a name on disk that differs from one of them only in case or
        in underscores for spaces is that class.
    folders
        Where the class list is looked for.

    Raises
    ------
    DatasetError
        The class list is empty or names a class twice.
    """
    listed, notes = _find_class_list(manifest, folders)
    known = {fold_name(name) for name in listed}
    labelled = {fold_name(name) for name in labels}
    names = set(labels) | {name for name in here if fold_name(name) not in labelled}
    others = sorted((n for n in names if fold_name(n) not in known), key=lambda n: (fold_name(n), n))
    if listed and others:
        notes.append(
            f"{len(others)} classes on disk are not in {manifest.class_list} and come after it: "
            f"{first_names(others)}"
        )
    alike = [b for a, b in itertools.pairwise(others) if fold_name(a) == fold_name(b)]
    if alike:
        notes.append(
            f"{len(alike)} classes differ from another in case or underscores only: {first_names(alike)}"
        )
    return (*listed, *others), notes


def _find_class_list(manifest: Manifest, folders: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return the classes of the recipe's class list, and notes."""
    if manifest.class_list is None:
        return [], []
    path = next((f / manifest.class_list for f in folders if (f / manifest.class_list).is_file()), None)
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
    if not names or len({name.lower() for name in names}) < len(names):
        raise DatasetError(f"expected a list of different classes in {path}, found {len(names)}, some twice")
    return names
