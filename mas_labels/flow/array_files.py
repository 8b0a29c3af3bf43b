"""Files of flow as numbers, .npz and .h5, written piece by piece; the same flow gives the same bytes."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

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
    def finish(self, pairs: NDArray[np.uint32], facts: dict[str, Any]) -> None:
        """Complete the file.

        Parameters
        ----------
        pairs
            (pairs, 2): numbers of the two frames of each field, from 0.
        facts
            Numbers and texts that describe the flow.
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

    def finish(self, pairs: NDArray[np.uint32], facts: dict[str, Any]) -> None:
        """Compress the flow into the file (`ArrayFile.finish`); members carry no time."""
        shape = (self._count, *self._header["shape"][1:])
        self._raw.seek(0)
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            with archive.open("flow.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, {**self._header, "shape": shape})
                shutil.copyfileobj(self._raw, member, 1 << 20)
            for name, value in {"pairs": pairs, **facts}.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)

    def close(self) -> None:
        """Close the nameless file, which removes it."""
        self._raw.close()


class H5File(ArrayFile):
    """An .h5: data sets ``flow``, one chunk a field, and ``pairs``; facts are attributes of ``flow``."""

    def __init__(self, path: Path) -> None:
        self._file = h5py.File(path, "w")
        self._flow: h5py.Dataset | None = None

    def append(self, flow: NDArray[Any]) -> None:
        """Append fields (`ArrayFile.append`)."""
        if self._flow is None:
            self._flow = self._file.create_dataset(
                "flow", (0, *flow.shape[1:]), flow.dtype, maxshape=(None, *flow.shape[1:]),
                chunks=(1, *flow.shape[1:]), shuffle=True, compression="gzip", compression_opts=1,
                fletcher32=True, track_times=False,
            )  # fmt: skip
        count = len(self._flow)
        self._flow.resize(count + len(flow), axis=0)
        self._flow[count:] = flow

    def finish(self, pairs: NDArray[np.uint32], facts: dict[str, Any]) -> None:
        """Write what describes the flow (`ArrayFile.finish`)."""
        assert self._flow is not None
        self._file.create_dataset("pairs", data=pairs, track_times=False)
        self._flow.attrs.update({"unit": UNIT, **facts})
        self._file.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


ARRAY_FILES: Final[dict[str, type[ArrayFile]]] = {"npz": NpzFile, "h5": H5File}
"""Writers by format."""
