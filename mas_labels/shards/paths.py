"""The files of shards that a user names: files, folders and patterns."""

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
    asked = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: dict[Path, None] = {}
    for item in [os.fspath(one) for one in asked]:
        try:
            matches = _matches(item)
        except OSError as error:
            raise unavailable(item, error) from error
        if not matches:
            raise DatasetError(f"no shards match {item!r}: expected *.h5 files written by `mas-labels make`")
        found.update(dict.fromkeys(map(Path, sorted(matches))))
    if not found:
        raise DatasetError("no shards given: name *.h5 files written by `mas-labels make`")
    return list(found)


def _matches(item: str) -> list[str]:
    """Return the shards of a folder, a file, or the files that fit a pattern; raises `OSError`."""
    path = Path(item)
    if path.is_dir():
        return [entry.path for entry in os.scandir(item) if fnmatch(entry.name, "*.h5")]
    if path.is_file():
        return [item]
    matches = glob.glob(item)  # noqa: PTH207 - absolute patterns too
    if not matches and path.parent.is_dir():  # a pattern skips what it cannot list
        os.scandir(path.parent).close()
    return matches
