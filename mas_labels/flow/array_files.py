"""Files of flow as numbers, .npz and .h5, written piece by piece; the same flow gives the same bytes."""

from __future__ import annotations

import os
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from mas_labels.system.linux import reserve

BLOCK_BYTES: Final = 1 << 20
"""Flow that is compressed between two calls of `on_progress`."""
SLACK_BYTES: Final = 8 << 20
"""Reserve for the tables and caches of HDF5."""
STEP_BYTES: Final = 16 << 20
"""Size of a further reservation."""
UNIT: Final = "pixels per step: u along columns, v along rows"


class ArrayFile(ABC):
    """A file that the flow of one video is appended to.

    Parameters
    ----------
    path
        The file, which must not exist.
    """

    @abstractmethod
    def __init__(self, path: Path) -> None: ...

    @abstractmethod
    def append(self, flow: NDArray[Any]) -> None:
        """Append fields, (pairs, rows, cols, 2)."""

    @abstractmethod
    def finish(
        self, pairs: NDArray[np.uint32], facts: dict[str, Any], on_progress: Callable[[], None]
    ) -> None:
        """Complete the file.

        Parameters
        ----------
        pairs
            (pairs, 2): numbers of the two frames of each field, from 0.
        facts
            Numbers and texts that describe the flow.
        on_progress
            Called now and then.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it, complete or not."""


class NpzFile(ArrayFile):
    """An .npz: arrays ``flow`` and ``pairs``, and one of each fact. The raw flow waits in a nameless file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed by `close`
        self._header: dict[str, Any] = {}
        self._count = 0

    def append(self, flow: NDArray[Any]) -> None:
        """Append fields (`ArrayFile.append`)."""
        self._header = np.lib.format.header_data_from_array_1_0(flow)
        self._count += len(flow)
        self._raw.write(np.ascontiguousarray(flow).data)

    def finish(
        self, pairs: NDArray[np.uint32], facts: dict[str, Any], on_progress: Callable[[], None]
    ) -> None:
        """Compress the flow into the file (`ArrayFile.finish`); members carry no time."""
        shape = (self._count, *self._header["shape"][1:])
        self._raw.seek(0)
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            with archive.open("flow.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, {**self._header, "shape": shape})
                while block := self._raw.read(BLOCK_BYTES):
                    member.write(block)
                    on_progress()
            for name, value in {"pairs": pairs, **facts}.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)

    def close(self) -> None:
        """Close the nameless file, which removes it."""
        self._raw.close()


class H5File(ArrayFile):
    """An .h5: data sets ``flow``, one chunk a field, and ``pairs``; facts are attributes of ``flow``.

    Space is reserved before HDF5 uses it, because HDF5 does not end cleanly when a disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            reserve(self._descriptor, SLACK_BYTES)  # freed by opening, but a full disk is noticed now
            self._file = h5py.File(path, "w", locking=False)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._flow: h5py.Dataset | None = None
        self._reserved = 0

    def append(self, flow: NDArray[Any]) -> None:
        """Append fields (`ArrayFile.append`)."""
        needed = self._file.id.get_filesize() + flow.nbytes + SLACK_BYTES
        if needed > self._reserved:
            self._reserved = needed + STEP_BYTES
            reserve(self._descriptor, self._reserved)
        if self._flow is None:
            self._flow = self._file.create_dataset(
                "flow", (0, *flow.shape[1:]), flow.dtype, maxshape=(None, *flow.shape[1:]),
                chunks=(1, *flow.shape[1:]), shuffle=True, compression="gzip", compression_opts=1,
                fletcher32=True, track_times=False,
            )  # fmt: skip
        count = len(self._flow)
        self._flow.resize(count + len(flow), axis=0)
        self._flow[count:] = flow
        self._file.flush()

    def finish(
        self, pairs: NDArray[np.uint32], facts: dict[str, Any], on_progress: Callable[[], None]
    ) -> None:
        """Write what describes the flow, and release space that was not used (`ArrayFile.finish`)."""
        assert self._flow is not None
        self._file.create_dataset("pairs", data=pairs, track_times=False)
        self._flow.attrs.update({"unit": UNIT, **facts})
        self._file.flush()
        size = self._file.id.get_filesize()
        self._file.close()
        os.ftruncate(self._descriptor, size)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._file.close()


ARRAY_FILES: Final[dict[str, type[ArrayFile]]] = {"npz": NpzFile, "h5": H5File}
"""Writers by format."""
