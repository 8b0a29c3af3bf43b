"""Hints at what differs where videos or lists do not fit a manifest; each is tried before it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mas_labels.datasets.manifest import Manifest
from mas_labels.datasets.path_match import PathParts, match_paths, read_paths
from mas_labels.datasets.split_table import Splits, path_key
from mas_labels.names import first_names, fold_name, printable

MAX_TRIED: Final = 1000
"""Paths that a hint is tried with."""
SPLIT_NAMES: Final = frozenset(
    {"train", "training", "val", "valid", "validation", "validate", "test", "testing"}
)


def hint_root(manifest: Manifest, root: Path, strangers: Sequence[str], alone: bool) -> str:
    """Return which root would fit, or nothing.

    Parameters
    ----------
    manifest, root
        The manifest and the root that was given.
    strangers
        Paths of videos that do not lie where the manifest says.
    alone
        Whether there are no others: else a higher root would lose these.
    """
    tried, here = strangers[:MAX_TRIED], root.absolute()
    above = [f"{here.name}/{path}" for path in tried]
    fitting = read_paths(manifest.path, above, manifest.extensions)
    if alone and len(fitting) == len(above):
        if len(above) > 1 and {parts.class_name for parts in fitting.values()} == {here.name}:
            return (
                f". If {here.name} is their class, the root is {here.parent}; else give each class a folder "
                "of its own"
            )
        return f". They fit if the root is {here.parent}"
    folders = {path.partition("/")[0] for path in tried}
    below = {path.partition("/")[2] for path in tried}
    if len(match_paths(manifest.path, below, manifest.extensions)) < len(below):
        return ". Rename them, or describe where they lie in a manifest of your own" if alone else ""
    if len(folders) == 1:
        return f". They fit if the root is {root / folders.pop()}"
    return (
        f". They fit without their first folder: give each of these as a root: {first_names(sorted(folders))}"
    )


def note_lists(videos: Mapping[str, PathParts], splits: Splits) -> list[str]:
    """Say what differs between names in lists and paths on disk."""
    if not splits.missing:
        return []
    free = {path_key(path)[-1]: path for path in sorted(videos, reverse=True) if not splits.of(path)}
    moved = [(name, free[path_key(name)[-1]]) for name in splits.missing if path_key(name)[-1] in free]
    if moved:
        listed, here = map(printable, moved[0])
        return [
            f"{len(moved)} listed videos differ from others here in folder or case: listed {listed}, "
            f"here {here}"
        ]
    if any(splits.of(path) for path in videos):
        return []
    return [
        f"no name in the lists is on disk: listed is for example {printable(splits.missing[0])}, here lies "
        f"{printable(min(videos))}"
    ]


def note_split_folders(root: Path, videos: Mapping[str, PathParts]) -> list[str]:
    """Say that folders taken for classes are named as splits are."""
    above: dict[str, set[str]] = {}  # the folders that such a folder lies in
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
            "write a manifest of your own, with path: '(?P<class>[^/]+)/(?P<split>[^/]+)/.+' and splits: "
            "[{by: path}]"
        )
    return [f"{first_names(sorted(above))} are taken for classes: if they are splits, {remedy}"]


def note_level(manifest: Manifest, root: Path, videos: Mapping[str, PathParts]) -> list[str]:
    """Say that another root would tell several classes apart where all videos have one, or none."""
    tried, here = list(videos)[:MAX_TRIED], root.absolute()
    classes = {parts.class_name for parts in videos.values()}
    if classes == {None}:
        splits = sorted({parts.split for parts in videos.values() if parts.split})
        found = _classes_of(manifest, [f"{here.name}/{path}" for path in tried])
        if splits and len(found) > 1:
            return [
                f"no video has a class: if {first_names(splits)} are classes and no splits, the root is "
                f"{printable(str(here.parent))}"
            ]
    folders = {path.partition("/")[0] for path in tried}
    if len(folders) == 1 and classes == folders:
        below = _classes_of(manifest, [path.partition("/")[2] for path in tried])
        if len(below) > 1:
            return [
                f"all videos lie in {printable(folders.pop())}, which is taken for their class: with it as "
                f"the root there are {len(below)} classes"
            ]
    return []


def _classes_of(manifest: Manifest, paths: Sequence[str]) -> set[str]:
    """Return the classes of some paths, none if one of them has none."""
    found = read_paths(manifest.path, paths, manifest.extensions)
    classes = {parts.class_name for parts in found.values()}
    return {name for name in classes if name} if len(found) == len(paths) and None not in classes else set()
