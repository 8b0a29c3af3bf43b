"""Clips as a tar that the library webdataset reads: several files per clip, whose names begin alike.

====================  ==================================================================================
``000000012.json``    the clip's row (`mas_labels.shard_export.clip_table.clip_columns`), and the digests of
                      its shard and of the table of views
``.labels.npy``       (V, 27) uint8: the labels of all views; none for shards of frames only
``.000.jpg``, ...     the frames, the bytes of the shard: nothing is encoded again
``.frames.npy``       (frames, rows, cols, 3) uint8 RGB, instead, where a shard holds raw frames
====================  ==================================================================================

The bytes depend on the clips alone: owners and times are 0.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mas_labels.shards.reader import Shard


def write_tar(path: Path, shard: Shard, rows: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> None:
    """Write some clips of a shard.

    Parameters
    ----------
    path
        The file.
    shard, rows
        The shard, and the rows of its clips.
    columns
        Their table, one value per clip and column.
    """
    digests = {"content_hash": shard.content_hash, "views_sha256": views_digest(shard.views)}
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for place, row in enumerate(rows.tolist()):
            key = f"{columns['clip'][place]:09d}"
            entries = {name: _plain(values[place]) for name, values in columns.items()}
            for extension, content in _clip_files(shard, row, {**entries, **digests}):
                member = tarfile.TarInfo(f"{key}.{extension}")  # of time and owner 0
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def views_digest(views: NDArray[np.int16]) -> str:
    """Return the SHA-256 of a table of views (V, 3), as little-endian int16 row by row, in hexadecimal."""
    return hashlib.sha256(views.astype("<i2").tobytes()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a value for JSON, which has no NaN: None instead."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if plain != plain else plain


def _clip_files(shard: Shard, row: int, entries: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the extensions and contents of a clip's files."""
    yield "json", json.dumps(entries).encode()  # ASCII: names that are not UTF-8 come back by `os.fsencode`
    if len(shard.views):
        yield "labels.npy", _npy(shard.read_labels(row))
    if "frames/raw" in shard:
        yield "frames.npy", _npy(shard.read_frames(row))
    else:
        for number, data in enumerate(shard.read_jpegs(row)):
            yield f"{number:03d}.jpg", data.tobytes()


def _npy(array: NDArray[Any]) -> bytes:
    """Return an array as the content of a file .npy."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
