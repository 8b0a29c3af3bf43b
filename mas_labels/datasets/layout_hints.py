"""Hints for videos or lists that do not match a manifest; each is tried out before it is given."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mas_labels.datasets.manifest import Manifest
from mas_labels.datasets.path_match import PathParts, match_paths, read_paths
from mas_labels.datasets.split_table import Splits, path_key
from mas_labels.names import first_names, fold_name, printable

MAX_PATHS_TRIED: Final = 1000
"""Paths that a hint is tried out with."""
SPLIT_NAMES: Final = frozenset(
    {"train", "training", "val", "valid", "validation", "validate", "test", "testing"}
)


def suggest_root(manifest: Manifest, root: Path, unmatched: Sequence[str], none_match: bool) -> str:
    """Return the end of a message that suggests another root, or an empty text.

    Parameters
    ----------
    manifest, root
        The manifest and the root that was given.
    unmatched
        Paths of videos that the manifest's `path` does not match.
    none_match
        Whether no video matches; otherwise a higher root would lose those that do.
    """
    tried, root_path = unmatched[:MAX_PATHS_TRIED], _absolute(root)
    above = [f"{root_path.name}/{path}" for path in tried]
    matched = read_paths(manifest.path, above, manifest.extensions)
    if none_match and len(matched) == len(above):
        if len(above) > 1 and {parts.class_name for parts in matched.values()} == {root_path.name}:
            return (
                f". If {root_path.name} is their class, the root is {root_path.parent}; else give each class "
                "its own folder"
            )
        return f". They match if the root is {root_path.parent}"
    folders = {path.partition("/")[0] for path in tried}
    below = {path.partition("/")[2] for path in tried}
    if len(match_paths(manifest.path, below, manifest.extensions)) < len(below):
        return ". Rename them, or describe their paths in your own manifest" if none_match else ""
    if len(folders) == 1:
        return f". They match if the root is {root / folders.pop()}"
    roots = first_names(sorted(folders))
    return f". They match without their first folder: give each of these as a root: {roots}"


def _absolute(root: Path) -> Path:
    """Return the whole path of a root, whose last part is a name also if it was given as ``..``."""
    return Path(os.path.abspath(root))  # noqa: PTH100 - links keep their names


def note_lists(videos: Mapping[str, PathParts], splits: Splits) -> list[str]:
    """Return sentences on how the names in list files differ from the paths on disk."""
    if not splits.missing:
        return []
    free = {path_key(path)[-1]: path for path in sorted(videos, reverse=True) if not splits.of(path)}
    moved = [(name, free[path_key(name)[-1]]) for name in splits.missing if path_key(name)[-1] in free]
    if moved:
        listed, on_disk = map(printable, moved[0])
        return [
            f"{len(moved)} listed videos differ from others on disk in folder or case: listed {listed}, "
            f"on disk {on_disk}"
        ]
    if any(splits.of(path) for path in videos):
        return []
    return [
        f"no name in the lists is on disk: listed, for example, {printable(splits.missing[0])}, on disk "
        f"{printable(min(videos))}"
    ]


def note_split_folders(root: Path, videos: Mapping[str, PathParts]) -> list[str]:
    """Return a sentence on class folders that have the names of splits, if any."""
    above: dict[str, set[str]] = {}  # parents of the folders with such a name
    for path, parts in videos.items():
        if parts.class_name and fold_name(parts.class_name) in SPLIT_NAMES:
            folder = path.rpartition(parts.name)[0].rstrip("/")
            above.setdefault(parts.class_name, set()).add(folder)
    if not any(fold_name(name).startswith("train") for name in above):
        return []
    folders = set().union(*above.values())
    remedy = f"use the manifest split_folders and the root {printable(str(root / min(folders)))}"
    if len(folders) > 1:
        remedy = (
            "write your own manifest, with path: '(?P<class>[^/]+)/(?P<split>[^/]+)/.+' and splits: "
            "[{by: path}]"
        )
    return [f"{first_names(sorted(above))} are read as classes: if they are splits, {remedy}"]


def note_level(manifest: Manifest, root: Path, videos: Mapping[str, PathParts]) -> list[str]:
    """Suggest a root with several classes, if with this root all videos have one class, or none."""
    tried, root_path = list(videos)[:MAX_PATHS_TRIED], _absolute(root)
    classes = {parts.class_name for parts in videos.values()}
    if classes == {None}:
        splits = sorted({parts.split for parts in videos.values() if parts.split})
        found = _classes_of(manifest, [f"{root_path.name}/{path}" for path in tried])
        if splits and len(found) > 1:
            return [
                f"no video has a class: if {first_names(splits)} are classes, not splits, the root is "
                f"{printable(str(root_path.parent))}"
            ]
    folders = {path.partition("/")[0] for path in tried}
    if len(folders) == 1 and classes == folders:
        below = _classes_of(manifest, [path.partition("/")[2] for path in tried])
        if len(below) > 1:
            return [
                f"all videos are in {printable(folders.pop())}, which is read as their class: with it as the "
                f"root there are {len(below)} classes"
            ]
    return []


def _classes_of(manifest: Manifest, paths: Sequence[str]) -> set[str]:
    """Return the classes of some paths; no class if one of them has none."""
    found = read_paths(manifest.path, paths, manifest.extensions)
    classes = {parts.class_name for parts in found.values()}
    return {name for name in classes if name} if len(found) == len(paths) and None not in classes else set()
