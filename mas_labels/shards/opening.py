"""Finds shards, checks that they can be read as one set, and collects the facts that the set needs."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mas_labels.errors import DatasetError, ShardError, unavailable
from mas_labels.geometry import Geometry
from mas_labels.names import CommonClasses, unite_classes
from mas_labels.shards.cache import IndexEntry, ShardIndex, index_entry
from mas_labels.shards.columns import SHOW_PROGRESS_AFTER_SECONDS
from mas_labels.shards.reader import Shard
from mas_labels.system.path_kinds import kind_of_name, tell_found
from mas_labels.system.process import bar_settings


def find_shards(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Find the shards that paths name, in order, each once.

    Parameters and errors are those of `mas_labels.shards.shard_set.open_shards`, but nothing is opened.
    """
    patterns = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    shards: dict[Path, Path] = {}  # by absolute path
    for pattern in [os.fspath(path) for path in patterns]:
        try:
            matches = _match_files(pattern)
        except OSError as error:
            raise unavailable(pattern, error) from error
        others = [name for name in matches if kind_of_name(name) in ("video", "weights")]
        if others or not matches:
            raise DatasetError(
                f"no shards match {pattern!r}: expected *.h5 files written by `mas-labels make`, "
                f"{tell_found(others[0] if others else pattern, 'shards')}"
            )
        for path in map(Path, sorted(matches)):
            shards.setdefault(path.absolute(), path)
    if not shards:
        raise DatasetError("no shards given: name *.h5 files written by `mas-labels make`")
    return list(shards.values())


def _match_files(pattern: str) -> list[str]:
    """Return the shards of a folder, a file, or the files that match a pattern; raises `OSError`.

    Hidden files, such as those that macOS adds to other disks (``._one.h5``), are none.
    """
    path = Path(pattern)
    if path.is_dir():
        return _match_names(path, "*.h5")
    if path.is_file():
        return [pattern]
    if path.parent.is_dir():  # not by glob: it is silent about a folder it cannot list, and takes its [1]
        return _match_names(path.parent, path.name)
    return glob.glob(pattern)  # noqa: PTH207 - absolute patterns too


def _match_names(folder: Path, pattern: str) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name[0] != "."]
    return [str(folder / name) for name in names if fnmatchcase(name, pattern)]


class OpenedShards(NamedTuple):
    """Facts about compatible shards, one entry per shard where it is a list."""

    config: dict[str, Any]
    """The options all shards were made with."""
    geometry: Geometry
    """Their geometry."""
    views: NDArray[np.int16]
    """(V, 3) int16: the table of views they share."""
    lengths: list[int]
    """Clips."""
    content_hashes: list[str]
    failures: int
    """Videos that could not be used, in all shards together."""
    classes: CommonClasses
    """Classes of all shards, and how each shard's own numbers map to them."""


def open_compatible(paths: Sequence[Path]) -> OpenedShards:
    """Open each shard once, or find it in the index, and check that all were made with the same options.

    Raises
    ------
    ShardError
        If a shard is damaged or foreign, or two were made with different options.
    UnavailableError
        If one cannot be read now.
    """
    with Shard(paths[0]) as first:
        config, geometry, views = first.config, first.geometry, first.views
        first_entry = index_entry(first)
        tables = {first_entry.classes_digest: first.class_names}
    index = ShardIndex(paths)
    bar = tqdm(paths, unit="shard", delay=SHOW_PROGRESS_AFTER_SECONDS, **bar_settings())
    entries = [index.find(path) or _read_entry(path, index) for path in bar]
    for path, entry in zip(paths, entries, strict=True):
        if entry.options_digest != first_entry.options_digest:
            _refuse_options(path, paths[0], config, views)
    index.save()
    return OpenedShards(
        config,
        geometry,
        views,
        [entry.clips for entry in entries],
        [entry.content_hash for entry in entries],
        sum(entry.failures for entry in entries),
        _unite_classes(paths, [entry.classes_digest for entry in entries], tables),
    )


def _read_entry(path: Path, index: ShardIndex) -> IndexEntry:
    """Open a shard, which checks it, and add its facts to the index."""
    with Shard(path) as shard:
        entry = index_entry(shard)
    index.add(path, entry)
    return entry


def _unite_classes(
    paths: Sequence[Path], digests: Sequence[str], tables: dict[str, list[str]]
) -> CommonClasses:
    """Unite the class tables of all shards; a table that is not in `tables` yet is read once."""
    for path, digest in zip(paths, digests, strict=True):
        if digest not in tables:
            with Shard(path) as shard:
                tables[digest] = shard.class_names
    names, numbers = unite_classes(tables.values())
    numbers_of = dict(zip(tables, numbers, strict=True))
    return CommonClasses(names, [numbers_of[digest] for digest in digests])


def _refuse_options(path: Path, first: Path, config: dict[str, Any], views: NDArray[np.int16]) -> None:
    """Raise the error that names the options in which a shard differs from the first."""
    with Shard(path) as shard:
        differing = [name for name, value in config.items() if shard.config.get(name) != value]
        differing += [name for name in shard.config if name not in config]
        if not np.array_equal(views, shard.views):
            differing.append("views")
    raise ShardError(
        f"{path} and {first} were made with different options ({', '.join(differing)}): "
        "read them separately, or label one of the folders again"
    )
