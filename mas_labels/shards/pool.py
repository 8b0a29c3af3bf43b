"""The shards of a set that a process keeps open: opened on first use, the least recently used closed."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from mas_labels.errors import ShardError, UnavailableError, system_error
from mas_labels.names import CommonClasses
from mas_labels.shards.reader import Shard

MAX_OPEN_SHARDS: Final = 800
"""Maximum number of shards that all sets of a process keep open: more than UCF101 has. An open shard takes
1 MB; opening one again, with all checks, takes longer than decoding a clip."""
OTHER_FILES: Final = 224
"""Files that a process may have open in addition to shards."""
MIN_OPEN_SHARDS: Final = 4
"""Shards that a set keeps open whatever the limit of open files."""
TOO_MANY_OPEN: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""System errors of a process with too many open files."""


class ShardPool:
    """Opens the shards of a set, separately in each process, and drops the least recently used ones.

    Several threads may use it: a shard that one of them still reads is closed when that one lets go of it.

    Parameters
    ----------
    paths
        The shards.
    content_hashes
        Content hash of each; a file with another one is refused.
    classes
        Classes of all shards, and how each shard's own numbers map to them.
    """

    def __init__(self, paths: Sequence[Path], content_hashes: Sequence[str], classes: CommonClasses) -> None:
        self._paths = [path.absolute() for path in paths]  # the working directory may change
        self._content_hashes, self._classes = content_hashes, classes
        self._open: OrderedDict[int, Shard] = OrderedDict()
        self._process, self._lock = os.getpid(), threading.RLock()
        _pools.add(self)

    def __len__(self) -> int:
        return len(self._open)

    def get(self, number: int) -> Shard:
        """Return a shard, opened; it stays open until its place is needed for another.

        Raises
        ------
        ShardError
            If it is damaged or foreign, or was replaced since the set was opened.
        UnavailableError
            If it cannot be read now.
        """
        if self._process != os.getpid():  # after a fork: file handles of the parent must not be used
            self._open, self._process, self._lock = OrderedDict(), os.getpid(), threading.RLock()
        with self._lock:
            if number in self._open:
                self._open.move_to_end(number)
                return self._open[number]
            while len(self._open) >= max_open_shards():
                self._open.popitem(last=False)
            self._open[number] = shard = self.open_separately(number)
            return shard

    def open_separately(self, number: int) -> Shard:
        """Open a shard outside of the pool, for the caller to close; raises as `get` does."""
        try:
            shard = Shard(self._paths[number])
        except UnavailableError as error:
            if not self._open or system_error(error.__cause__ or error) not in TOO_MANY_OPEN:
                raise
            with self._lock:
                self._open.clear()  # other parts of the process hold more files than assumed
            shard = Shard(self._paths[number])
        if shard.content_hash != self._content_hashes[number]:
            shard.close()
            raise ShardError(f"{shard.path}: was replaced by another shard while it was in use: start again")
        shard.share_classes(self._classes.names, self._classes.numbers[number])
        return shard

    def close(self) -> None:
        """Close all open shards."""
        while self._open:
            self._open.popitem()[1].close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())
        _pools.add(self)


_pools: WeakSet[ShardPool] = WeakSet()
"""The pools of this process, which share the limit of open files."""


def max_open_shards() -> int:
    """Return the number of shards that a pool may keep open under the current limit of open files."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    allowed = (
        MAX_OPEN_SHARDS if limit == resource.RLIM_INFINITY else min(MAX_OPEN_SHARDS, limit - OTHER_FILES)
    )
    return max(MIN_OPEN_SHARDS, allowed // max(1, sum(len(pool) > 0 for pool in _pools)))
