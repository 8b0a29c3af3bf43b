"""Structural validation of an untrusted shard, before any of its data is used.

A shard may come from anywhere. Every object in it must be one that the schema names, under one name, stored
completely in the file itself, with the type and size that the schema gives, and must not refer to anything
else. Sizes are checked on HDF5's tables alone, before any data is read, so that a small file cannot claim
much memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from mas_labels import schema
from mas_labels.errors import ShardError
from mas_labels.geometry import Geometry

MAX_COMPRESSION: Final = 1100
"""A little more than the highest compression of deflate: a data set that claims more was never written."""
MAX_CHUNK_BYTES: Final = 4 << 20
"""Largest chunk: protects from chunks that are small in the file and expand when they are read."""
MAX_ATTRIBUTE_BYTES: Final = 1 << 20
"""Largest attribute."""
HDF5_FILTERS: Final = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32}
"""The filters that are part of every HDF5 library; none of them loads a plug-in."""
REGENERATE: Final = "remove it and regenerate it"
"""Remedy for a damaged shard."""
UNTRUSTED: Final = "it is corrupt or was not written by mas-labels, do not use it"
"""Remedy for a shard that this package cannot have written."""

Datasets = Mapping[str, h5py.Dataset]


def read_attributes(file: h5py.File, path: Path) -> tuple[int, dict[str, bytes]]:
    """Read the version and the texts in the root's attributes; refuse another format, version or attribute.

    Raises
    ------
    ShardError
        If an attribute is missing, unknown, or of another type or size, or the version is another.
    """
    names = set(file.attrs)
    missing = [name for name in schema.ATTRIBUTES if name not in names]
    if missing:
        raise ShardError(
            f"{path}: not a shard of mas-labels, attributes missing: {', '.join(missing)}: name the "
            "files that `mas-labels make` wrote"
        )
    format_name, version = _attribute(file, "format", path), _attribute(file, "schema_version", path)
    if format_name != schema.FORMAT_NAME.encode() or version not in schema.READABLE_VERSIONS:
        versions = " or ".join(map(str, schema.READABLE_VERSIONS))
        raise ShardError(
            f"{path}: expected {schema.FORMAT_NAME} version {versions}, found "
            f"{os.fsdecode(format_name)} version {version}: regenerate it, or read it with the mas-labels "
            "that made it (attribute `versions`)"
        )
    unknown = sorted(names - set(schema.ATTRIBUTES))
    if unknown:
        raise ShardError(f"{path}: has attributes {unknown}, which are not in the schema: {UNTRUSTED}")
    texts = [name for name in schema.ATTRIBUTES if name not in ("format", "schema_version")]
    return version, {"format": format_name, **{name: _attribute(file, name, path) for name in texts}}


def _attribute(file: h5py.File, name: str, path: Path) -> Any:
    """Read one attribute: the version as int, the others as bytes."""
    stored = file.attrs.get_id(name)
    kind = "i" if name == "schema_version" else "S"
    dtype = stored.dtype
    if stored.shape != () or dtype.kind != kind or dtype.itemsize > MAX_ATTRIBUTE_BYTES:
        raise ShardError(f"{path}: attribute {name} is {dtype} {stored.shape}: {REGENERATE}")
    value = np.empty((), dtype)
    stored.read(value)
    return int(value) if kind == "i" else bytes(value[()])


def checked_datasets(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """Check every data set and return them by path; refuse any other object in the file.

    Raises
    ------
    ShardError
        If something is wrong, naming it.

    Notes
    -----
    By h5py's low-level interface, in two thirds of the time: sets of thousands of shards are opened.
    """
    columns = {column.path: column for column in schema.COLUMNS}
    datasets, stored = {}, 0
    for name, item in _walk(file.id, path):
        if name not in columns or not isinstance(item, h5py.h5d.DatasetID):
            raise ShardError(f"{path}: holds {name!r}, which is not in the schema: {UNTRUSTED}")
        stored += _check_dataset(columns[name], item, path)
        datasets[name] = h5py.Dataset(item, readonly=True)  # so that it keeps its shape and its reader
    if stored > file.id.get_filesize():
        raise ShardError(f"{path}: claims {stored} bytes of chunks, more than the file has: {UNTRUSTED}")
    return datasets


def _walk(group: h5py.h5g.GroupID, path: Path, prefix: str = "") -> Iterator[tuple[str, h5py.h5i.ObjectID]]:
    """Yield all objects except groups; refuse soft and external links, and second names."""
    groups = {column.path.split("/")[0] for column in schema.COLUMNS if "/" in column.path}
    for stored_name in group:
        name = os.fsdecode(stored_name)
        if group.links.get_info(stored_name).type != h5py.h5l.TYPE_HARD:
            raise ShardError(f"{path}: {prefix}{name} is a soft or external link: {UNTRUSTED}")
        item = h5py.h5o.open(group, stored_name)
        if h5py.h5o.get_info(item).rc != 1:
            raise ShardError(f"{path}: {prefix}{name} has a second name: {UNTRUSTED}")
        if h5py.h5a.get_num_attrs(item):
            raise ShardError(f"{path}: {prefix}{name} has attributes, not in the schema: {UNTRUSTED}")
        if not isinstance(item, h5py.h5g.GroupID):
            yield prefix + name, item
        elif prefix or name not in groups:
            raise ShardError(f"{path}: the group {prefix}{name} is not in the schema: {UNTRUSTED}")
        else:
            yield from _walk(item, path, f"{name}/")


def _check_dataset(column: schema.Column, dataset: h5py.h5d.DatasetID, path: Path) -> int:
    """Refuse a data set of another type or shape, stored elsewhere, or larger than its stored bytes allow.

    Returns
    -------
    int
        Its stored bytes.
    """
    dtype, shape = dataset.dtype, dataset.shape
    kind = "S" if dtype.kind == "S" else dtype.name
    if kind != column.dtype or len(shape) != 1 + len(column.row_shape):
        raise ShardError(
            f"{path}: {column.path} should be {column.dtype} with rows of shape {column.row_shape}, "
            f"found {dtype} {shape}: {REGENERATE}"
        )
    created = dataset.get_create_plist()
    if created.get_layout() == h5py.h5d.VIRTUAL or created.get_external_count():
        raise ShardError(f"{path}: {column.path} points to data outside of the file: {UNTRUSTED}")
    stored = int(dataset.get_storage_size())
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > MAX_COMPRESSION * stored:
        raise ShardError(
            f"{path}: {column.path} claims {claimed} bytes that are not in the file: {UNTRUSTED}"
        )
    if claimed:
        _check_chunks(dataset, created, dtype.itemsize, column.path, path)
    return stored


def _check_chunks(
    dataset: h5py.h5d.DatasetID, created: h5py.h5p.PropDCID, item_bytes: int, name: str, path: Path
) -> None:
    """Refuse chunks that are missing, too large, without checksum, or encoded by an unknown filter."""
    if created.get_layout() != h5py.h5d.CHUNKED:
        raise ShardError(f"{path}: {name} is not in chunks, so it has no checksums: {REGENERATE}")
    shape, chunks = dataset.shape, created.get_chunk()
    row_bytes = math.prod(shape[1:]) * item_bytes
    if math.prod(chunks) * item_bytes > max(MAX_CHUNK_BYTES, row_bytes):
        raise ShardError(f"{path}: {name} is in chunks of {chunks}, too large: {UNTRUSTED}")
    filters = {created.get_filter(number)[0] for number in range(created.get_nfilters())}
    if not filters <= HDF5_FILTERS or h5py.h5z.FILTER_FLETCHER32 not in filters:
        raise ShardError(
            f"{path}: {name} passed through the filters {sorted(filters)}, expected fletcher32 and at most "
            f"{sorted(HDF5_FILTERS)}: {UNTRUSTED}"
        )
    expected = math.prod(-(-extent // chunk) for extent, chunk in zip(shape, chunks, strict=True))
    found = dataset.get_num_chunks()
    if found != expected:
        raise ShardError(f"{path}: {name} has {found} chunks of {expected}, data is missing: {REGENERATE}")


def check_rows(datasets: Datasets, geometry: Geometry, path: Path) -> int:
    """Refuse missing data sets and contradictory numbers of rows; return the number of clips.

    Raises
    ------
    ShardError
        If something is wrong, naming it.
    """
    missing = [c.path for c in schema.COLUMNS if not c.optional and c.path not in datasets]
    if missing:
        raise ShardError(f"{path}: {', '.join(missing)} missing: {REGENERATE}")
    counts = {
        "views": len(datasets["views"]),
        "classes": len(datasets["classes"]),
        "videos": len(datasets["videos/path"]),
        "clips": len(datasets["clips/video"]),
        "failures": len(datasets["failures/path"]),
    }
    counts["frame offsets"] = counts["clips"] * geometry.clip_frames + 1
    for column in schema.COLUMNS:
        if column.path not in datasets:
            continue
        found = datasets[column.path].shape
        expected = (counts.get(column.rows, found[0]), *geometry.row_shape(column, counts["views"]))
        if found != expected:
            raise ShardError(
                f"{path}: {column.path} should have shape {expected}, found {found}: {REGENERATE}"
            )
    if ("clips/labels" in datasets) != (counts["views"] > 0):
        raise ShardError(f"{path}: views and clips/labels go together, found one of them: {UNTRUSTED}")
    _check_frame_storage(datasets, path)
    return counts["clips"]


def _check_frame_storage(datasets: Datasets, path: Path) -> None:
    """Refuse a shard that does not store its frames in exactly one of the two ways, JPEG or raw."""
    stored = tuple(name for name in ("frames/jpeg", "frames/offsets", "frames/raw") if name in datasets)
    if stored not in (("frames/jpeg", "frames/offsets"), ("frames/raw",)):
        raise ShardError(f"{path}: expected frames as JPEG with offsets or raw, found {stored}: {REGENERATE}")


def check_paths(paths: Sequence[bytes], where: str, path: Path) -> None:
    """Refuse paths of videos that lead out of a data set's folder: absolute ones, and those with ``..``.

    Raises
    ------
    ShardError
        If there is one, naming it.
    """
    for name in paths:
        if not name or name.startswith(b"/") or b"\0" in name or b".." in name.split(b"/"):
            raise ShardError(f"{path}: {where} {name!r} leads out of the data set's folder: {UNTRUSTED}")


def check_references(datasets: Datasets, geometry: Geometry, path: Path) -> None:
    """Refuse references to rows that do not exist, and views that leave the frame.

    Raises
    ------
    ShardError
        If something is wrong, naming it.
    """
    for name, lowest, rows in (
        ("videos/class_index", -1, len(datasets["classes"])),
        ("clips/video", 0, len(datasets["videos/path"])),
    ):
        numbers = datasets[name][...]
        if numbers.size and not lowest <= numbers.min() <= numbers.max() < rows:
            raise ShardError(f"{path}: {name} is out of range: {REGENERATE}")
    views = datasets["views"][...]
    offsets = (geometry.frame_rows - geometry.view_size, geometry.frame_cols - geometry.view_size)
    largest = np.array((*offsets, 1))
    if ((views < 0) | (views > largest)).any():
        raise ShardError(f"{path}: a view leaves the frame: {REGENERATE}")
    for name in ("videos/path", "failures/path"):
        check_paths(datasets[name][...].tolist(), name, path)
