"""A shard's HDF5 file: opened for reading, or written in a hidden file that is renamed when it is complete.

Errors of reading distinguish a corrupt file from one that the machine cannot read now. A file that is
being written lies hidden next to its final name, locked while its writer lives. Space on the disk is reserved
before each write, since HDF5 cannot be trusted, nor even closed, once one of its writes has failed.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Mapping
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
from mas_labels.plan.file_names import partial_path
from mas_labels.shards.digests import (
    CHECKSUM_BYTES,
    FILE_DIGEST_BYTES,
    check_file_digest,
    make_fletcher32,
    write_file_digest,
)
from mas_labels.shards.validation import REGENERATE
from mas_labels.system.files import lock_file, sync, sync_folder
from mas_labels.system.linux import reserve

UNREADABLE: Final = (
    *(AttributeError, IndexError, KeyError, MemoryError, OSError, OverflowError, RuntimeError, TypeError),
    ValueError,
)
"""Exceptions that h5py raises on corrupt files."""
GZIP_LEVEL: Final = 1
CHUNK_CACHE: Final = (521, 1 << 20, 0.75)
"""Places, bytes and preference for evicting read chunks of an open data set: HDF5's before 2.0, whose 8,191
places take 1 MB more a shard."""


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading, without a lock, even if this process has it open through h5py already.

    Raises
    ------
    Exception
        One of `UNREADABLE`; see `explain`.

    Notes
    -----
    HDF5 refuses to open a file twice with different lock settings, and h5py locks by default. To HDF5, files
    opened through different drivers are different files. So the log driver is used, without logging: it reads
    as the default driver does, and no other code is likely to use it.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)  # as h5py.File does
    access.set_fapl_log(b"", 0, 0)  # no flags: nothing is logged
    access.set_file_locking(False, False)
    access.set_cache(0, *CHUNK_CACHE)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY, access))


def explain(path: Path, error: BaseException, damage: str) -> MasError:
    """Turn an exception of h5py into an error of this package, which tells corruption from machine trouble.

    Parameters
    ----------
    path
        The shard.
    error
        One of `UNREADABLE`.
    damage
        Description of the damage, for the message if the file is corrupt.

    Returns
    -------
    UnavailableError
        If a system call failed, in HDF5 or when the file was read again here, or there was not enough memory
        for a file whose digest matches.
    ShardError
        If the file is corrupt; it was read to its end.
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


def read_rows(
    file: Path, datasets: Mapping[str, h5py.Dataset], path: str, rows: slice | int = slice(None)
) -> Any:
    """Read rows of one of a file's data sets; see `mas_labels.shards.reader.Shard.read`."""
    if path not in datasets:
        raise ShardError(f"{file}: {path} is not stored: label again with the option that stores it")
    try:
        return datasets[path][rows]
    except UNREADABLE as error:
        raise explain(file, error, f"{path} is damaged") from error


class GrowingColumn:
    """Appends rows to a data set, buffered until a chunk is full: each chunk is encoded and written once.

    Parameters
    ----------
    dataset
        An empty data set with a resizable first axis, in chunks that span its whole rows, with fletcher32
        checksums, and either no other filter or shuffled and deflated.

    Notes
    -----
    Chunks are encoded here, for the filters of any HDF5 library to decode. HDF5 would search all numbers for
    repetitions, but the bytes of shuffled floats repeat in runs only (``Z_RLE``): finding these takes a third
    of the time; Mu and Mv take no more space, TV-L1 flow 6 % more (40 clips). Without the
    checksum extension, HDF5 encodes the chunks.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._chunk_rows: int = dataset.chunks[0]
        self._buffer: list[NDArray[Any]] = []
        self._buffered_rows = 0
        self.dtype: np.dtype[Any] = dataset.dtype
        self._is_deflated = dataset.compression is not None
        self._strategy = zlib.Z_RLE if self.dtype.kind == "f" else zlib.Z_DEFAULT_STRATEGY
        self._fletcher32 = make_fletcher32()

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows of the data set's type, which must not change afterwards."""
        self._buffer.append(rows)
        self._buffered_rows += len(rows)
        if self._buffered_rows >= self._chunk_rows:
            self._write(self._buffered_rows // self._chunk_rows * self._chunk_rows)

    def finish(self) -> None:
        """Write the last chunk, which may not be full."""
        self._write(self._buffered_rows)

    def _write(self, count: int) -> None:
        """Write the first `count` of the buffered rows."""
        if not count:
            return
        rows = np.concatenate(self._buffer)
        before = self._dataset.shape[0]
        self._dataset.resize(before + count, axis=0)
        for start in range(0, count, self._chunk_rows):
            self._write_chunk(before + start, rows[start : min(start + self._chunk_rows, count)])
        self._buffer = [rows[count:].copy()] if count < len(rows) else []
        self._buffered_rows = len(rows) - count

    def _write_chunk(self, first: int, rows: NDArray[Any]) -> None:
        """Encode and write the rows of a chunk; the last one is filled up with zeros."""
        if self._fletcher32 is None:
            self._dataset[first : first + len(rows)] = rows
            self._dataset.flush()  # or it is delayed while anything still holds a reference to the data set
            return
        missing = np.zeros((self._chunk_rows - len(rows), *rows.shape[1:]), rows.dtype)
        data = (np.concatenate([rows, missing]) if len(missing) else rows).reshape(-1).view(np.uint8)
        if self._is_deflated:
            shuffled = np.ascontiguousarray(data.reshape(-1, self.dtype.itemsize).T)
            deflate = zlib.compressobj(GZIP_LEVEL, strategy=self._strategy)
            data = np.frombuffer(deflate.compress(shuffled.data) + deflate.flush(), np.uint8)
        checksum = self._fletcher32(data).to_bytes(CHECKSUM_BYTES, "little")
        place = (first, *[0] * (rows.ndim - 1))
        self._dataset.id.write_direct_chunk(place, b"".join([data.data, checksum]))


SLACK_BYTES: Final = 24 << 20
"""Reserve for HDF5's caches, which hold back at most 1 MiB per data set, and for its own tables."""
STEP_BYTES: Final = 16 << 20
"""Size of a reservation step."""
HDF5_LIBVER: Final = ("v110", "v110")
"""HDF5's layout of 2016: the first with checksums on all its own tables, including the chunk index."""


class PartialFile:
    """A file that is written under a hidden name and renamed when it is complete.

    Parameters
    ----------
    path
        Final name. Its folder must exist.
    replace
        True: an existing file of that name is replaced in the end.

    Attributes
    ----------
    path, hidden
        Final name, and the hidden name until then.
    hdf5
        The file, open for writing.

    Raises
    ------
    ConfigError
        If another process is writing the same file.
    StorageError
        If the disk is full, or writing fails.
    """

    def __init__(self, path: Path, replace: bool = False) -> None:
        self.path = path
        self._replace = replace
        self.hidden = partial_path(path)
        self._reserved = 0
        self._lock = lock_file(
            self.hidden, f"another process is writing {path}: let it finish, or end it first"
        )
        try:
            self._allocate(SLACK_BYTES)
            self.hdf5 = h5py.File(
                self.hidden, "w", libver=HDF5_LIBVER, userblock_size=FILE_DIGEST_BYTES, locking=False
            )
        except BaseException:
            self._remove()
            raise

    def reserve(self, more_bytes: int) -> None:
        """Reserve space on the disk for `more_bytes` more.

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
        """Finish the hidden file: release reserved space behind its end, write its digest, and sync it."""
        self.hdf5.flush()
        size = self.hdf5.id.get_filesize()
        self.hdf5.close()
        os.ftruncate(self._lock, size)
        write_file_digest(self._lock)
        sync(self._lock)

    def publish(self) -> None:
        """Rename the completed file to its final name.

        Raises
        ------
        ConfigError
            If a file of that name exists by now and `replace` is False.
        """
        if self.path.exists() and not self._replace:
            raise ConfigError(
                f"{self.path} was written by another run meanwhile: that file is kept, this one is discarded"
            )
        self.hidden.rename(self.path)
        try:
            sync_folder(self.path.parent)
        except OSError as error:
            raise StorageError(
                f"{self.path} was written, but its folder could not be synced to the disk "
                f"({reason_of(error)}): check the disk, then run again"
            ) from error
        os.close(self._lock)

    def discard(self) -> None:
        """Close and remove the hidden file."""
        with contextlib.suppress(OSError, RuntimeError):
            self.hdf5.close()
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):  # the next run removes it; the first error is reported
            self.hidden.unlink(missing_ok=True)
        os.close(self._lock)
