"""A shard's HDF5 file: opened for reading, and written under its final name only when it is complete.

Errors of reading are corruption or trouble of the machine, and told as what they are. A file that is written
grows in a hidden file next to its final name, locked while its writer lives. Space on the disk is reserved
before it is written to, since HDF5 cannot be trusted, nor even closed, once one of its writes has failed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import (
    ConfigError,
    MasError,
    ShardError,
    StorageError,
    UnavailableError,
    reason_of,
    storage_error,
    system_error,
    unavailable,
)
from mas_labels.shards.digests import FILE_DIGEST_BYTES, check_file_digest, write_file_digest
from mas_labels.shards.validation import REGENERATE
from mas_labels.system.files import lock_file, reserve, sync, sync_folder

UNREADABLE: Final = (
    *(AttributeError, IndexError, KeyError, MemoryError, OSError, OverflowError, RuntimeError, TypeError),
    ValueError,
)
"""Exceptions that h5py raises on damaged files."""


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading, without a lock, whether or not this process has it open through h5py already.

    Raises
    ------
    Exception
        One of `UNREADABLE`; see `explain`.

    Notes
    -----
    HDF5 refuses to open a file twice with different settings of its locks, and h5py's default locks. Files
    that are opened through different drivers are different files to HDF5, so ours is the one that could also
    log, which reads as the default one does and which nobody takes by chance.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)  # as h5py.File does
    access.set_fapl_log(b"", 0, 0)  # no flags: nothing is logged
    access.set_file_locking(False, False)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY, access))


def explain(path: Path, error: BaseException, damage: str) -> MasError:
    """Turn what h5py raised into our error.

    Parameters
    ----------
    path
        The shard.
    error
        One of `UNREADABLE`.
    damage
        What is wrong with the file if it is corrupt.

    Returns
    -------
    UnavailableError
        If a system call failed, of HDF5 or of our own that read the file once more, or memory was too short
        for a file whose digest matches.
    ShardError
        If the file is corrupt: it has been read to its end.
    """
    out_of_memory = isinstance(error, MemoryError) or "alloc" in str(error)
    if not out_of_memory and system_error(error) is not None:
        return unavailable(path, error)
    try:
        check_file_digest(path)
        if out_of_memory:
            return unavailable(path, MemoryError())
    except UnavailableError as trouble:
        return trouble
    except ShardError:
        pass
    return ShardError(f"{path}: {damage} ({error}): {REGENERATE}")


class GrowingColumn:
    """Rows gather in memory until a chunk is full, so that each is compressed and written once.

    Parameters
    ----------
    dataset
        Empty, in chunks that are as wide as its rows; its first axis can grow.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._chunk_rows: int = dataset.chunks[0]
        self._waiting: list[NDArray[Any]] = []
        self._waiting_rows = 0
        self.dtype: np.dtype[Any] = dataset.dtype

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows of the data set's type, which must not change afterwards."""
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        if self._waiting_rows >= self._chunk_rows:
            self._write(self._waiting_rows // self._chunk_rows * self._chunk_rows)

    def finish(self) -> None:
        """Write the last chunk, which may not be full."""
        self._write(self._waiting_rows)

    def _write(self, count: int) -> None:
        """Write the first `count` of the rows that wait."""
        if not count:
            return
        rows = np.concatenate(self._waiting)
        before = self._dataset.shape[0]
        self._dataset.resize(before + count, axis=0)
        self._dataset[before:] = rows[:count]
        self._dataset.flush()  # or it waits for whoever still holds a view of our frames
        self._waiting = [rows[count:].copy()] if count < len(rows) else []
        self._waiting_rows = len(rows) - count


SLACK_BYTES = 24 << 20
"""More than HDF5 holds back in its caches: at most 1 MiB for each data set, and its own tables."""
STEP_BYTES = 16 << 20
"""How much is reserved at a time."""
LAYOUT = ("v110", "v110")
"""HDF5's layout of 2016: the first with checksums on all its own tables, those that find chunks included."""


class PartialFile:
    """The hidden file of a file to be.

    Parameters
    ----------
    path
        Final name. Its folder must exist.
    replace
        Whether a file of that name, if there is one, gives way in the end.

    Attributes
    ----------
    path, hidden
        Final and present name.
    hdf5
        The file, open for writing.

    Raises
    ------
    ConfigError
        If another process is writing the same file.
    StorageError
        If the disk is full or refuses.
    """

    def __init__(self, path: Path, replace: bool = False) -> None:
        self.path = path
        self._replace = replace
        self.hidden = path.with_name(f".{path.name}.partial")
        self._reserved = 0
        self._lock = lock_file(
            self.hidden, f"another process is writing {path}: let it finish, or end it first"
        )
        try:
            self._allocate(SLACK_BYTES)
            self.hdf5 = h5py.File(
                self.hidden, "w", libver=LAYOUT, userblock_size=FILE_DIGEST_BYTES, locking=False
            )
        except BaseException:
            self._forget()
            raise

    def reserve(self, more_bytes: int) -> None:
        """Make sure that `more_bytes` can be written.

        Raises
        ------
        StorageError
            If the disk is full, or a quota or a limit is reached.
        """
        needed = self.hdf5.id.get_filesize() + more_bytes + SLACK_BYTES
        if needed > self._reserved:
            self._allocate(needed + STEP_BYTES)

    def _allocate(self, size: int) -> None:
        try:
            reserve(self._lock, size)
        except OSError as error:
            raise storage_error(self.path, error) from error
        self._reserved = size

    def close(self) -> None:
        """Complete the hidden file: with its digest, synced to the disk, and cut at its end."""
        self.hdf5.flush()
        size = self.hdf5.id.get_filesize()
        self.hdf5.close()
        os.ftruncate(self._lock, size)
        write_file_digest(self._lock)
        sync(self._lock)

    def publish(self) -> None:
        """Give the completed file its name.

        Raises
        ------
        ConfigError
            If there is a file of that name by now that is not to be replaced.
        """
        if self.path.exists() and not self._replace:
            raise ConfigError(f"{self.path} was written by another run meanwhile: it is kept, ours is not")
        self.hidden.rename(self.path)
        try:
            sync_folder(self.path.parent)
        except OSError as error:
            raise StorageError(
                f"{self.path} was written, but its folder could not be brought to the disk "
                f"({reason_of(error)}): check the disk, then run again"
            ) from error
        os.close(self._lock)

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError, RuntimeError):
            self.hdf5.close()
        self._forget()

    def _forget(self) -> None:
        with contextlib.suppress(OSError):  # the next run removes it; what went wrong is told
            self.hidden.unlink(missing_ok=True)
        os.close(self._lock)
