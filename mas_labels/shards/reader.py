"""Reads one shard.

A shard may come from anywhere, so nothing in it is trusted: every object must be one that the schema names,
stored in the file itself, with the type and size that the schema gives. Others raise a `ShardError`.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from mas_labels import schema
from mas_labels.config import LabelConfig
from mas_labels.errors import ConfigError, ShardError
from mas_labels.shards.digests import DataDigest, check_file_digest, content_hash
from mas_labels.shards.frames import StoredFrames
from mas_labels.shards.hdf5_file import UNREADABLE, explain, open_hdf5, read_rows
from mas_labels.shards.header import parse_attributes
from mas_labels.shards.validation import REGENERATE, UNTRUSTED, check_references, check_rows, checked_datasets

MAX_CACHED_LABEL_BYTES: Final = 1 << 20
"""Maximum size of the labels that an open shard caches: 780 clips of 50 views, as much as HDF5 caches."""


class Shard:
    """One shard, opened for reading.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    config, plan, versions
        The JSON objects in the attributes of these names.
    options, geometry
        `config` as a `LabelConfig`, and its geometry.
    content_hash
        SHA-256 over all attributes and data, as stored in the file.
    views
        (V, 3) int16.

    Raises
    ------
    ShardError
        If the file is not a shard, of another schema, damaged, or maliciously built.
    UnavailableError
        If the file cannot be read now.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._file = open_hdf5(self.path)
        except UNREADABLE as error:
            raise explain(self.path, error, "not a readable HDF5 file") from error
        try:
            self._read_header()
            self._open_datasets = checked_datasets(self._file, self.path)
            self.clips = check_rows(self._datasets, self.geometry, self.path)
            check_references(self._datasets, self.geometry, self.path)
            self.views: NDArray[np.int16] = self.read("views")
        except UNREADABLE as error:
            self._file.close()
            raise explain(self.path, error, "its structure is damaged") from error
        except BaseException:
            self._file.close()
            raise

    def _read_header(self) -> None:
        """Read the attributes."""
        attributes = parse_attributes(self._file, self.path)
        self.texts = {name: attributes.texts[name] for name in ("format", "config", "plan", "versions")}
        self.config, self.plan, self.versions = attributes.config, attributes.plan, attributes.versions
        try:
            self.options = LabelConfig.from_dict(self.config)
        except ConfigError as error:
            raise ShardError(
                f"{self.path}: {error}; read it with the mas-labels that made it "
                f"({self.versions.get('mas_labels')}), or regenerate it"
            ) from error
        except UNREADABLE as error:
            raise explain(self.path, error, "its options are damaged") from error
        self.geometry = self.options.geometry
        self.content_hash, self._version = attributes.texts["content_hash"], attributes.version
        self._label_min = self.geometry.label_min(self.options.convention)
        self._label_max = self.geometry.label_max
        self._class_numbers: NDArray[np.int32] | None = None

    @property
    def _datasets(self) -> dict[str, h5py.Dataset]:
        """The data sets by path; a closed shard has none, which must not look like damage."""
        if not self._open_datasets:
            raise ShardError(f"{self.path} is closed: open it again")
        return self._open_datasets

    def __len__(self) -> int:
        return self.clips

    def __contains__(self, path: str) -> bool:
        return path in self._datasets

    def stored_bytes(self) -> dict[str, int]:
        """Return the size in bytes of each data set in the file, by path."""
        try:
            return {path: int(dataset.id.get_storage_size()) for path, dataset in self._datasets.items()}
        except UNREADABLE as error:
            raise explain(self.path, error, "its tables are damaged") from error

    def read(self, path: str, rows: slice | int = slice(None)) -> Any:
        """Read rows of a data set, such as ``"clips/labels"``.

        Raises
        ------
        ShardError
            If it is not stored, or its bytes do not match their checksum.
        UnavailableError
            If it cannot be read now. All methods that read raise these two.
        """
        return read_rows(self.path, self._datasets, path, rows)

    def read_texts(self, path: str) -> list[str]:
        """Read a column of texts."""
        return [_decode_text(value) for value in self.read(path)]

    @cached_property
    def class_names(self) -> list[str]:
        """Names of the classes by index: the shard's own, or those of the set that it was opened for."""
        return self.read_texts("classes")

    def share_classes(self, names: list[str], numbers: NDArray[np.int32]) -> None:
        """Use the classes of a set of shards; `numbers` as in `mas_labels.names.CommonClasses`."""
        self.class_names, self._class_numbers = names, numbers

    def read_class_indices(self, rows: slice = slice(None)) -> NDArray[np.int32]:
        """Read the classes of videos: (videos,) int32, indices into `class_names`, -1 without a class."""
        indices: NDArray[np.int32] = self.read("videos/class_index", rows)
        return indices if self._class_numbers is None else self._class_numbers[indices]

    def read_labels(self, clip: int) -> NDArray[np.uint8]:
        """Read a clip's labels of all views: (V, 27) uint8; V is 0 in a shard of frames only."""
        if not len(self.views):
            return np.empty((0, schema.LABELS), np.uint8)
        if self._cached_labels is not None:
            return self._cached_labels[clip]
        labels: NDArray[np.uint8] = self.read("clips/labels", clip)
        self._require_in_range(labels[np.newaxis], clip)
        return labels

    @cached_property
    def _cached_labels(self) -> NDArray[np.uint8] | None:
        """All labels, (N, V, 27) uint8, or None if too many: one HDF5 read takes a fifth of a raw clip's."""
        if self._datasets["clips/labels"].nbytes > MAX_CACHED_LABEL_BYTES:
            return None
        labels: NDArray[np.uint8] = self.read("clips/labels")
        try:
            self._datasets["clips/labels"].refresh()  # or HDF5 would cache them a second time
        except UNREADABLE as error:
            raise explain(self.path, error, "clips/labels is damaged") from error
        self._require_in_range(labels, 0)
        labels.flags.writeable = False
        return labels

    def _require_in_range(self, labels: NDArray[np.uint8], first: int) -> None:
        """Raise `ShardError` if labels (n, V, 27) are out of range; `first` is the row of the first clip."""
        wrong = ((labels > self._label_max) | (labels < self._label_min)).any(axis=(1, 2))
        if wrong.any():
            clip = first + int(wrong.argmax())
            raise ShardError(f"{self.path}: a label of clip {clip} is out of range: {UNTRUSTED}")

    def read_jpegs(self, clip: int) -> list[NDArray[np.uint8]]:
        """Read a clip's frames as encoded: one array of bytes each.

        Raises
        ------
        ShardError
            If they are not stored, damaged, or the offsets are out of range.
        """
        return self._stored_frames.read_jpegs(clip)

    def read_frames(self, clip: int) -> NDArray[np.uint8]:
        """Read a clip's frames: (frames, rows, cols, 3) uint8 RGB."""
        frames = np.empty(self.geometry.clip_shape, np.uint8)
        self.read_frames_into(clip, frames)
        return frames

    def read_frames_into(self, clip: int, out: NDArray[np.uint8]) -> None:
        """Read a clip's frames into an existing array; see `mas_labels.shards.frames.StoredFrames`."""
        self._stored_frames.read_into(clip, out)

    @cached_property
    def _stored_frames(self) -> StoredFrames:
        datasets = self._datasets
        return StoredFrames(self.path, self._file.id.get_vfd_handle(), datasets, self.geometry)

    def verify(self) -> None:
        """Compare the file with its digest, and its content with the content hash.

        Raises
        ------
        ShardError
            If any bit of it differs.
        """
        check_file_digest(self.path)
        self.verify_content()

    def verify_content(self) -> None:
        """Read all data, comparing checksums, and compare it with the content hash.

        Raises
        ------
        ShardError
            If anything differs.
        """
        digests = {path: DataDigest() for path in self._datasets}
        for path, dataset in self._datasets.items():
            step = dataset.chunks[0] if dataset.chunks else max(1, len(dataset))
            for start in range(0, max(1, len(dataset)), step):
                digests[path].update(self.read(path, slice(start, start + step)))
        if content_hash(self._version, self.texts, digests) != self.content_hash:
            raise ShardError(f"{self.path}: its content does not match its content hash: {REGENERATE}")

    def close(self) -> None:
        """Close the file.

        Notes
        -----
        `h5py.File.close` searches all open objects of the process: 0.1 s if 800 other shards are open.
        """
        for dataset in self._open_datasets.values():
            dataset.id.close()
        self._open_datasets.clear()  # what a data set keeps is open as well
        for name in ("_cached_labels", "_stored_frames"):  # the latter has the number of the file
            vars(self).pop(name, None)
        if self._file.id.valid:
            h5py.h5i.dec_ref(self._file.id)

    def __enter__(self) -> Shard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _decode_text(value: Any) -> str:
    """Decode stored bytes; names that are not UTF-8 are decoded as Python decodes names of files."""
    if not isinstance(value, bytes):
        raise TypeError(f"expected bytes, found {type(value).__name__}")
    return os.fsdecode(bytes(value))
