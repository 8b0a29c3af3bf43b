"""Atomic writing of files, syncing, file locks, and what a file system does not support.

File systems differ in what they support. A call that is not supported is left out, and reported once per run
(`missing_services`); a call that fails raises. A lock ends with the process that holds it, however that ends;
on a file system without locks every lock is granted, and heartbeats alone keep runs apart.
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

from mas_labels.errors import ConfigError, StorageError, reason_of
from mas_labels.system.linux import allocate, is_unsupported

CLOSED_FOLDERS: Final = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EBADF)
"""Errors of a file system that does not open folders, or not for syncing."""
WAIT_SECONDS: Final = 3.0
"""Longest wait for a lock: the workers of a run that was killed notice it within a second."""
RETRY_SECONDS: Final = 0.1
PUBLISH_SECONDS: Final = 10.0
"""Longest time that another process may take to publish a file, on file systems without links."""
CLAIM_RETRY_SECONDS: Final = 0.05


@contextlib.contextmanager
def atomic_path(path: Path, is_shared: bool = False) -> Iterator[Path]:
    """Write a file atomically: yield a hidden name next to it, to be synced and renamed after the block.

    The hidden name has the suffix of the file, since some writers choose their format by it.

    Parameters
    ----------
    path
        The file; until the end, an older file of that name is untouched.
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
    """Write a text file in UTF-8 atomically; raises as `atomic_path` does."""
    with atomic_path(path) as hidden:
        hidden.write_text(text, encoding="utf-8")


def sync(descriptor: int) -> None:
    """Bring a file to the disk, if the file system supports that."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_unsupported(error):
            raise


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, if supported, so that a rename survives a power failure."""
    try:
        _fsync_folder(folder)
    except OSError as error:
        if not is_unsupported(error) and error.errno not in CLOSED_FOLDERS:
            raise


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock a file without waiting, until its descriptor is closed.

    Returns
    -------
    bool
        Whether the lock was granted; False if another process holds it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if not is_unsupported(error) and error.errno != errno.ENOLCK:
            raise
    return True


def lock_file(path: Path, busy: str) -> int:
    """Create or open a file and lock it; wait up to `WAIT_SECONDS`.

    Parameters
    ----------
    path
        The file; its folder must exist.
    busy
        Message of the error if another process holds the lock.

    Returns
    -------
    int
        A descriptor, open for reading and writing; closing it releases the lock.

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
    """Open and lock a file without waiting; None if another process holds the lock, or the file is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | flags, 0o666)
    except FileNotFoundError:
        return None
    if try_lock(descriptor) and _is_at(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether `path` still is the locked file: its last holder may have renamed or removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def write_once(path: Path, content: bytes) -> bool:
    """Write a file atomically unless it is there already; of several processes, one writes it.

    Returns
    -------
    bool
        Whether the file now holds `content`; False if another process was faster, with another content.

    Raises
    ------
    OSError
        If it cannot be written.
    StorageError
        If another process began to write it and did not finish.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{time.time_ns()}")
    descriptor = lock_file(temporary, f"another process is writing {temporary}: let it finish")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        sync(descriptor)
        _publish(temporary, path)
    except FileExistsError:
        return path.read_bytes() == content
    finally:
        with contextlib.suppress(OSError):  # the file is there, or the error that prevents it is raised
            temporary.unlink(missing_ok=True)
        os.close(descriptor)
    return True


def _publish(temporary: Path, path: Path) -> None:
    """Rename a complete file to `path` if that is free; raise `FileExistsError` if it is not."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # this file system has no links
        claim = path.with_name(f".{path.name}.claim")
        _take_claim(claim, path)
        try:
            if path.exists():
                raise FileExistsError(path) from None
            temporary.rename(path)
        finally:
            claim.unlink(missing_ok=True)


def _take_claim(claim: Path, path: Path) -> None:
    """Create a file that only one process can create; wait while another process has it."""
    deadline = time.monotonic() + PUBLISH_SECONDS
    while True:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return
        if path.exists():
            raise FileExistsError(path)
        if time.monotonic() > deadline:
            raise StorageError(
                f"another process began to write {path} and did not finish: if none is running, remove "
                f"{claim} and run again"
            )
        time.sleep(CLAIM_RETRY_SECONDS)


def missing_services(folder: Path, is_labelling: bool) -> str:
    """Describe what the file system of a folder does not support; empty if nothing is missing.

    Parameters
    ----------
    folder
        A folder that can be written to.
    is_labelling
        Whether shards will be written there, which needs locks and reserved space, too.
    """
    services: dict[str, Callable[[int], object]] = {
        "fsync: the latest data may be lost in a power failure": os.fsync,
        "fsync of folders: a new file may be lost in a power failure": lambda _: _fsync_folder(folder),
    }
    if is_labelling:
        services |= {
            "flock: only heartbeats distinguish runs into the same folder": lambda descriptor: fcntl.flock(
                descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB
            ),
            "posix_fallocate: space is reserved by writing zeros": lambda descriptor: allocate(descriptor, 1),
        }
    missing = []
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        for name, use in services.items():
            try:
                use(file.fileno())
            except OSError as error:
                if is_unsupported(error) or error.errno in (errno.ENOLCK, *CLOSED_FOLDERS):
                    missing.append(f"{name} ({reason_of(error)})")
    return f"note: the file system of {folder} does not support {'; '.join(missing)}" if missing else ""
