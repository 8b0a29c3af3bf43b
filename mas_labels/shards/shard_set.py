"""A set of shards as one long sequence of clips: what trainers and notebooks read."""

from __future__ import annotations

import html
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mas_labels.errors import IncompleteWarning, ShardError
from mas_labels.names import CommonClasses, fold_name, match_names, printable, unite_classes
from mas_labels.plan.completeness import find_incomplete
from mas_labels.shards.cache import IndexEntry, ShardIndex, index_entry
from mas_labels.shards.clip import Clip
from mas_labels.shards.columns import SHOW_PROGRESS_AFTER_SECONDS, ColumnReader
from mas_labels.shards.paths import find_shards
from mas_labels.shards.pool import ShardPool
from mas_labels.shards.reader import Shard
from mas_labels.shards.selection import ClipSelection
from mas_labels.shards.tables import Failure, Video, read_failures, read_videos
from mas_labels.system.process import bar_settings

if TYPE_CHECKING:
    import pandas

    from mas_labels.labels.label_counts import LabelCounts


__all__ = [
    "Clip",
    "Failure",
    "Shard",
    "ShardPool",
    "ShardSet",
    "Video",
    "find_shards",
    "fold_name",
    "match_names",
    "open_shards",
    "read_failures",
]

FEW_SHARDS = 32
"""Of a set as small as this, shards stay open while somebody goes through all of them."""


class ShardSet(Sequence[Clip]):
    """Shards read as one sequence of clips.

    Files are opened when they are needed, a few at a time, anew in each process; what travels to another
    process is the list of paths.

    Attributes
    ----------
    paths
        The shards, in order.
    lengths
        Clips in each.
    content_hashes
        Content hash of each, as stored (`Shard.verify` compares it with the content).
    views
        (V, 3) int16, the table of views all shards share.
    config
        The options all shards were made with.
    classes
        Names of the classes of all shards, by index: those of the first shard, then what others add.
    common_classes
        The same, with the place of each shard's own classes there.
    failure_count
        Videos that could not be used.
    columns
        Reads what filters and tables ask of every clip.
    incomplete
        The folders of the shards that lack others of their plan, whichever of them are in the set.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        with Shard(self.paths[0]) as first:
            self.config, self.views = first.config, first.views
            of_first, tables = index_entry(first), {}
            tables[of_first.classes_digest] = first.class_names
        index = ShardIndex(self.paths)
        looked_at = tqdm(self.paths, unit="shard", delay=SHOW_PROGRESS_AFTER_SECONDS, **bar_settings())
        entries = [index.find(path) or self._look_at(path, index) for path in looked_at]
        for path, entry in zip(self.paths, entries, strict=True):
            if entry.options_digest != of_first.options_digest:
                self._refuse(path)
        index.save()
        self.lengths = [entry.clips for entry in entries]
        self.content_hashes = [entry.content_hash for entry in entries]
        self.common_classes = self._unite_classes([entry.classes_digest for entry in entries], tables)
        self.classes = self.common_classes.names
        self._pool = ShardPool(self.paths, self.content_hashes, self.common_classes)
        self.failure_count = sum(entry.failures for entry in entries)
        self.columns = ColumnReader(self)
        self.incomplete = find_incomplete(self.paths)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)

    @staticmethod
    def _look_at(path: Path, index: ShardIndex) -> IndexEntry:
        """Open a shard, which checks it, and remember what the set needs of it."""
        with Shard(path) as shard:
            entry = index_entry(shard)
        index.add(path, entry)
        return entry

    def _unite_classes(self, digests: Sequence[str], tables: dict[str, list[str]]) -> CommonClasses:
        """Put the tables of classes of all shards together; each that is not in `tables` is read once."""
        for path, digest in zip(self.paths, digests, strict=True):
            if digest not in tables:
                with Shard(path) as shard:
                    tables[digest] = shard.class_names
        names, numbers = unite_classes(tables.values())
        numbers_of = dict(zip(tables, numbers, strict=True))
        return CommonClasses(names, [numbers_of[digest] for digest in digests])

    def _refuse(self, path: Path) -> None:
        """Say in what a shard differs from the first."""
        with Shard(path) as shard:
            differing = [name for name, value in self.config.items() if shard.config.get(name) != value]
            differing += [name for name in shard.config if name not in self.config]
            if not np.array_equal(self.views, shard.views):
                differing.append("views")
        raise ShardError(
            f"{path} and {self.paths[0]} were made with different options ({', '.join(differing)}): "
            "read them apart, or label one of the folders again"
        )

    @property
    def has_labels(self) -> bool:
        """Whether the shards hold labels (shards of test data may not)."""
        return len(self.views) > 0

    def shard(self, number: int) -> Shard:
        """Return shard `number`, opened; it stays open until others push it out."""
        return self._pool.get(number)

    def locate(self, index: int) -> tuple[Shard, int]:
        """Return the shard that holds clip `index`, and the clip's number there."""
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self.shard(number), index - self.start(number)

    def shard_numbers(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each clip the number of its shard: (n,) int64."""
        return np.searchsorted(self._starts, indices, side="right") - 1

    def start(self, number: int) -> int:
        """Return the place of the first clip of shard `number`."""
        return int(self._starts[number])

    def read_frames(self, index: int) -> NDArray[np.uint8]:
        """Read a clip's frames: (16, 128, 171, 3) uint8 RGB."""
        shard, clip = self.locate(index)
        return shard.read_frames(clip)

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
        return [video for _, shard in self.each_shard() for video in read_videos(shard)]

    @property
    def failures(self) -> list[Failure]:
        """Every video that could not be used, shard by shard."""
        return [failure for _, shard in self.each_shard() for failure in read_failures(shard)]

    @property
    def clips(self) -> ClipSelection:
        """All clips, to choose from."""
        return ClipSelection(self, np.arange(len(self), dtype=np.int64))

    def where(
        self,
        *,
        video: str | None = None,
        class_name: str | None = None,
        min_motion: float | None = None,
        max_motion: float | None = None,
        view: int = 0,
        **labels: int | Collection[int],
    ) -> ClipSelection:
        """Choose clips: ``shards.where(video="*Biking*", min_motion=0.1, grid_ul=6)``.

        Parameters and errors are those of `mas_labels.shards.selection.ClipSelection.where`.
        """
        return self.clips.where(
            video=video,
            class_name=class_name,
            min_motion=min_motion,
            max_motion=max_motion,
            view=view,
            **labels,
        )

    def table(self, view: int = 0) -> pandas.DataFrame:
        """Return all clips as a pandas table; see `mas_labels.shards.selection.ClipSelection.table`."""
        return self.clips.table(view)

    @cached_property
    def label_counts(self) -> LabelCounts:
        """How often each label has each value, in all shards, or in 200 of them if there are more."""
        from mas_labels.shards.columns import count_labels

        return count_labels(self)

    def each_shard(self, numbers: Iterable[int] | None = None) -> Iterator[tuple[int, Shard]]:
        """Yield each shard, or those of some numbers, opened until the next one is asked for.

        Notes
        -----
        For whoever goes through all of them: `shard` would keep them open, and HDF5 gets slow with many.
        """
        for number in range(len(self.paths)) if numbers is None else numbers:
            if len(self.paths) <= FEW_SHARDS:
                yield number, self.shard(number)
            else:
                with self._pool.open_anew(number) as shard:
                    yield number, shard

    def __len__(self) -> int:
        return int(self._starts[-1])

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> ClipSelection: ...
    def __getitem__(self, index: int | slice) -> Clip | ClipSelection:
        if isinstance(index, slice):
            return self.clips[index]
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return Clip(self, int(index) % len(self))

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
        words, _, options = repr(self).partition("\n")
        folders = sorted({str(path.parent) for path in self.paths})
        where = folders[0] if len(folders) == 1 else f"{len(folders)} folders"
        return (
            f"<p><b>{html.escape(words)}</b><br>{html.escape(printable(where))}</p>"
            f"<p><small>{html.escape(printable(options))}</small></p>"
        )


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
