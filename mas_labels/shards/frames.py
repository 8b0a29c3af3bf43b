"""Frames of a shard's clips, JPEG or raw, read straight into the caller's buffer."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError, ShardError, system_error, unavailable
from mas_labels.geometry import Geometry
from mas_labels.shards.digests import CHECKSUM_BYTES, make_fletcher32
from mas_labels.shards.hdf5_file import UNREADABLE, explain, read_rows
from mas_labels.shards.validation import REGENERATE
from mas_labels.system.kernels import LOSSES

SLOW_WARNING: Final = (
    f"mas_labels._checksum is not built: {LOSSES['checksum']}; reinstall it where there is a C++ compiler"
)


class StoredFrames:
    """Reads the clips' frames of one open shard.

    Parameters
    ----------
    path
        Of the shard, for messages.
    descriptor
        Of the open file.
    datasets
        Its data sets by path, checked.
    geometry
        Its geometry.
    """

    def __init__(
        self, path: Path, descriptor: int, datasets: Mapping[str, h5py.Dataset], geometry: Geometry
    ) -> None:
        self._path, self._descriptor, self._datasets = path, descriptor, datasets
        self._geometry = geometry
        self._raw: Any = datasets.get("frames/raw")
        self._state = self._file_state()
        self._fletcher32 = make_fletcher32()
        if self._raw is not None and self._fletcher32 is None:
            warnings.warn(SLOW_WARNING, stacklevel=2)

    def read_into(self, clip: int, out: NDArray[np.uint8]) -> None:
        """Read a clip's frames into an existing array.

        Parameters
        ----------
        clip
            Its row in this shard.
        out : ndarray, shape (frames, rows, cols, 3), uint8, contiguous
            Receives the frames, RGB.

        Raises
        ------
        ShardError
            If they are damaged: checksums are compared at every reading.
        UnavailableError
            If they cannot be read now.
        """
        if self._raw is None:
            self._decode_into(clip, out)
            return
        if self._file_state() != self._state:
            raise ShardError(
                f"{self._path}: was changed while it was in use: verify it; if it is damaged, {REGENERATE}"
            )
        if not self._read_chunk(clip, out):
            # through HDF5, which raises an error that names the damage
            out[...] = read_rows(self._path, self._datasets, "frames/raw", clip)

    def _file_state(self) -> tuple[int, int]:
        """Return size and modification time of the open file: HDF5 reads zeros where a file was truncated."""
        try:
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise unavailable(self._path, error) from error
        return status.st_size, status.st_mtime_ns

    def _decode_into(self, clip: int, out: NDArray[np.uint8]) -> None:
        """Decode a clip's JPEG frames into an array."""
        for frame, data in zip(out, self.read_jpegs(clip), strict=True):
            try:
                is_decoded = decode_jpeg(data, frame)
            except MemoryError as error:
                raise unavailable(self._path, error) from error
            if not is_decoded:
                raise ShardError(
                    f"{self._path}: a frame of clip {clip} is no JPEG of {frame.shape}: {REGENERATE}"
                )

    def read_jpegs(self, clip: int) -> list[NDArray[np.uint8]]:
        """Read a clip's frames as encoded: one array of bytes each.

        Raises
        ------
        ShardError
            If they are not stored, damaged, or the offsets are out of range.
        """
        frames = self._geometry.clip_frames
        ends = self._ends[clip * frames :][: frames + 1]
        if ends[0] < 0 or (np.diff(ends) <= 0).any() or ends[-1] > len(self._datasets["frames/jpeg"]):
            raise ShardError(f"{self._path}: frames/offsets of clip {clip} are out of range: {REGENERATE}")
        data = read_rows(self._path, self._datasets, "frames/jpeg", slice(ends[0], ends[-1]))
        return np.split(data, ends[1:-1] - ends[0])

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """(frames + 1,) int64: start of the first frame in frames/jpeg, then the end of each frame."""
        return read_rows(self._path, self._datasets, "frames/offsets").astype(np.int64)

    @cached_property
    def _chunk_offsets(self) -> NDArray[np.int64]:
        """(N,) int64: offset of each clip's raw frames in the file; -1 unless plain and with a checksum."""
        offsets = np.full(len(self._raw), -1, np.int64)
        size = math.prod(self._geometry.clip_shape) + CHECKSUM_BYTES

        def add_offset(chunk: h5py.h5d.StoreInfo) -> None:
            if chunk.size == size and chunk.filter_mask == 0:
                offsets[chunk.chunk_offset[0]] = chunk.byte_offset

        is_plain = not (self._raw.compression or self._raw.shuffle)
        if is_plain and self._raw.chunks == (1, *self._geometry.clip_shape) and self._raw.fletcher32:
            try:
                self._raw.id.chunk_iter(add_offset)
            except UNREADABLE as error:
                raise explain(self._path, error, "frames/raw is damaged") from error
        return offsets

    def _read_chunk(self, clip: int, out: NDArray[np.uint8]) -> bool:
        """Read a clip's raw frames bypassing HDF5, and compare the checksum; return False if that fails."""
        if self._fletcher32 is None or self._chunk_offsets[clip] < 0:
            return False
        stored = bytearray(CHECKSUM_BYTES)
        try:
            n_read = os.preadv(self._descriptor, [out.data, stored], int(self._chunk_offsets[clip]))
        except OSError as error:
            if system_error(error) is None:  # an impossible offset
                return False
            raise unavailable(self._path, error) from error
        return n_read == out.nbytes + CHECKSUM_BYTES and self._fletcher32(out) == int.from_bytes(
            stored, "little"
        )


def encode_jpeg(frame: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Encode one (rows, cols, 3) uint8 RGB frame as JPEG; return (bytes,) uint8."""
    is_encoded, data = cv2.imencode(
        ".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not is_encoded:
        raise InputError(f"OpenCV could not encode a frame of shape {frame.shape} as JPEG")
    return data.ravel()


def decode_jpeg(data: NDArray[np.uint8], out: NDArray[np.uint8]) -> bool:
    """Decode a JPEG into `out`, (rows, cols, 3) uint8 RGB; return False if it fails or the size differs.

    Raises
    ------
    MemoryError
        If there is not enough memory to decode it.
    """
    try:
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if frame is None or frame.shape != out.shape:
            return False
        cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=out)
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        raise MemoryError from error
    return True
