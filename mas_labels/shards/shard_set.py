"""A set of shards as one sequence of clips: what trainers and notebooks read."""

from __future__ import annotations

import html
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mas_labels.errors import IncompleteWarning, InputError
from mas_labels.labels.label_counts import LabelCounts
from mas_labels.names import printable
from mas_labels.plan.completeness import find_incomplete
from mas_labels.shards.clip import Clip
from mas_labels.shards.columns import ClipColumns, read_columns
from mas_labels.shards.digests import text_digest
from mas_labels.shards.opening import find_shards, open_compatible
from mas_labels.shards.pool import ShardPool
from mas_labels.shards.reader import Shard
from mas_labels.shards.selection import ClipSelection, ClipSequence, spread_evenly
from mas_labels.shards.tables import Failure, ShardTables, Video, read_tables

KEPT_OPEN_SHARDS: Final = 32
"""A set of at most this many shards keeps them open while they are read in turn."""
MAX_SHARDS_COUNTED: Final = 200
"""Maximum number of shards whose labels are counted for `ShardSet.label_counts`."""


class ShardSet(ClipSequence):
    """Shards read as one sequence of clips, or a subset of the clips of such a sequence (see `subset`).

    Files are opened when needed, in each process separately; what was read is not pickled for another.

    Attributes
    ----------
    paths
        The shards, in order; for a subset, all shards of the whole set.
    lengths
        Number of clips of this set in each shard.
    content_hashes
        Content hash of each, as stored (`Shard.verify` compares it with the content).
    views
        (V, 3) int16: the table of views, the same in all shards.
    config, geometry
        The options that all shards were made with, and the sizes of clips, frames and views among them.
    classes
        Names of the classes of all shards, by index: those of the first shard, then what others add.
    incomplete
        Folders that lack shards of their plan, whether or not the missing ones would be in the set.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        opened = open_compatible(self.paths)
        self.config, self.geometry, self.views = opened.config, opened.geometry, opened.views
        self.lengths = opened.lengths
        self.content_hashes, self.classes = opened.content_hashes, opened.classes.names
        self.incomplete = find_incomplete(self.paths)
        self._failures = opened.failures
        self._pool = ShardPool(self.paths, self.content_hashes, opened.classes)
        self._file_starts = self._starts = _starts(self.lengths)
        self._kept: NDArray[np.int64] | None = None
        self._columns: dict[int, ClipColumns] = {}
        self._shard_tables: dict[int, ShardTables] = {}

    def subset(self, kept: ArrayLike) -> ShardSet:
        """Return some of the clips as another set, in which they are numbered from 0.

        Its videos are those of its clips, and count these clips only; its failures are those of its videos.
        It shares the open files, and what was read of them, with this set.

        Parameters
        ----------
        kept
            (n,) int: numbers of the clips in this set, strictly ascending; such as
            ``shards.where(min_motion=0.1).indices``.

        Raises
        ------
        InputError
            If the numbers are out of range, or not ascending.
        """
        chosen = np.asarray(kept, np.int64)
        if chosen.ndim != 1 or (np.diff(chosen, prepend=-1, append=len(self)) < 1).any():
            raise InputError(
                f"expected numbers of clips from 0 to {len(self) - 1}, ascending, found {chosen[:9].tolist()}"
                ": numpy.unique sorts them and drops repetitions"
            )
        part = copy(self)
        part._columns, part._shard_tables = self._columns, self._shard_tables  # of the whole set
        part._kept = chosen if self._kept is None else self._kept[chosen]
        part._starts = np.searchsorted(part._kept, self._file_starts)
        part.lengths = np.diff(part._starts).tolist()
        return part

    def __getstate__(self) -> dict[str, Any]:
        state = {**vars(self), "_columns": {}, "_shard_tables": {}}
        state.pop("label_counts", None)
        return state

    @property
    def identity(self) -> list[str]:
        """Texts that identify the content: the content hashes, and for a subset a digest of its clips."""
        if self._kept is None:
            return list(self.content_hashes)
        return [*self.content_hashes, text_digest(str(self._kept.tolist()))]

    @property
    def has_labels(self) -> bool:
        """True if the shards hold labels; those of test data may not."""
        return len(self.views) > 0

    def shard(self, number: int) -> Shard:
        """Return shard `number`, opened; it stays open until the pool needs its place for another."""
        return self._pool.get(number)

    def start(self, number: int) -> int:
        """Return the number, in this set, of its first clip in shard `number`."""
        return int(self._starts[number])

    def rows(self, number: int) -> NDArray[np.int64]:
        """Return the rows of shard `number` that are clips of this set: (n,) int64, ascending."""
        if self._kept is None:
            return np.arange(self.lengths[number])
        return self._kept[self._starts[number] : self._starts[number + 1]] - self._file_starts[number]

    def locate(self, index: int) -> tuple[Shard, int]:
        """Return the shard that holds clip `index`, and the clip's row there."""
        in_files = index if self._kept is None else int(self._kept[index])
        number = int(np.searchsorted(self._file_starts, in_files, side="right")) - 1
        return self.shard(number), in_files - int(self._file_starts[number])

    def read_frames(self, index: int) -> NDArray[np.uint8]:
        """Read a clip's frames: (frames, rows, cols, 3) uint8 RGB."""
        shard, row = self.locate(index)
        return shard.read_frames(row)

    def read_frames_into(self, index: int, out: NDArray[np.uint8]) -> None:
        """Read a clip's frames into `out`; see `mas_labels.shards.reader.Shard.read_frames_into`."""
        shard, clip = self.locate(index)
        shard.read_frames_into(clip, out)

    def read_labels(self, index: int) -> NDArray[np.uint8]:
        """Read a clip's labels of all views: (V, 27) uint8."""
        shard, clip = self.locate(index)
        return shard.read_labels(clip)

    @property
    def videos(self) -> list[Video]:
        """Every video with clips, shard by shard."""
        return [video for tables in self._tables() for video in tables.videos]

    @property
    def failures(self) -> list[Failure]:
        """Every video that could not be used, or not to its end, shard by shard."""
        return [failure for tables in self._tables() for failure in tables.failures]

    @property
    def failure_count(self) -> int:
        """Number of `failures`."""
        return self._failures if self._kept is None else len(self.failures)

    def clip_videos(self) -> NDArray[np.int64]:
        """Return for each clip the number of its video in `videos`: (N,) int64."""
        numbers, before = [np.empty(0, np.int64)], 0
        for tables in self._tables():
            numbers.append(tables.clip_videos + before)
            before += len(tables.videos)
        return np.concatenate(numbers)

    def _tables(self) -> Iterator[ShardTables]:
        """Yield the tables of each shard, of a subset those of its clips; each shard is read once."""
        kept = self._shard_tables
        for number, shard in self._open_each(n for n in self._used_shards() if n not in kept):
            kept[number] = read_tables(shard)
        for number in self._used_shards():
            yield kept[number] if self._kept is None else kept[number].of_clips(self.rows(number))

    @property
    def clips(self) -> ClipSelection:
        """All clips, as a selection."""
        return ClipSelection(self, np.arange(len(self), dtype=np.int64))

    def clip_columns(self, view: int = 0) -> ClipColumns:
        """Read the columns that filters and tables need, once per view; see `read_columns`."""
        if view not in self._columns:
            opened = (shard for _, shard in self._open_each(range(len(self.paths))))
            self._columns[view] = read_columns(self.paths, self.content_hashes, opened, view)
        columns = self._columns[view]
        return columns if self._kept is None else columns.take(self._kept)

    @cached_property
    def label_counts(self) -> LabelCounts:
        """Label counts of all shards, or of 200 evenly spread ones if there are more; see `count_labels`."""
        return self.count_labels()

    def count_labels(self, max_shards: int = MAX_SHARDS_COUNTED) -> LabelCounts:
        """Count the labels of all views of all clips, in at most `max_shards` evenly spread shards.

        Raises
        ------
        ShardError
            If a shard is damaged, holds no labels, or a label out of range.
        """
        counted = LabelCounts(self.geometry, of_clips=len(self))
        used = self._used_shards()
        for number, shard in self.each_shard(used[n] for n in spread_evenly(len(used), max_shards)):
            counted.add(shard.read("clips/labels")[self.rows(number)], shard.path)
        return counted

    def each_shard(self, numbers: Iterable[int] | None = None) -> Iterator[tuple[int, Shard]]:
        """Yield number and shard, for all shards or the given numbers; each is open until the next iteration.

        A subset skips shards that hold none of its clips; `rows` are the rows of a shard that are its clips.

        Notes
        -----
        Use this to read all shards in turn: `shard` keeps them open, and HDF5 gets slow with many open files.
        """
        return self._open_each(self._used_shards(numbers))

    def _used_shards(self, numbers: Iterable[int] | None = None) -> list[int]:
        """Return all or the given numbers of shards, of a subset those with clips of it."""
        chosen = range(len(self.paths)) if numbers is None else numbers
        return [n for n in chosen if self._kept is None or self.lengths[n]]

    def _open_each(self, numbers: Iterable[int]) -> Iterator[tuple[int, Shard]]:
        for number in numbers:
            if len(self.paths) <= KEPT_OPEN_SHARDS:
                yield number, self.shard(number)
                continue
            with self._pool.open_separately(number) as shard:
                yield number, shard

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _clip(self, place: int) -> Clip:
        return Clip(self, place)

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        self._pool.close()

    def __repr__(self) -> str:
        kind = f"{len(self.views)} views of 27 labels each" if self.has_labels else "frames only"
        options = ", ".join(f"{name}={value}" for name, value in self.config.items())
        return (
            f"{len(self):,} clips in {len(self.paths):,} shards: {kind}; {self.failure_count:,} failures\n"
            f"{options}{''.join(f'{chr(10)}incomplete: {folder}' for folder in self.incomplete)}"
        )

    def _repr_html_(self) -> str:
        summary, _, options = repr(self).partition("\n")
        folders = sorted({str(path.parent) for path in self.paths})
        place = folders[0] if len(folders) == 1 else f"{len(folders)} folders"
        return (
            f"<p><b>{html.escape(summary)}</b><br>{html.escape(printable(place))}</p>"
            f"<p><small>{html.escape(printable(options))}</small></p>"
        )


def _starts(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Return the number of the first clip of each shard, and of all clips: (shards + 1,) int64."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def open_shards(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> ShardSet:
    """Open shards as one sequence of clips.

    Parameters
    ----------
    paths
        A file, a folder (all its ``*.h5``), a pattern such as ``"labels/*.h5"``, or a list of these.

    Returns
    -------
    ShardSet
        With an `IncompleteWarning` for each folder that lacks shards of its plan.

    Raises
    ------
    DatasetError
        If nothing matches.
    ShardError
        If a shard is damaged or foreign, or two were made with different options.
    UnavailableError
        If one, or its folder, cannot be read now.
    """
    shards = ShardSet(find_shards(paths))
    for folder in shards.incomplete:
        warnings.warn(str(folder), IncompleteWarning, stacklevel=2)
    return shards
