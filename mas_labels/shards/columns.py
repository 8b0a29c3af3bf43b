"""The columns that filters and tables need of every clip, read once and kept.

Reading them from a folder of thousands of shards takes a while. Of many shards they are also kept in the
user's cache folder, next to the index, and used again only for the same shards, by content hash.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mas_labels.shards.cache import column_path
from mas_labels.shards.digests import text_digest
from mas_labels.shards.reader import Shard
from mas_labels.system.files import atomic_path
from mas_labels.system.process import bar_settings

SHOW_PROGRESS_AFTER_SECONDS: Final = 2.0


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
    cut: NDArray[np.int8]
    """(N,) 1 for clips across a shot cut, 0 for others, -1 where that is not stored."""
    motion: NDArray[np.float32]
    """(N,) mean magnitudes of motion boundaries, pixels; NaN where they are not stored."""
    labels: NDArray[np.uint8]
    """(N, 27) labels of one view; (N, 0) where there are none."""

    def take(self, clips: NDArray[np.int64]) -> ClipColumns:
        """Return the columns of some of the clips; the videos stay all M."""
        return self._replace(
            videos=self.videos[clips],
            start_frames=self.start_frames[clips],
            cut=self.cut[clips],
            motion=self.motion[clips],
            labels=self.labels[clips],
        )


def read_columns(
    paths: Sequence[Path], content_hashes: Sequence[str], opened: Iterable[Shard], view: int
) -> ClipColumns:
    """Read the columns of a set of shards, from the cache folder if they are kept there.

    Parameters
    ----------
    paths, content_hashes
        Path and content hash of each shard.
    opened
        The shards, opened one after another; not started if the columns are in the cache folder.
    view
        Row of the table of views whose labels are read.

    Raises
    ------
    ShardError
        If a shard is damaged, or was replaced since the set was opened.
    """
    file = column_path(paths, view)
    digest = text_digest("\0".join(content_hashes))
    columns = _load_columns(file, digest) if file is not None else None
    if columns is None:
        columns = _read_all(opened, len(paths), view)
        if file is not None:
            _save_columns(file, digest, columns)
    return columns


def _read_all(opened: Iterable[Shard], count: int, view: int) -> ClipColumns:
    bar = tqdm(opened, total=count, unit="shard", delay=SHOW_PROGRESS_AFTER_SECONDS, **bar_settings())
    parts = [_columns_of(shard, view) for shard in bar]
    before = np.cumsum([0, *(len(part.paths) for part in parts)])
    parts = [part._replace(videos=part.videos + start) for part, start in zip(parts, before, strict=False)]
    return ClipColumns(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def mean_motion(shard: Shard) -> NDArray[np.float32]:
    """Return the mean magnitude of each clip's motion boundaries: (clips,) float32, pixels."""
    motion: NDArray[np.float32] = shard.read("clips/motion")
    return motion.mean(axis=(1, 2))


def _columns_of(shard: Shard, view: int) -> ClipColumns:
    has_cut, has_motion, has_labels = "clips/cut" in shard, "clips/motion" in shard, len(shard.views) > 0
    return ClipColumns(
        np.array(shard.read_texts("videos/path"), np.str_),
        shard.read_class_indices(),
        shard.read("clips/video").astype(np.int64),
        shard.read("clips/start_frame"),
        shard.read("clips/cut").astype(bool).astype(np.int8) if has_cut else np.full(len(shard), -1, np.int8),
        mean_motion(shard) if has_motion else np.full(len(shard), np.nan, np.float32),
        shard.read("clips/labels")[:, view] if has_labels else np.empty((len(shard), 0), np.uint8),
    )


def _load_columns(file: Path, digest: str) -> ClipColumns | None:
    """Load cached columns; None if they are of other shards, or damaged."""
    try:
        # opened here: NumPy leaves a file open that turns out not to be an archive
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as saved:
            if str(saved["digest"]) != digest:
                return None
            return ClipColumns(*(saved[name] for name in ClipColumns._fields))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _save_columns(file: Path, digest: str, columns: ClipColumns) -> None:
    """Cache the columns; if that fails, they are read from the shards again next time."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file, is_shared=True) as hidden:
            np.savez(hidden, digest=np.array(digest), **columns._asdict())
