"""Reading one shard.

A shard may come from anywhere, so a reader believes nothing: every object must be the one the schema names,
stored in the file itself, of the type and the size it must have. Wrong ones are refused with a `ShardError`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mas_labels import schema
from mas_labels.errors import ShardError
from mas_labels.stored_frames import CLIP_SHAPE, UNREADABLE, StoredFrames

GREATEST_DEFLATION = 1100
"""A little more than deflate can shrink anything: a data set that claims more was never written."""


class DataDigest:
    """SHA-256 of a data set's rows, fed in any portions."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._kind = ""

    def update(self, rows: NDArray[Any]) -> None:
        """Take in some rows."""
        self._kind = f"{rows.dtype.str}{list(rows.shape[1:])}"
        self._sha.update(np.ascontiguousarray(rows).tobytes())

    def result(self) -> str:
        """Return type, row shape and hash as one text."""
        return f"{self._kind}:{self._sha.hexdigest()}"


def content_hash(texts: dict[str, str], digests: dict[str, DataDigest]) -> str:
    """Return the hash of a shard's attributes (without the hash itself) and data."""
    whole = {
        "attributes": {**texts, "schema_version": schema.SCHEMA_VERSION},
        "data": {path: digests[path].result() for path in sorted(digests)},
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


class Shard:
    """One shard, opened for reading.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    config, plan, versions
        What the attributes of the same names say, as dictionaries.
    content_hash
        SHA-256 over everything in the shard, as stored.
    views
        (V, 3) int16.

    Raises
    ------
    ShardError
        If the file is no shard, of another schema, damaged, or built to deceive.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._frames: StoredFrames | None = None
        try:
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise ShardError(
                f"{self.path}: not a readable HDF5 file ({error}): remove it and make it again"
            ) from error
        try:
            self._read_header()
            self._datasets = dict(self._checked_datasets())
            self._check_rows()
            self.views: NDArray[np.int16] = self.read("views")
            self._check_references()
        except UNREADABLE as error:
            self._file.close()
            raise ShardError(
                f"{self.path}: its structure is damaged ({error}): remove it and make it again"
            ) from error
        except BaseException:
            self._file.close()
            raise

    def _read_header(self) -> None:
        """Read the attributes; refuse another format or schema."""
        try:
            texts = {n: _text(self._file.attrs[n]) for n in schema.ATTRIBUTES if n != "schema_version"}
            version = int(self._file.attrs["schema_version"])
            self.texts = {name: texts[name] for name in ("format", "config", "plan", "versions")}
            self.config: dict[str, Any] = _dictionary(texts["config"])
            self.plan: dict[str, Any] = _dictionary(texts["plan"])
            self.versions: dict[str, str] = _dictionary(texts["versions"])
        except UNREADABLE as error:
            raise ShardError(
                f"{self.path}: not a shard of mas-labels, an attribute is missing: {error}"
            ) from error
        self.content_hash = texts["content_hash"]
        if texts["format"] != schema.FORMAT_NAME or version != schema.SCHEMA_VERSION:
            raise ShardError(
                f"{self.path}: expected {schema.FORMAT_NAME} version {schema.SCHEMA_VERSION}, found "
                f"{texts['format']} version {version}: make it again, or read it with the mas-labels "
                f"{self.versions.get('mas_labels', 'that')} it was made by"
            )

    def _checked_datasets(self) -> Iterator[tuple[str, h5py.Dataset]]:
        """Yield every data set the schema names; refuse whatever else is there."""
        columns = {column.path: column for column in schema.COLUMNS}
        groups = {path.split("/")[0] for path in columns if "/" in path}
        for path in _walk(self._file, self.path):
            if path in groups:
                continue
            if path not in columns:
                raise ShardError(f"{self.path}: holds {path!r}, which is not in the schema: do not trust it")
            dataset = self._file[path]
            self._check_dataset(columns[path], dataset)
            yield path, dataset

    def _check_dataset(self, column: schema.Column, dataset: h5py.Dataset) -> None:
        """Refuse a data set of another type or shape, stored elsewhere, or larger than its bytes can be."""
        kind = "S" if dataset.dtype.kind == "S" else dataset.dtype.name
        if kind != column.dtype or dataset.ndim != 1 + len(column.row_shape):
            raise ShardError(
                f"{self.path}: {column.path} should be {column.dtype} with rows of shape {column.row_shape}, "
                f"found {dataset.dtype} {dataset.shape}: remove it and make it again"
            )
        if dataset.is_virtual or dataset.external:
            raise ShardError(
                f"{self.path}: {column.path} points to data outside of the file: do not trust it"
            )
        if dataset.nbytes > GREATEST_DEFLATION * dataset.id.get_storage_size():
            raise ShardError(
                f"{self.path}: {column.path} claims {dataset.nbytes} bytes that are not in the file"
            )

    def _check_rows(self) -> None:
        """Refuse missing data sets and numbers of rows that contradict one another."""
        missing = [c.path for c in schema.COLUMNS if not c.optional and c.path not in self._datasets]
        if missing:
            raise ShardError(f"{self.path}: {', '.join(missing)} missing: remove it and make it again")
        counts = {
            "views": len(self._datasets["views"]),
            "classes": len(self._datasets["classes"]),
            "videos": len(self._datasets["videos/path"]),
            "clips": len(self._datasets["clips/video"]),
            "failures": len(self._datasets["failures/path"]),
        }
        counts["frame offsets"] = counts["clips"] * schema.CLIP_FRAMES + 1
        for column in schema.COLUMNS:
            if column.path not in self._datasets:
                continue
            row_shape = tuple(counts["views"] if e == "views" else e for e in column.row_shape)
            found = self._datasets[column.path].shape
            rows = counts.get(column.rows, found[0])
            if found != (rows, *row_shape):
                expected = (rows, *row_shape)
                raise ShardError(f"{self.path}: {column.path} should have shape {expected}, found {found}")
        self.clips = counts["clips"]

    def _check_references(self) -> None:
        """Refuse numbers that point to rows which are not there, and views that leave the frame."""
        for path, rows in (
            ("videos/class_index", len(self._datasets["classes"])),
            ("clips/video", len(self._datasets["videos/path"])),
        ):
            numbers = self.read(path)
            if numbers.size and not -1 <= numbers.min() <= numbers.max() < rows:
                raise ShardError(f"{self.path}: {path} leads astray: remove it and make it again")
        largest = (schema.FRAME_ROWS - schema.VIEW_SIZE, schema.FRAME_COLS - schema.VIEW_SIZE, 1)
        if ((self.views < 0) | (self.views > largest)).any():
            raise ShardError(f"{self.path}: a view leaves the frame: remove it and make it again")

    def __len__(self) -> int:
        return self.clips

    def __contains__(self, path: str) -> bool:
        return path in self._datasets

    def read(self, path: str, rows: slice | int = slice(None)) -> Any:
        """Read rows of a data set, such as ``"clips/labels"``.

        Raises
        ------
        ShardError
            If it is not stored, or its bytes do not match their checksum.
        """
        if path not in self._datasets:
            raise ShardError(f"{self.path}: {path} is not stored: label again with the option that keeps it")
        try:
            return self._datasets[path][rows]
        except UNREADABLE as error:
            raise ShardError(
                f"{self.path}: {path} is damaged ({error}): remove it and make it again"
            ) from error

    def read_texts(self, path: str) -> list[str]:
        """Read a column of texts."""
        return [_text(value) for value in self.read(path)]

    def read_labels(self, clip: int) -> NDArray[np.uint8]:
        """Read a clip's labels of all views: (V, 27) uint8."""
        labels = self.read("clips/labels", clip)
        if (labels > schema.LABEL_MAX).any():
            raise ShardError(f"{self.path}: a label of clip {clip} is out of its range: do not trust it")
        return labels

    def read_frames(self, clip: int) -> NDArray[np.uint8]:
        """Read a clip's frames: (16, 128, 171, 3) uint8 RGB."""
        frames = np.empty(CLIP_SHAPE, np.uint8)
        self.read_frames_into(clip, frames)
        return frames

    def read_frames_into(self, clip: int, out: NDArray[np.uint8], checked: bool = True) -> None:
        """Read a clip's frames into memory that is there; see `mas_labels.stored_frames.StoredFrames`."""
        if self._frames is None:
            self._frames = StoredFrames(self.path, self._file, self.read)
        self._frames.read_into(clip, out, checked)

    def verify(self) -> None:
        """Read everything, checking checksums, and compare with the content hash.

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
        found = content_hash(self.texts, digests)
        if found != self.content_hash:
            raise ShardError(
                f"{self.path}: content hash is not {self.content_hash}: remove it and make it again"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Shard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _walk(group: h5py.Group, path: Path, prefix: str = "") -> Iterator[str]:
    """Yield the path of every group and data set below `group`; refuse links that lead elsewhere."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ShardError(f"{path}: {prefix}{name} is a soft or external link: do not trust it")
        yield prefix + name
        item = group[name]
        if isinstance(item, h5py.Group):
            if prefix:
                raise ShardError(f"{path}: {prefix}{name} is a group too deep: not in the schema")
            yield from _walk(item, path, f"{name}/")


def _dictionary(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError(f"expected a JSON object, found {text[:40]}")
    return value


def _text(value: Any) -> str:
    """Turn stored bytes into text; names that are not UTF-8 come back as the file system gave them."""
    if not isinstance(value, bytes):
        raise TypeError(f"expected bytes, found {type(value).__name__}")
    return os.fsdecode(bytes(value))
