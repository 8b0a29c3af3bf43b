"""Writes one shard atomically.

A shard is written to a hidden file. When it is complete it is synced, read back, compared with what was
written, and renamed, and the folder is synced. So a file under its final name is complete, and a killed run
leaves only a hidden file, which the next run overwrites.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels import schema
from mas_labels.config import LabelConfig, canonical_json
from mas_labels.datasets.listing import VideoRecord
from mas_labels.errors import ShardError, VideoError
from mas_labels.labels.compute import ClipStatistics
from mas_labels.shards.digests import DataDigest, content_hash
from mas_labels.shards.frames import encode_jpeg
from mas_labels.shards.hdf5_file import GZIP_LEVEL, GrowingColumn, PartialFile
from mas_labels.shards.reader import Shard
from mas_labels.video.reader import VideoFacts
from mas_labels.video.shot_cut import has_cut

MAX_WRITTEN_CHUNK_BYTES: Final = 1 << 18
"""Largest chunk of several rows: a clip's JPEG frames lie in one or two."""
MAX_CHUNK_ROWS: Final = {"clips": 256, "frame offsets": 4096, "bytes": MAX_WRITTEN_CHUNK_BYTES}
"""Maximum rows of a chunk; the last chunk is stored at full size, so short columns have short chunks."""


class ShardWriter:
    """Writes one shard; use it in a ``with`` block, which publishes it on success and removes it on failure.

    Parameters
    ----------
    path
        Final name. Its folder must exist.
    config
        Options of the run; stored in the shard.
    plan
        Entry of the plan that the shard fulfils; stored as JSON.
    views
        (V, 3) int16, the table of views.
    classes
        Names of the data set's classes.
    versions
        Versions of the software that makes it; stored as JSON.
    replace
        True: an existing shard of that name is replaced when this one is complete.

    Raises
    ------
    ConfigError
        If another process is writing the same shard.
    StorageError
        If the disk is full, or writing fails.
    """

    def __init__(
        self,
        path: Path,
        config: LabelConfig,
        plan: dict[str, Any],
        views: NDArray[np.int16],
        classes: tuple[str, ...],
        versions: dict[str, str],
        replace: bool = False,
    ) -> None:
        self.path = path
        self.config = config
        self._texts = {
            "format": schema.FORMAT_NAME,
            "config": canonical_json(config.as_dict()),
            "plan": canonical_json(plan),
            "versions": canonical_json(versions),
        }
        self.views = views
        self._classes = classes
        self._columns = {column.path: column for column in schema.COLUMNS}
        self._growing: dict[str, GrowingColumn] = {}
        self._digests: dict[str, DataDigest] = {}
        self._tables: dict[str, list[Any]] = {
            c.path: [] for c in schema.COLUMNS if c.rows in ("videos", "failures")
        }
        if not config.skip_cuts:
            del self._tables["videos/skipped_clips"]
        self._frame_bytes = 0
        self.clips = 0
        self._partial = PartialFile(path, replace)
        self._file = self._partial.hdf5
        try:
            self._create()
        except BaseException:
            self._partial.discard()
            raise

    def _create(self) -> None:
        """Create the resizable data sets, and write the tables that are known from the start."""
        is_stored = {"frames/raw": self.config.frames == "raw", "frames/jpeg": self.config.frames == "jpeg"}
        is_stored["frames/offsets"] = is_stored["frames/jpeg"]
        is_stored["clips/mu"] = is_stored["clips/mv"] = self.config.store_boundaries
        is_stored["clips/flow"] = self.config.store_flow
        is_stored["clips/labels"] = is_stored["clips/motion"] = not self.config.frames_only
        for column in schema.COLUMNS:
            if column.rows in ("clips", "bytes", "frame offsets") and is_stored.get(column.path, True):
                self._create_growing(column)
        self._write_table("views", self.views)
        self._write_table("classes", _as_bytes(self._classes))
        if is_stored["frames/offsets"]:
            self._append("frames/offsets", np.zeros(1, np.uint64))

    def _create_growing(self, column: schema.Column) -> None:
        """Create an empty data set with a resizable first axis."""
        shape = self.config.geometry.row_shape(column, len(self.views))
        row_bytes = int(np.dtype(column.dtype).itemsize * np.prod(shape, dtype=np.int64))
        rows = min(max(1, MAX_WRITTEN_CHUNK_BYTES // max(1, row_bytes)), MAX_CHUNK_ROWS[column.rows])
        deflated = {"compression": "gzip", "compression_opts": GZIP_LEVEL, "shuffle": True}
        dataset = self._file.create_dataset(
            column.path,
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(rows, *(max(1, extent) for extent in shape)),
            dtype=column.dtype,
            fletcher32=True,
            track_times=False,
            **(deflated if column.compressed else {}),
        )
        self._growing[column.path] = GrowingColumn(dataset)
        self._digests[column.path] = DataDigest()
        self._digests[column.path].update(np.empty((0, *shape), column.dtype))

    def _append(self, path: str, rows: NDArray[Any]) -> None:
        """Append rows to a resizable data set."""
        column = self._growing[path]
        rows = np.array(rows, column.dtype, order="C")  # a copy: it is buffered
        self._partial.reserve(rows.nbytes)
        column.append(rows)
        self._digests[path].update(rows)

    def _write_table(self, path: str, rows: NDArray[Any]) -> None:
        """Write a whole data set at once."""
        self._partial.reserve(rows.nbytes)
        max_rows = max(1, MAX_WRITTEN_CHUNK_BYTES // rows.itemsize)
        chunks = (min(len(rows), max_rows), *rows.shape[1:])
        chunked = {"chunks": chunks, "fletcher32": True} if rows.size else {}
        dataset = self._file.create_dataset(path, data=rows, track_times=False, **chunked)
        dataset.flush()  # now, not when the last reference is gone: a profiler of stack frames may hold one
        self._digests[path] = DataDigest()
        self._digests[path].update(rows)

    def add_clip(
        self,
        start_frame: int,
        frames: NDArray[np.uint8],
        statistics: ClipStatistics | None = None,
        flow: NDArray[np.float32] | None = None,
    ) -> None:
        """Append a clip; `add_video` names its video after the last clip.

        Parameters
        ----------
        start_frame
            Number of its first frame in the video, from 0.
        frames
            (frames, rows, cols, 3) uint8 RGB, of the geometry of `config`.
        statistics
            Its labels and motion boundaries; None with `LabelConfig.frames_only`.
        flow
            (frames - 1, rows, cols, 2) float32; None with `LabelConfig.frames_only`.
        """
        self._append("clips/video", np.array([len(self._tables["videos/path"])]))
        self._append("clips/start_frame", np.array([start_frame]))
        for path, row in clip_rows(self.config, frames, statistics, flow).items():
            self._append(path, row[None])
        if self.config.frames == "jpeg":
            self._append_jpeg(encode_frames(frames, self.config.jpeg_quality))
        self.clips += 1

    def _append_jpeg(self, jpegs: list[NDArray[np.uint8]]) -> None:
        """Append a clip's JPEG frames and the offset of the end of each."""
        ends = self._frame_bytes + np.cumsum([data.size for data in jpegs])
        self._append("frames/jpeg", np.concatenate(jpegs))
        self._append("frames/offsets", ends)
        self._frame_bytes = int(ends[-1])

    def add_video(self, record: VideoRecord, facts: VideoFacts, clips: int, skipped_clips: int = 0) -> None:
        """Add the video that the last `clips` clips are from, and from which others were left out."""
        row = {
            "path": os.fsencode(record.path),
            "class_index": record.class_index,
            "splits": os.fsencode(",".join(record.splits)),
            "group": os.fsencode(record.group or ""),
            "frames": facts.frames,
            "bytes": facts.file_bytes,
            "fps": facts.fps,
            "size": (facts.rows, facts.cols),
            "clips": clips,
        }
        if self.config.skip_cuts:
            row["skipped_clips"] = skipped_clips
        for name, value in row.items():
            self._tables[f"videos/{name}"].append(value)

    def add_failure(self, path: str, error: VideoError) -> None:
        """Add a video that could not be used, or not to its end."""
        row = {"path": path, "stage": error.stage, "code": error.code, "message": error.message}
        for name, value in row.items():
            self._tables[f"failures/{name}"].append(os.fsencode(value))

    def _write_tables(self) -> None:
        """Write the tables of videos and failures."""
        for path, rows in self._tables.items():
            column = self._columns[path]
            shape = (len(rows), *self.config.geometry.row_shape(column, len(self.views)))
            table = _as_bytes(rows) if column.dtype == "S" else np.array(rows, column.dtype).reshape(shape)
            self._write_table(path, table)

    def publish(self) -> None:
        """Complete the shard, verify it, and rename it to its final name."""
        for column in self._growing.values():
            column.finish()
        self._write_tables()
        attributes = {name: np.bytes_(text.encode("ascii")) for name, text in self._texts.items()}
        self._file.attrs.update({**attributes, "schema_version": np.int64(schema.SCHEMA_VERSION)})
        content = content_hash(schema.SCHEMA_VERSION, self._texts, self._digests)
        self._file.attrs["content_hash"] = np.bytes_(content)
        self._partial.close()
        with Shard(self._partial.hidden) as shard:
            shard.verify()
            if shard.content_hash != content:
                raise ShardError(f"{self.path}: the data read back are not the data written: check the disk")
        self._partial.publish()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.publish()
        except BaseException:
            self._partial.discard()
            raise
        if kind is not None:
            self._partial.discard()


def clip_rows(
    config: LabelConfig,
    frames: NDArray[np.uint8],
    statistics: ClipStatistics | None,
    flow: NDArray[np.float32] | None,
) -> dict[str, NDArray[Any]]:
    """Return the row of a clip in each data set, as it is stored: cut, labels, boundaries, flow, raw frames.

    Parameters are those of `ShardWriter.add_clip`. JPEG frames are not included, see `encode_frames`.
    """
    cut = not config.skip_cuts and has_cut(frames)  # with `skip_cuts`, none across a cut has come this far
    rows: dict[str, NDArray[Any]] = {"clips/cut": np.array(cut, np.uint8)}
    if statistics is not None:
        rows |= {"clips/labels": statistics.labels, "clips/motion": statistics.motion}
        if config.store_boundaries:
            rows |= {"clips/mu": _to_half(statistics.mu), "clips/mv": _to_half(statistics.mv)}
    if flow is not None and config.store_flow:
        rows["clips/flow"] = _to_half(flow)
    if config.frames == "raw":
        rows["frames/raw"] = frames
    return rows


def encode_frames(frames: NDArray[np.uint8], quality: int) -> list[NDArray[np.uint8]]:
    """Encode each frame of a clip as JPEG: (bytes,) uint8 each."""
    return [encode_jpeg(frame, quality) for frame in frames]


def _as_bytes(values: Any) -> NDArray[np.bytes_]:
    """Return texts or bytes as fixed-length bytes, of length 1 or more (HDF5 has no empty string type)."""
    encoded = [value if isinstance(value, bytes) else os.fsencode(value) for value in values]
    return np.array(encoded, dtype=f"S{max([1, *map(len, encoded)])}")


def _to_half(field: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to float16; values beyond its range become its largest value."""
    largest = np.finfo(np.float16).max
    return np.clip(field, -largest, largest).astype(np.float16)
