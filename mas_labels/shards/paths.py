"""Resolves the paths that a user gives, files, folders and patterns, to the files of shards."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from mas_labels.errors import DatasetError, unavailable


def find_shards(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Find the shards that paths name, in order, each once.

    Parameters and errors are those of `mas_labels.shards.shard_set.open_shards`, but nothing is opened.
    """
    patterns = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    shards: dict[Path, None] = {}
    for pattern in [os.fspath(path) for path in patterns]:
        try:
            matches = _match_files(pattern)
        except OSError as error:
            raise unavailable(pattern, error) from error
        if not matches:
            raise DatasetError(
                f"no shards match {pattern!r}: expected *.h5 files written by `mas-labels make`"
            )
        shards.update(dict.fromkeys(map(Path, sorted(matches))))
    if not shards:
        raise DatasetError("no shards given: name *.h5 files written by `mas-labels make`")
    return list(shards)


def _match_files(pattern: str) -> list[str]:
    """Return the shards of a folder, a file, or the files that match a pattern; raises `OSError`."""
    path = Path(pattern)
    if path.is_dir():
        return [entry.path for entry in os.scandir(pattern) if fnmatch(entry.name, "*.h5")]
    if path.is_file():
        return [pattern]
    matches = glob.glob(pattern)  # noqa: PTH207 - absolute patterns too
    if not matches and path.parent.is_dir():  # glob is silent about a folder it cannot list: raise here
        os.scandir(path.parent).close()
    return matches
