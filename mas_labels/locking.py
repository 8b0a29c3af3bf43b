"""Locks on files that end with the process that holds them, however it ends.

Where the file system has no locks every lock is given, and heartbeats alone keep runs apart.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from mas_labels.errors import ConfigError
from mas_labels.system import try_lock

WAIT_SECONDS = 3.0
"""How long to wait for a lock: the workers of a run that was killed notice it within a second."""
RETRY_SECONDS = 0.1


def lock_file(path: Path, busy: str) -> int:
    """Create a file or take over one that is left, and lock it.

    Parameters
    ----------
    path
        The file; its folder must exist.
    busy
        What to say if another process holds it.

    Returns
    -------
    A descriptor, open for reading and writing; closing it gives the lock up.

    Raises
    ------
    ConfigError
        If another process holds the lock.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        descriptor = take_lock(path, os.O_CREAT)
        if descriptor is not None:
            return descriptor
        if time.monotonic() > deadline:
            raise ConfigError(busy)
        time.sleep(RETRY_SECONDS)


def take_lock(path: Path, flags: int = 0) -> int | None:
    """Lock a file at once; return a descriptor, or None if another process holds it or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | flags, 0o666)
    except FileNotFoundError:
        return None
    if try_lock(descriptor) and _is_at(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether `path` still is the file we locked: its last holder may have renamed or removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
