"""Kinds of things that people name on command lines, for messages about a path of the wrong kind."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mas_labels.names import VIDEO_EXTENSIONS, printable
from mas_labels.schema import METRICS_FILE, RUN_CONFIG_FILE

SHARD_EXTENSION: Final = ".h5"
WEIGHTS_EXTENSIONS: Final = (".pt", ".pth", ".ckpt", ".safetensors")
MAX_NAMES: Final = 1000
"""Maximum number of names that are looked at in a folder and in each of its subfolders."""

FOUND: Final[Mapping[str, str]] = {
    "nothing": "nothing",
    "video": "a video",
    "videos": "videos",
    "shards": "shards",
    "weights": "weights of a network",
    "run": "a run without weights",
    "file": "a file",
    "other": "nothing of that kind",
}
"""Words for each kind, after "found"."""
CHECK: Final = "check the path"
REMEDIES: Final[Mapping[str, Mapping[str, str]]] = {
    "shards": {
        "video": "label its folder first: mas-labels make --manifest folder --root FOLDER --out labels",
        "videos": "label them first: mas-labels make --manifest folder --root {path} --out labels",
        "weights": "name the folder of the labels; weights go to --checkpoint, --init or --weights",
        "run": "name the folder of the labels that it was trained on",
    },
    "weights": {
        "video": "name a run's folder, a weights folder, or a checkpoint",
        "videos": "name a run's folder, a weights folder, or a checkpoint",
        "shards": "train a network on them first: mas-train --shards {path} --out runs/first",
        "run": "wait for its first checkpoint, or start it again",
    },
    "videos": {
        "video": "name the folder that it is in",
        "shards": "name the folder of the videos that they were made of",
        "weights": "name the folder of the videos",
        "run": "name the folder of the videos",
    },
}
"""Remedies by the kind that was expected and the kind that was found; `CHECK` for all others."""


def find_kind(path: Path) -> str:
    """Return the kind of what lies at a path, one of `FOUND`, judged by names alone."""
    if not path.exists():
        return "nothing"
    if not path.is_dir():
        return kind_of_name(path.name)
    names = _names_in(path)
    kinds = {kind_of_name(name) for name in names}
    if "weights" in kinds or any(name.startswith("step-") for name in _names_in(path / "checkpoints")):
        return "weights"
    if not {METRICS_FILE, RUN_CONFIG_FILE, "checkpoints"}.isdisjoint(names):
        return "run"
    if "shards" in kinds:
        return "shards"
    for folder in (path, *(path / name for name in names)):
        if "video" in map(kind_of_name, _names_in(folder)):
            return "videos"
    return "other"


def kind_of_name(name: str) -> str:
    """Return the kind of a file by its name."""
    extension = os.path.splitext(name)[1].lower()  # noqa: PTH122 - of a name that may be no path
    if extension in VIDEO_EXTENSIONS:
        return "video"
    if extension == SHARD_EXTENSION:
        return "shards"
    return "weights" if extension in WEIGHTS_EXTENSIONS else "file"


def _names_in(folder: Path) -> list[str]:
    """Return the first names in a folder; none if it is none, or cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry, _ in zip(entries, range(MAX_NAMES), strict=False)]
    except OSError:
        return []


def tell_found(path: str | os.PathLike[str], expected: str) -> str:
    """Return the end of a message about a path of the wrong kind: what was found there, and the remedy.

    Parameters
    ----------
    path
        The path as it was given.
    expected
        ``"shards"``, ``"weights"`` or ``"videos"``.
    """
    kind = find_kind(Path(path))
    remedy = REMEDIES[expected].get(kind, CHECK)
    return f"found {FOUND[kind]}: {remedy.format(path=shlex.quote(printable(os.fspath(path))))}"
