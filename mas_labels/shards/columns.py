"""What filters and tables ask of every clip of a set of shards, read once and remembered.

A folder of thousands of shards takes a while to go through. What was read is kept in memory, and, of many
shards, in the user's cache folder beside their index; there it is believed only for the very same shards, by
content hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mas_labels.labels.label_counts import LabelCounts
from mas_labels.shards.cache import column_path
from mas_labels.system.files import atomic_path
from mas_labels.system.process import bar_settings

if TYPE_CHECKING:
    from mas_labels.shards.reader import Shard
    from mas_labels.shards.shard_set import ShardSet


SHOW_PROGRESS_AFTER_SECONDS = 2.0


class ClipColumns(NamedTuple):
    """Columns of a set of N clips from M videos."""

    paths: NDArray[np.str_]
    """(M,) paths of the videos, relative to the data set's root."""
    class_indices: NDArray[np.int32]
    """(M,) rows of the set's classes, -1 without a class."""
    videos: NDArray[np.int64]
    """(N,) the clips' videos, as rows of the two above."""
    start_frames: NDArray[np.uint32]
    """(N,) first frames of the clips in their videos."""
    motion: NDArray[np.float32]
    """(N,) mean magnitudes of motion boundaries, pixels; NaN where they are not stored."""
    labels: NDArray[np.uint8]
    """(N, 27) labels of one view; (N, 0) where there are none."""


class ColumnReader:
    """Reads the columns of a set of shards, at most once for each view.

    Parameters
    ----------
    shards
        The set.
    """

    def __init__(self, shards: ShardSet) -> None:
        self._shards = shards
        self._known: dict[int, ClipColumns] = {}

    def read(self, view: int) -> ClipColumns:
        """Return the columns, with the labels of row `view` of the table of views.

        Raises
        ------
        ShardError
            If a shard is damaged, or was replaced since the set was opened.
        """
        if view not in self._known:
            file = column_path(self._shards.paths, view)
            digest = hashlib.sha256("\0".join(self._shards.content_hashes).encode()).hexdigest()
            columns = _load(file, digest) if file is not None else None
            if columns is None:
                columns = self._read_shards(view)
                if file is not None:
                    _save(file, digest, columns)
            self._known[view] = columns
        return self._known[view]

    def _read_shards(self, view: int) -> ClipColumns:
        parts = []
        shards = self._shards.each_shard()
        with tqdm(
            total=len(self._shards.paths), unit="shard", delay=SHOW_PROGRESS_AFTER_SECONDS, **bar_settings()
        ) as bar:
            for _, shard in shards:
                parts.append(_columns_of(shard, view))
                bar.update()
        before = np.cumsum([0, *(len(part.paths) for part in parts)])
        parts = [
            part._replace(videos=part.videos + start) for part, start in zip(parts, before, strict=False)
        ]
        return ClipColumns(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def __getstate__(self) -> dict[str, Any]:
        return {"_shards": self._shards, "_known": {}}


def mean_motion(shard: Shard) -> NDArray[np.float32]:
    """Return the mean magnitude of each clip's motion boundaries: (clips,) float32, pixels."""
    motion: NDArray[np.float32] = shard.read("clips/motion")
    return motion.mean(axis=(1, 2))


def _columns_of(shard: Shard, view: int) -> ClipColumns:
    has_motion, has_labels = "clips/motion" in shard, len(shard.views) > 0
    return ClipColumns(
        np.array(shard.read_texts("videos/path"), np.str_),
        shard.read_class_indices(),
        shard.read("clips/video").astype(np.int64),
        shard.read("clips/start_frame"),
        mean_motion(shard) if has_motion else np.full(len(shard), np.nan, np.float32),
        shard.read("clips/labels")[:, view] if has_labels else np.empty((len(shard), 0), np.uint8),
    )


def _load(file: Path, digest: str) -> ClipColumns | None:
    """Read what was saved; nothing if it is of other shards, or damaged."""
    try:
        # opened here: NumPy leaves a file open that turns out to be no archive
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as saved:
            if str(saved["digest"]) != digest:
                return None
            return ClipColumns(*(saved[name] for name in ClipColumns._fields))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _save(file: Path, digest: str, columns: ClipColumns) -> None:
    """Save the columns; if that fails, they are read again another time, no more."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file, is_shared=True) as hidden:
            np.savez(hidden, digest=np.array(digest), **columns._asdict())


MAX_SHARDS_COUNTED: Final = 200
"""Shards that are read for the shares beside a picture; of more, as many evenly spread ones."""


def count_labels(shards: ShardSet, most_shards: int = MAX_SHARDS_COUNTED) -> LabelCounts:
    """Count the labels of all views of all clips, in at most `most_shards` evenly spread shards.

    Raises
    ------
    ShardError
        If a shard is damaged, holds no labels, or a label out of its range.
    """
    chosen = np.unique(
        np.linspace(0, len(shards.paths) - 1, min(most_shards, len(shards.paths))).round().astype(int)
    )
    counted = LabelCounts(of_clips=len(shards))
    for _, shard in shards.each_shard(chosen.tolist()):
        counted.add(shard.read("clips/labels"), shard.path)
    return counted
