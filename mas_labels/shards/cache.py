"""Index of shards that were opened before, in the user's cache folder: thousands of shards open at once.

Opening a shard checks all of its structure, which takes about ten milliseconds. The few facts that a set of
shards needs of each one are cached, and used for as long as the file has not changed. A shard is checked in
any case before something is read from it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from mas_labels.errors import unavailable
from mas_labels.schema import SCHEMA_VERSION
from mas_labels.shards.digests import text_digest
from mas_labels.shards.reader import Shard
from mas_labels.system.files import atomic_path

MIN_SHARDS: Final = 32
"""Size of the smallest set that is cached; smaller ones open in less than half a second anyway."""
CACHE_LAYOUT: Final = 2
"""Version of the cached files; those of another version are ignored."""


class IndexEntry(NamedTuple):
    """Facts that a set of shards needs of each shard."""

    clips: int
    failures: int
    content_hash: str
    options_digest: str
    """SHA-256 of the options and views, which all shards of a set must share."""
    classes_digest: str
    """SHA-256 of the table of classes."""


def index_entry(shard: Shard) -> IndexEntry:
    """Return the entry of an open shard, which has been checked."""
    options = _digest([shard.config, shard.views.tolist()])
    classes = _digest([os.fsencode(name).hex() for name in shard.class_names])
    return IndexEntry(len(shard), len(shard.read("failures/path")), shard.content_hash, options, classes)


def _digest(value: object) -> str:
    return text_digest(json.dumps(value, sort_keys=True))


class ShardIndex:
    """Entries of the shards of a set, loaded from the cache folder and saved there.

    Parameters
    ----------
    paths
        The shards. Entries of other files are dropped when the index is saved.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._file = _index_path(paths) if len(paths) >= MIN_SHARDS else None
        self._cached = _read(self._file) if self._file is not None else {}
        self._current: dict[str, list[Any]] = {}

    def find(self, path: Path) -> IndexEntry | None:
        """Return the entry of a shard; None if there is none, or the file has changed since."""
        state, entry = self._cached.get(str(path), (None, None))
        if entry is None or state != _file_state(path):
            return None
        self._current[str(path)] = [state, entry]
        return IndexEntry(*entry)

    def add(self, path: Path, entry: IndexEntry) -> None:
        """Add the entry of a shard that was opened."""
        self._current[str(path)] = [_file_state(path), list(entry)]

    def save(self) -> None:
        """Write the index if it has changed; if that fails, only the next opening takes longer."""
        if self._file is None or self._current == self._cached:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self._file, is_shared=True) as hidden:
                hidden.write_text(json.dumps({"layout": _layout(), "shards": self._current}))


def cache_folder() -> Path:
    """Return the cache folder: ``$MAS_CACHE``, else ``mas-video`` in the user's cache folder."""
    named = os.environ.get("MAS_CACHE")
    try:
        users = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    except RuntimeError:  # a user without a home, as a container may have: most often it cannot be written
        users = "/.cache"
    return Path(named) if named else Path(users) / "mas-video"


def column_path(paths: Sequence[Path], view: int) -> Path | None:
    """Return the file that caches the columns with the labels of a view; None for a small set."""
    if len(paths) < MIN_SHARDS:
        return None
    return cache_folder() / f"columns-{_folder_digest(paths)}-{CACHE_LAYOUT}-{SCHEMA_VERSION}-{view}.npz"


def _index_path(paths: Sequence[Path]) -> Path:
    return cache_folder() / f"index-{_folder_digest(paths)}.json"


def _folder_digest(paths: Sequence[Path]) -> str:
    parents = {path.parent for path in paths}  # thousands of shards, and few folders to resolve
    folders = sorted({str(parent.resolve()) for parent in parents})
    return text_digest("\0".join(folders))[:24]


def _layout() -> list[int]:
    return [CACHE_LAYOUT, SCHEMA_VERSION]


def _read(path: Path) -> dict[str, list[Any]]:
    """Read an index: path -> [file state, entry]; empty if it is damaged or of another layout."""
    try:
        content = json.loads(path.read_text())
        if content["layout"] != _layout():
            return {}
        known = {
            name: [state, list(IndexEntry(*entry))] for name, (state, entry) in content["shards"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return known


def _file_state(path: Path) -> list[int]:
    """Return size, times of change and inode of a file, some of which change whenever the file does."""
    try:
        status = path.stat()
    except OSError as error:
        raise unavailable(path, error) from error
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
