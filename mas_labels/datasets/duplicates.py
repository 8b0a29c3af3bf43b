"""Keeps one file of each video, where list files name videos and several files have the same name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mas_labels.datasets.folder import split_extension
from mas_labels.datasets.manifest import Manifest
from mas_labels.datasets.path_match import PathParts
from mas_labels.datasets.split_lists import file_stem
from mas_labels.datasets.split_rules import CsvRule, ListsRule, MarkedListsRule
from mas_labels.datasets.split_table import Splits
from mas_labels.names import first_names, printable


def clear_replacements(manifest: Manifest, videos: Mapping[str, PathParts]) -> dict[str, PathParts]:
    """Remove class, split and group, as read from the path, from videos in a folder of replacements."""
    folders = _replacement_folders(manifest)
    return {
        path: PathParts(None, None, None, parts.name) if folders.intersection(path.split("/")[:-1]) else parts
        for path, parts in videos.items()
    }


def drop_duplicates(
    manifest: Manifest, videos: Mapping[str, PathParts], splits: Splits
) -> tuple[dict[str, PathParts], Splits, list[str]]:
    """Keep one file of each video.

    If the manifest reads list files, files with the same name are one video (`PathParts.name`; with a rule
    for CSV files, the name without any folder). A file that a list names with its extension is kept.
    Otherwise the one in a folder of replacements is kept, else the one whose extension comes first in the
    manifest, else the least nested one, else the first by its path. It gets the splits of all of them.

    Returns
    -------
    videos, splits, notes
    """
    by_csv = any(isinstance(rule, CsvRule) for rule in manifest.splits)
    if not by_csv and not any(isinstance(rule, ListsRule | MarkedListsRule) for rule in manifest.splits):
        return dict(videos), splits, []
    files: dict[str, list[str]] = {}
    for path, parts in videos.items():
        files.setdefault(file_stem(parts) if by_csv else parts.name, []).append(path)
    kept, by_path, left_out = dict(videos), dict(splits.by_path), dict[str, str]()
    for paths in files.values():
        if len(paths) == 1 or splits.exact.issuperset(paths):
            continue
        best = min(paths, key=lambda path: (path not in splits.exact, _rank(path, manifest)))
        names = [videos[path].class_name for path in (best, *paths)]
        kept[best] = replace(videos[best], class_name=next(filter(None, names), None))
        members = {split for path in paths for split in splits.of(path)}
        by_path[best] = tuple(split for split in splits.names if split in members)
        for path in set(paths) - splits.exact - {best}:
            del kept[path]
            by_path.pop(path, None)
            left_out[path] = best
    if not left_out:
        return kept, splits, []
    first = min(left_out)
    note = (
        f"{len(left_out)} files are duplicates of a video and left out: {first_names(sorted(left_out))} "
        f"({printable(left_out[first])} is used instead of the first)"
    )
    return kept, replace(splits, by_path=by_path), [note]


def _rank(path: str, manifest: Manifest) -> tuple[bool, int, int, str]:
    """Return the sort key of the files of one video: the first is kept."""
    extension = split_extension(path)[1]
    order = manifest.extensions
    return (
        _replacement_folders(manifest).isdisjoint(path.split("/")[:-1]),
        order.index(extension) if extension in order else len(order),
        path.count("/"),
        path,
    )


def _replacement_folders(manifest: Manifest) -> set[str | None]:
    """Return the names of the folders of replacements."""
    return {rule.replacements for rule in manifest.splits if isinstance(rule, CsvRule)} - {None}
