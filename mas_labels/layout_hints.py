"""Hints at what differs where videos or lists do not fit a manifest; each is tried before it is given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from mas_labels.folder import first_names, printable
from mas_labels.path_match import PathParts, match_paths
from mas_labels.recipe import Manifest
from mas_labels.split_table import Splits, fold_name, path_key

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
    if alone and len(match_paths(manifest.path, above, manifest.extensions)) == len(above):
        return f". They fit if the root is {here.parent}"
    folders = {path.partition("/")[0] for path in tried}
    below = {path.partition("/")[2] for path in tried}
    if len(match_paths(manifest.path, below, manifest.extensions)) < len(below):
        return ""
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


def note_split_folders(classes: Collection[str]) -> list[str]:
    """Say that folders taken for classes are named as splits are."""
    named = [name for name in classes if fold_name(name) in SPLIT_NAMES]
    if not any(fold_name(name).startswith("train") for name in named):
        return []
    return [
        f"{first_names(named)} are taken for classes: if they are splits with the classes in them, use the "
        f"manifest split_folders and the folder they lie in as the root"
    ]
