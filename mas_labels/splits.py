"""Train and test splits (official list files, group numbers, or the path itself) and the order of classes.

Each rule of a recipe (`mas_labels.recipe`) has one reader here; a new form of split file (HMDB51's
`<class>_test_split1.txt`, Kinetics' csv) is a rule there and a reader beside `_read_lists`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.folder import first_names, printable, split_extension
from mas_labels.recipe import GroupsRule, ListsRule, Manifest, PathRule, is_file_name

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
    """

    names: tuple[str, ...] = ()
    by_path: Mapping[str, tuple[str, ...]] | None = None
    missing: tuple[str, ...] = ()
    source: str = "no splits"
    notes: tuple[str, ...] = ()

    def of(self, path: str) -> tuple[str, ...]:
        """Return the splits of a video."""
        return self.by_path.get(path, ()) if self.by_path is not None else ()


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
    wanted = [name for rule in manifest.splits if isinstance(rule, ListsRule) for _, name in rule.files]
    if not wanted:
        raise ConfigError(f"the recipe {manifest.name} reads no list files; leave out the folder of splits")
    near_splits = [splits_dir / folder for folder in manifest.list_folders]
    if not any((folder / name).is_file() for folder in near_splits for name in wanted):
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
        folder = _folder_of_lists(rule, folders)
        if folder is not None:
            return _read_lists(rule, manifest, matches, folder)
    if not manifest.splits:
        return Splits()
    names = [name for rule in manifest.splits if isinstance(rule, ListsRule) for _, name in rule.files]
    looked = ", ".join(str(folder) for folder in folders)
    raise DatasetError(f"{manifest.name}: found none of {', '.join(names)} in {looked}. Give their folder")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list file that are not empty; bytes that are not UTF-8 survive.

    Raises
    ------
    DatasetError
        The file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"expected a readable list file at {path}, found: {error.strerror}") from error
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    # not splitlines(): it also cuts at characters that may stand in a name
    return [line.strip(" \t\r") for line in text.split("\n") if line.strip()]


def _folder_of_lists(rule: ListsRule, folders: Sequence[Path]) -> Path | None:
    """Return the first folder with any of the lists: lists of two folders are never mixed."""
    return next((f for f in folders if any((f / name).is_file() for _, name in rule.files)), None)


def _read_lists(rule: ListsRule, manifest: Manifest, matches: PathMatches, folder: Path) -> Splits:
    absent = [name for _, name in rule.files if not (folder / name).is_file()]
    present = [(split, name) for split, name in rule.files if name not in absent]
    notes = [f"list files not found in {folder}: {', '.join(absent)}"] if absent else []
    on_disk = {path.lower(): path for path in matches}
    splits_of: dict[str, list[str]] = {}
    other_case: set[str] = set()
    for split, name in present:
        for line in read_lines(folder / name):
            listed = _path_in_line(line, manifest.extensions)
            path = listed if listed in matches else on_disk.get(listed.lower(), listed)
            if path != listed:
                other_case.add(path)
            if split not in splits_of.setdefault(path, []):
                splits_of[path].append(split)
    if other_case:
        notes.append(f"{len(other_case)} videos differ from the lists in case only, and were taken for them")
    return Splits(
        names=tuple(split for split, _ in present),
        by_path={path: tuple(splits) for path, splits in splits_of.items()},
        missing=tuple(sorted(splits_of.keys() - matches.keys())),
        source=f"list files in {printable(os.fspath(folder))}",
        notes=tuple(notes),
    )


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
    manifest: Manifest, here: set[str | None], folders: Sequence[Path]
) -> tuple[tuple[str, ...], list[str]]:
    """Return the classes in order, and notes.

    Those of the recipe's class list first, in its order; then the others on disk, alphabetically ignoring
    case.

    Raises
    ------
    DatasetError
        The class list is empty or names a class twice.
    """
    on_disk = sorted((name for name in here if name is not None), key=lambda name: (name.lower(), name))
    if manifest.class_list is None:
        return tuple(on_disk), []
    path = next((f / manifest.class_list for f in folders if (f / manifest.class_list).is_file()), None)
    if path is None:
        return tuple(on_disk), [f"no {manifest.class_list} found: classes are numbered as they lie on disk"]
    listed = _read_class_list(path)
    known = {name.lower() for name in listed}
    others = [name for name in on_disk if name.lower() not in known]
    note = f"{len(others)} classes on disk are not in {path.name} and come after it: {first_names(others)}"
    return (*listed, *others), [note] if others else []


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
