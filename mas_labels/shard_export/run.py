"""An export from shards to files, one for each shard with chosen clips, and a file about them all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mas_labels.errors import ConfigError, DatasetError, OptionsDifferError, reason_of, storage_error
from mas_labels.schema import LABEL_NAMES, VIEW_COLUMNS
from mas_labels.shard_export.clip_table import clip_columns
from mas_labels.shard_export.options import ExportOptions
from mas_labels.shard_export.parquet import write_table
from mas_labels.shard_export.tars import views_digest, write_tar
from mas_labels.shards.filters import parse_filters
from mas_labels.shards.reader import Shard
from mas_labels.shards.shard_set import ShardSet
from mas_labels.system.extras import load_extra
from mas_labels.system.files import atomic_path, lock_file, write_once
from mas_labels.system.process import bar_settings

ABOUT_FILE: Final = "_export.json"
"""File about an export, in its folder. Readers of parquet pass over names that begin with an underscore."""
ABOUT_FORMAT: Final = "mas-export-shards"
ABOUT_VERSION: Final = 1
EXTENSIONS: Final[Mapping[str, str]] = {"webdataset": "tar", "parquet": "parquet"}


@dataclass(frozen=True)
class ExportResult:
    """The end of an export.

    Attributes
    ----------
    files, kept
        Number of files, and of those that were there before.
    clips
        Number of clips in all files.
    pattern
        Name of the files, with all their numbers in braces.
    """

    files: int
    kept: int
    clips: int
    pattern: str


def export_shards(shards: ShardSet, out: Path, options: ExportOptions) -> ExportResult:
    """Write the chosen clips of some shards, and all their failures, into a folder.

    What was written before by the same command is kept; a file gets its name when it is complete.

    Parameters
    ----------
    shards
        The shards.
    out
        The folder; created if missing.
    options
        Format, views and filters.

    Raises
    ------
    ConfigError
        If a filter is unknown, the folder cannot be written to, or another process is writing it.
    OptionsDifferError
        If the folder holds an export of other shards or options.
    DatasetError
        If no clip is left.
    MissingDependencyError
        If parquet is asked for without pyarrow.
    ShardError, UnavailableError
        If a shard is damaged, or cannot be read now.
    StorageError
        If a file cannot be written.
    """
    if options.format == "parquet":
        load_extra("pyarrow.parquet", "parquet needs", "parquet")
    selection = shards.where(**(parse_filters(options.where) if options.where else {}))
    if not len(selection):
        raise DatasetError(f"no clips to export, {selection!r}: label videos first, or give wider filters")
    kept = shards.subset(selection.indices)
    numbers = [number for number, clips in enumerate(kept.lengths) if clips]
    extension = EXTENSIONS[options.format]
    names = {number: f"clips-{place:06d}.{extension}" for place, number in enumerate(numbers)}
    about = describe(shards, options)
    lock = _begin(out, {**about, "files": _describe_files(kept, names), **_describe_failures(shards)})
    try:
        before = _write_all(out, kept, names, clip_columns(selection, kept), options, about)
    finally:
        os.close(lock)
    pattern = f"clips-{{000000..{len(names) - 1:06d}}}.{extension}"
    return ExportResult(len(names), before, len(kept), pattern)


def describe(shards: ShardSet, options: ExportOptions) -> dict[str, Any]:
    """Return what holds for all files of an export: its options, and those of the shards."""
    return {
        "format": ABOUT_FORMAT,
        "version": ABOUT_VERSION,
        "options": asdict(options),
        "labels": list(LABEL_NAMES) if shards.has_labels else [],
        "classes": shards.classes,
        "geometry": asdict(shards.geometry),
        "config": shards.config,
        "view_columns": list(VIEW_COLUMNS),
        "views": shards.views.tolist(),
        "views_sha256": views_digest(shards.views),
    }


def _describe_files(kept: ShardSet, names: Mapping[int, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "clips": kept.lengths[number],
            "shard": kept.paths[number].name,
            "content_hash": kept.content_hashes[number],
        }
        for number, name in names.items()
    ]


def _describe_failures(shards: ShardSet) -> dict[str, Any]:
    """Return the videos that could not be labelled, and the shards that are missing."""
    missing = [name for folder in shards.incomplete for name in folder.missing]
    return {"failures": [failure._asdict() for failure in shards.failures], "missing_shards": missing}


def _begin(out: Path, about: dict[str, Any]) -> int:
    """Write the file about the export, or compare it with the one that is there; lock it."""
    path, content = out / ABOUT_FILE, json.dumps(about, indent=1).encode()
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = [file["name"] for file in about["files"] if (out / file["name"]).exists()]
        if there and not path.exists():
            raise OptionsDifferError(
                f"{out} holds {there[0]}, and no {ABOUT_FILE} that tells its origin: choose another --out"
            )
        if not write_once(path, content):
            raise OptionsDifferError(
                f"{out} holds another export ({_find_differences(path, about)}): choose another --out"
            )
        return lock_file(path, f"another export is writing {out}: let it finish")
    except OSError as error:
        raise ConfigError(f"cannot write to {out} ({reason_of(error)}): choose another --out") from error


def _find_differences(path: Path, about: dict[str, Any]) -> str:
    """Return the names of the entries in which a file about an export differs."""
    try:
        stored = json.loads(path.read_bytes())
        names = [name for name, value in about.items() if stored.get(name) != value]
    except (ValueError, AttributeError):
        return f"{ABOUT_FILE} is damaged"
    return f"other {', '.join(names)}" if names else f"{ABOUT_FILE} is of another program"


def _write_all(
    out: Path,
    kept: ShardSet,
    names: Mapping[int, str],
    columns: Mapping[str, NDArray[Any]],
    options: ExportOptions,
    about: Mapping[str, Any],
) -> int:
    """Write the files that are not there yet; return the number of those that are."""
    todo = [number for number, name in names.items() if not (out / name).is_file()]
    clips = {number: kept.lengths[number] for number in names}
    done = len(kept) - sum(clips[number] for number in todo)
    with tqdm(total=len(kept), initial=done, unit="clip", **bar_settings()) as bar:
        for number, shard in kept.each_shard(todo):
            first = kept.start(number)
            part = {name: values[first : first + clips[number]] for name, values in columns.items()}
            _write_one(out / names[number], shard, kept.rows(number), part, options, about)
            bar.update(clips[number])
    return len(names) - len(todo)


def _write_one(
    path: Path,
    shard: Shard,
    rows: NDArray[np.int64],
    columns: Mapping[str, NDArray[Any]],
    options: ExportOptions,
    about: Mapping[str, Any],
) -> None:
    try:
        with atomic_path(path) as hidden:
            if options.format == "webdataset":
                write_tar(hidden, shard, rows, columns)
            else:
                origin = {"content_hash": shard.content_hash, "versions": shard.versions}
                write_table(hidden, shard, rows, columns, options.views == "all", {**about, **origin})
    except OSError as error:
        raise storage_error(path, error, "file") from error
