"""Files written whole or not at all, locks, and what a file system does not offer.

File systems differ in what they offer. What one does not offer is done without, and said once a run
(`missing_services`); what one fails at raises. Locks end with the process that holds them, however it ends;
where there are none every lock is given, and heartbeats alone keep runs apart.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from mas_labels.errors import ConfigError, reason_of

ENOTSUPP: Final = 524
"""Linux's own number for what is not supported: some file systems let it out (Cray DVS, NFS)."""
UNSUPPORTED: Final = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, ENOTSUPP)
"""Answers of a file system that does not offer what it was asked for."""
CLOSED_FOLDERS: Final = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EBADF)
"""Answers of one that does not open folders, or not for syncing."""


def is_unsupported(error: OSError) -> bool:
    """Return whether the file system does not offer what it was asked for, rather than fails at it."""
    return error.errno in UNSUPPORTED


def try_lock(descriptor: int) -> bool:
    """Lock a file at once, until its descriptor is closed; False if another process holds it.

    Where there are no locks every lock is given.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if not is_unsupported(error) and error.errno != errno.ENOLCK:
            raise
    return True


def sync(descriptor: int) -> None:
    """Bring a file to the disk, if the file system can say when it is there."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_unsupported(error):
            raise


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder survive a power cut, if the file system can."""
    try:
        _sync_folder(folder)
    except OSError as error:
        if not is_unsupported(error) and error.errno not in CLOSED_FOLDERS:
            raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_path(path: Path, is_shared: bool = False) -> Iterator[Path]:
    """Write a file whole or not at all: yield a hidden name beside it, which is renamed when the block ends.

    Its ending is that of the file, since that tells some writers the format.

    Parameters
    ----------
    path
        The file to be; one of that name from before is untouched until then.
    is_shared
        Whether other processes may write the same file at the same time.

    Raises
    ------
    OSError
        If it cannot be synced or renamed; the hidden file is removed.
    """
    hidden = path.with_name(f".tmp.{f'{os.getpid()}.' if is_shared else ''}{path.name}")
    try:
        yield hidden
        with hidden.open("rb") as file:
            sync(file.fileno())
        hidden.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all; raises as `atomic_path` does."""
    with atomic_path(path) as hidden:
        hidden.write_text(text, encoding="utf-8")


def reserve(descriptor: int, size: int) -> None:
    """Make sure that a file can grow to `size` bytes, by writing zeros behind its end if need be.

    Raises
    ------
    OSError
        If it cannot.
    """
    try:
        os.posix_fallocate(descriptor, 0, size)
        return
    except AttributeError:  # not on macOS
        pass
    except OSError as error:
        if not is_unsupported(error):
            raise
    zeros = bytes(1 << 20)
    while (missing := size - os.fstat(descriptor).st_size) > 0:
        os.pwrite(descriptor, zeros[:missing], size - missing)


def missing_services(folder: Path, is_labelling: bool) -> str:
    """Say what the file system of a folder does not offer, and what that means; empty if nothing is missing.

    Parameters
    ----------
    folder
        A folder that can be written to.
    is_labelling
        Whether shards are to be written there, which takes locks and reserved space, too.
    """
    services: dict[str, Callable[[int], object]] = {
        "fsync: what was written last may be lost at a power cut": os.fsync,
        "fsync of folders: a new file may be lost at a power cut": lambda _: _sync_folder(folder),
    }
    if is_labelling:
        services |= {
            "flock: runs into the same folder are told apart by their heartbeats alone": lambda descriptor: (
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ),
            "posix_fallocate: space is reserved by writing zeros": lambda descriptor: os.posix_fallocate(
                descriptor, 0, 1
            ),
        }
    missing = []
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        for name, use in services.items():
            try:
                use(file.fileno())
            except AttributeError:
                missing.append(name)
            except OSError as error:
                if is_unsupported(error) or error.errno in (errno.ENOLCK, *CLOSED_FOLDERS):
                    missing.append(f"{name} ({reason_of(error)})")
    return f"note: the file system of {folder} does without {'; without '.join(missing)}" if missing else ""


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
