"""A shard's HDF5 file opened for reading, and what its errors mean: corruption, or trouble of the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import h5py

from mas_labels.errors import MasError, ShardError, UnavailableError, system_error, unavailable
from mas_labels.seal import check_seal

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
        for a file that is as it was sealed.
    ShardError
        If the file is corrupt: it has been read to its end.
    """
    out_of_memory = isinstance(error, MemoryError) or "alloc" in str(error)
    if not out_of_memory and system_error(error) is not None:
        return unavailable(path, error)
    try:
        check_seal(path)
        if out_of_memory:
            return unavailable(path, MemoryError())
    except UnavailableError as trouble:
        return trouble
    except ShardError:
        pass
    return ShardError(f"{path}: {damage} ({error}): remove it and make it again")
