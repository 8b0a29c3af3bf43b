"""The frames of a shard's clips: JPEG or raw, with their checksums, or without when time matters."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from mas_labels import jpeg, schema
from mas_labels.errors import ShardError

CLIP_SHAPE: Final = (schema.CLIP_FRAMES, schema.FRAME_ROWS, schema.FRAME_COLS, 3)
CHECKSUM_BYTES: Final = 4
"""What HDF5's fletcher32 filter puts after each chunk."""
UNREADABLE: Final = (
    *(AttributeError, IndexError, KeyError, MemoryError, OSError, OverflowError, RuntimeError, TypeError),
    ValueError,
)
"""What h5py raises on damaged files."""


class StoredFrames:
    """Reads the clips' frames of one open shard.

    Parameters
    ----------
    path
        Of the shard, for messages.
    file
        The open shard, whose data sets have been checked.
    read
        Reads rows of a data set through HDF5, comparing checksums.
    """

    def __init__(self, path: Path, file: h5py.File, read: Callable[..., Any]) -> None:
        self._path, self._file, self._read = path, file, read
        self._raw = file.get("frames/raw")
        self._state = self._file_state()

    def read_into(self, clip: int, out: NDArray[np.uint8], checked: bool = True) -> None:
        """Read a clip's frames into memory that is there already.

        Parameters
        ----------
        clip
            Its number in this shard.
        out : ndarray, shape (16, 128, 171, 3), uint8, contiguous
            Filled with RGB.
        checked
            Whether to compare the checksums of raw frames, which takes four times as long as reading them:
            not needed for clips that were checked in the same run. JPEG frames are always checked: that is
            little beside decoding.

        Raises
        ------
        ShardError
            If they are damaged.
        """
        if self._raw is None:
            self._decode_into(clip, out)
        elif checked or not self._is_plain(self._raw):
            out[...] = self._read("frames/raw", clip)
        else:
            self._read_past_checksum(self._raw, clip, out)

    def _file_state(self) -> tuple[int, int]:
        """Size and time of the last change of the open file: HDF5 reads zeros where a file was cut."""
        status = os.fstat(self._file.id.get_vfd_handle())
        return status.st_size, status.st_mtime_ns

    def _decode_into(self, clip: int, out: NDArray[np.uint8]) -> None:
        """Decode a clip's JPEG files."""
        for frame, data in zip(out, self.read_jpegs(clip), strict=True):
            if not jpeg.decode(data, frame):
                raise ShardError(
                    f"{self._path}: a frame of clip {clip} is no JPEG of {frame.shape}: "
                    "remove it and make it again"
                )

    def read_jpegs(self, clip: int) -> list[NDArray[np.uint8]]:
        """Read a clip's frames as they are coded: 16 arrays of bytes.

        Raises
        ------
        ShardError
            If they are not stored, damaged, or the offsets lead astray.
        """
        ends = self._ends[clip * schema.CLIP_FRAMES :][: schema.CLIP_FRAMES + 1]
        if ends[0] < 0 or (np.diff(ends) <= 0).any() or ends[-1] > len(self._file["frames/jpeg"]):
            raise ShardError(
                f"{self._path}: frames/offsets of clip {clip} lead astray: remove it and make it again"
            )
        data = self._read("frames/jpeg", slice(ends[0], ends[-1]))
        return np.split(data, ends[1:-1] - ends[0])

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Where the first frame begins and each frame ends in frames/jpeg."""
        return self._read("frames/offsets").astype(np.int64)

    @staticmethod
    def _is_plain(dataset: h5py.Dataset) -> bool:
        """Whether a chunk is one clip as it is in memory and a checksum, as our writer stores it."""
        return (
            dataset.chunks == (1, *CLIP_SHAPE)
            and dataset.fletcher32
            and not (dataset.compression or dataset.shuffle)
        )

    def _read_past_checksum(self, dataset: h5py.Dataset, clip: int, out: NDArray[np.uint8]) -> None:
        """Read a clip's chunk as it lies in the file, unless the file changed since it was opened."""
        chunk = np.empty(out.nbytes + CHECKSUM_BYTES, np.uint8)
        try:
            if self._file_state() != self._state:
                raise OSError("the file was changed while it was in use")
            _, stored = dataset.id.read_direct_chunk((clip, 0, 0, 0, 0), out=chunk)
            if len(stored) != len(chunk):
                raise OSError(f"expected {len(chunk)} bytes, found {len(stored)}")
        except UNREADABLE as error:
            raise ShardError(
                f"{self._path}: frames/raw is damaged ({error}): remove it and make it again"
            ) from error
        out[...] = chunk[:-CHECKSUM_BYTES].reshape(out.shape)
