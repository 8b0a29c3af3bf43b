"""Assigns videos to train and test splits by the first rule of a manifest that applies.

The rules are `mas_labels.datasets.split_rules`; those that read list files are applied in
`mas_labels.datasets.split_lists`, group numbers and paths here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mas_labels.datasets.folder import is_file
from mas_labels.datasets.manifest import Manifest
from mas_labels.datasets.path_match import PathParts
from mas_labels.datasets.split_lists import (
    find_csv,
    find_marked_lists,
    read_csv_lists,
    read_marked_lists,
    read_plain_lists,
)
from mas_labels.datasets.split_rules import (
    ALL,
    CsvRule,
    GroupsRule,
    ListsRule,
    MarkedListsRule,
    PathRule,
    SplitRule,
    is_file_name,
)
from mas_labels.datasets.split_table import Splits
from mas_labels.errors import ConfigError, DatasetError
from mas_labels.names import first_names


def list_folders(manifest: Manifest, root: Path, splits_dir: Path | None) -> list[Path]:
    """Return the folders to search for list files, those of `splits_dir` first.

    Raises
    ------
    ConfigError
        `splits_dir` is given, but the manifest reads no list files.
    DatasetError
        `splits_dir` has none of the manifest's list files.
    """
    near_root = [root / folder for folder in manifest.list_folders]
    if splits_dir is None:
        return near_root
    names = [name for rule in manifest.splits for name in _list_file_names(rule)]
    if not names:
        raise ConfigError(f"the manifest {manifest.name} reads no list files; leave out the folder of splits")
    near_splits = [splits_dir / folder for folder in manifest.list_folders]
    if not any(_has_lists(rule, folder) for folder in near_splits for rule in manifest.splits):
        raise DatasetError(
            f"expected list files such as {names[0]} in {splits_dir}, found none. Give their "
            f"folder, or leave it out"
        )
    return near_splits + near_root


def read_splits(manifest: Manifest, videos: Mapping[str, PathParts], folders: Sequence[Path]) -> Splits:
    """Apply the first rule of the manifest that applies.

    Raises
    ------
    DatasetError
        No rule applies: all need list files and there are none.
    """
    for rule in manifest.splits:
        if isinstance(rule, GroupsRule):
            return _read_groups(rule, videos)
        if isinstance(rule, PathRule):
            return _read_path(videos)
        # only the first folder that has any of the lists: lists of two folders are never mixed
        folder = next((folder for folder in folders if _has_lists(rule, folder)), None)
        if folder is None:
            continue
        if isinstance(rule, MarkedListsRule):
            return read_marked_lists(rule, videos, folder)
        if isinstance(rule, CsvRule):
            return read_csv_lists(rule, manifest.extensions, videos, folder)
        return read_plain_lists(rule, manifest.extensions, videos, folder)
    if not manifest.splits:
        return Splits()
    names = [name for rule in manifest.splits for name in _list_file_names(rule)]
    searched = ", ".join(str(folder) for folder in folders)
    raise DatasetError(
        f"{manifest.name}: found none of {', '.join(names)} in {searched}. Give their folder with --splits"
    )


def _list_file_names(rule: SplitRule) -> list[str]:
    """Return the names of a rule's list files, for messages."""
    if isinstance(rule, MarkedListsRule):
        return [rule.files]
    return [name for _, name in rule.files] if isinstance(rule, ListsRule | CsvRule) else []


def _has_lists(rule: SplitRule, folder: Path) -> bool:
    """Return whether a folder has any list file of a rule."""
    if isinstance(rule, MarkedListsRule):
        return bool(find_marked_lists(rule, folder))
    if isinstance(rule, CsvRule):
        return bool(find_csv(rule, folder))
    return any(is_file(folder / name) for name in _list_file_names(rule))


def _read_groups(rule: GroupsRule, videos: Mapping[str, PathParts]) -> Splits:
    """Read each video's splits from its group number."""
    by_path = {
        path: tuple(split for split, members in rule.groups if int(parts.group) in members)
        for path, parts in videos.items()
        if parts.group is not None and parts.group.isdecimal()
    }
    return Splits(tuple(split for split, _ in rule.groups), by_path, source="group numbers in the file names")


def _read_path(videos: Mapping[str, PathParts]) -> Splits:
    """Read each video's split from its path; raise `DatasetError` if its name cannot be part of a file's."""
    by_path = {path: (parts.split,) for path, parts in videos.items() if parts.split is not None}
    names = sorted({split for splits in by_path.values() for split in splits})
    unusable = [name for name in names if not is_file_name(name) or name == ALL]
    if unusable:
        raise DatasetError(
            f"the name of a split becomes part of shards' file names: expected letters, digits, '_', '.' and "
            f"'-', not {ALL} (every video), found {first_names(unusable)}. Change the manifest's `path`, "
            f"or rename the folder"
        )
    return Splits(tuple(names), by_path, source="folder names")
