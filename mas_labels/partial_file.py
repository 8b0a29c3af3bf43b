"""An HDF5 file that appears under its name only when it is complete.

It grows in a hidden file beside its final name, locked while its writer lives. Space on the disk is reserved
before it is written to, since HDF5 cannot be trusted, nor even closed, once a write of its has failed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import h5py

from mas_labels.errors import ConfigError, StorageError, reason_of, storage_error
from mas_labels.locking import lock_file
from mas_labels.seal import SEAL_BYTES, write_seal
from mas_labels.system import reserve, sync, sync_folder

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
            self.hdf5 = h5py.File(self.hidden, "w", libver=LAYOUT, userblock_size=SEAL_BYTES, locking=False)
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
        """Complete the hidden file: sealed, all of it on the disk, and nothing behind its end."""
        self.hdf5.flush()
        size = self.hdf5.id.get_filesize()
        self.hdf5.close()
        os.ftruncate(self._lock, size)
        write_seal(self._lock)
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
