"""What is remembered of shards that were opened before, so that a folder of thousands opens at once.

Opening a shard checks all of its structure, which takes about ten milliseconds. What a set of shards needs of
each one is kept in the user's own cache folder, and believed for as long as the file has not changed. A shard
is checked in any case when something is read from it.
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
"""Smaller sets are opened in less than half a second: nothing is kept of them."""
LAYOUT: Final = 2
"""Of the index; another one is as good as none."""


class IndexEntry(NamedTuple):
    """What a set of shards needs to know of one."""

    clips: int
    failures: int
    content_hash: str
    options_digest: str
    """SHA-256 of what all shards of a set share: configuration and views."""
    classes_digest: str
    """SHA-256 of the table of classes."""


def index_entry(shard: Shard) -> IndexEntry:
    """Read an entry from a shard that is open, and so has been checked."""
    options = _digest([shard.config, shard.views.tolist()])
    classes = _digest([os.fsencode(name).hex() for name in shard.class_names])
    return IndexEntry(len(shard), len(shard.read("failures/path")), shard.content_hash, options, classes)


def _digest(value: object) -> str:
    return text_digest(json.dumps(value, sort_keys=True))


class ShardIndex:
    """The entries of some shards, read from the cache folder and written there again.

    Parameters
    ----------
    paths
        The shards. Entries of files that are not among them are forgotten.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._file = _index_path(paths) if len(paths) >= MIN_SHARDS else None
        self._known = _read(self._file) if self._file is not None else {}
        self._kept: dict[str, list[Any]] = {}

    def find(self, path: Path) -> IndexEntry | None:
        """Return what is remembered of a shard, None if nothing is or the file has changed."""
        state, entry = self._known.get(str(path), (None, None))
        if entry is None or state != _file_state(path):
            return None
        self._kept[str(path)] = [state, entry]
        return IndexEntry(*entry)

    def add(self, path: Path, entry: IndexEntry) -> None:
        """Remember a shard that was opened."""
        self._kept[str(path)] = [_file_state(path), list(entry)]

    def save(self) -> None:
        """Write the index, if anything in it is new; without it the next opening takes longer, no more."""
        if self._file is None or self._kept == self._known:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self._file, is_shared=True) as hidden:
                hidden.write_text(json.dumps({"layout": _layout(), "shards": self._kept}))


def cache_folder() -> Path:
    """Return the folder of indices: ``$MAS_CACHE``, else ``mas-video`` in the user's cache folder."""
    named = os.environ.get("MAS_CACHE")
    users = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(named) if named else Path(users) / "mas-video"


def column_path(paths: Sequence[Path], view: int) -> Path | None:
    """Return where the columns of clips are kept, with one view's labels; None for a few shards."""
    if len(paths) < MIN_SHARDS:
        return None
    return cache_folder() / f"columns-{_folder_digest(paths)}-{LAYOUT}-{SCHEMA_VERSION}-{view}.npz"


def _index_path(paths: Sequence[Path]) -> Path:
    return cache_folder() / f"index-{_folder_digest(paths)}.json"


def _folder_digest(paths: Sequence[Path]) -> str:
    folders = sorted({str(path.parent.resolve()) for path in paths})
    return text_digest("\0".join(folders))[:24]


def _layout() -> list[int]:
    return [LAYOUT, SCHEMA_VERSION]


def _read(path: Path) -> dict[str, list[Any]]:
    """Read an index; a damaged one, or one of another layout, counts as none."""
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
    """Return what changes when a file does."""
    try:
        status = path.stat()
    except OSError as error:
        raise unavailable(path, error) from error
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
