"""Measures each way of storing the parts of a clip: bytes, time to write and to read, error.

    python benchmarks/bench_storage.py --videos DIR [--count 40] [--out benchmarks]

prints the tables and writes them to ``OUT/storage.md``. One clip per video. HDF5 data sets are in memory, in
the chunks of a shard; times are CPU milliseconds of one thread, per clip. HDF5 encodes the chunks, except in
the rows "as in shards", where the code that writes shards does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from common import Clip, choose_clips, machine, table_parser, write_table
from numpy.typing import NDArray

from mas_labels.flow.estimators import compute_flow
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.labels.compute import clip_statistics
from mas_labels.labels.views import view_table
from mas_labels.shards.frames import decode_jpeg, encode_jpeg
from mas_labels.shards.hdf5_file import GZIP_LEVEL, GrowingColumn
from mas_labels.shards.writer import MAX_WRITTEN_CHUNK_BYTES

QUALITIES = (75, 85, 90, 95)
GZIP_LEVELS = (GZIP_LEVEL, 4, 9)
AS_IN_SHARDS = f"**gzip {GZIP_LEVEL}, shuffled, as in shards**"
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "lzf, shuffled": {"compression": "lzf", "shuffle": True},
    **{
        f"gzip {level}, shuffled": {"compression": "gzip", "compression_opts": level, "shuffle": True}
        for level in GZIP_LEVELS
    },
    "gzip 1": {"compression": "gzip", "compression_opts": 1},
}
FILTERS[AS_IN_SHARDS] = FILTERS[f"gzip {GZIP_LEVEL}, shuffled"]


def timed(function: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    """Return the CPU milliseconds of a call, and its result."""
    begin = time.thread_time()
    result = function(*args)
    return 1e3 * (time.thread_time() - begin), result


def frames_table(clips: list[Clip]) -> str:
    """Compare JPEG qualities with raw frames."""
    lines = ["| frames | kB per clip | ms to encode | ms to decode | mean error, grey levels | PSNR, dB |"]
    lines += ["|---|---|---|---|---|---|", f"| raw | {clips[0].nbytes / 1e3:.0f} | 0 | 0 | 0 | - |"]
    for quality in QUALITIES:
        rows = [_jpeg_costs(clip, quality) for clip in clips]
        size, encode, decode, error, psnr = np.mean(rows, axis=0)
        line = f"| JPEG {quality} | {size:.0f} | {encode:.2f} | {decode:.2f} | {error:.2f} | {psnr:.1f} |"
        lines.append(line)
    return "\n".join(lines)


def _jpeg_costs(clip: Clip, quality: int) -> tuple[float, ...]:
    """Return kB, ms to encode, ms to decode, mean error and PSNR of one clip."""
    encode_ms, encoded = timed(lambda: [encode_jpeg(frame, quality) for frame in clip])
    out = np.empty_like(clip)
    decode_ms, _ = timed(lambda: [decode_jpeg(data, frame) for data, frame in zip(encoded, out, strict=True)])
    difference = clip.astype(np.float64) - out
    psnr = 10 * np.log10(255**2 / np.mean(difference**2))
    return sum(data.size for data in encoded) / 1e3, encode_ms, decode_ms, np.abs(difference).mean(), psnr


def filters_table(name: str, rows: list[NDArray[Any]], dtypes: Iterable[type]) -> str:
    """Compare types and filters of one data set."""
    lines = [f"| {name} | filter | kB per clip | ms to write | ms to read | largest error |"]
    lines += ["|---|---|---|---|---|---|"]
    for dtype in dtypes:
        stored = [row.astype(dtype) for row in rows]
        error = max(
            float(np.abs(row - half.astype(row.dtype)).max()) for row, half in zip(rows, stored, strict=True)
        )
        for label, filters in FILTERS.items():
            if label == AS_IN_SHARDS and dtype == np.float32:  # shards have no such numbers
                continue
            size, write_ms, read_ms = _filter_costs(stored, filters, label == AS_IN_SHARDS)
            cells = [
                np.dtype(dtype).name,
                label,
                f"{size:.1f}",
                f"{write_ms:.2f}",
                f"{read_ms:.2f}",
                f"{error:.2g}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _filter_costs(
    rows: list[NDArray[Any]], filters: dict[str, Any], as_in_shards: bool
) -> tuple[float, float, float]:
    """Return kB, ms to write and ms to read of one row, in a file in memory."""
    with h5py.File("benchmark", "w", driver="core", backing_store=False, rdcc_nbytes=0) as file:  # no cache
        chunks = (min(len(rows), max(1, MAX_WRITTEN_CHUNK_BYTES // rows[0].nbytes)), *rows[0].shape)
        count, shape = 0 if as_in_shards else len(rows), rows[0].shape
        more = {"maxshape": (None, *shape), "fletcher32": True, **filters}
        data = file.create_dataset("data", (count, *shape), rows[0].dtype, chunks=chunks, **more)
        write_ms, _ = timed(_append if as_in_shards else _write, data, rows)
        data.id.refresh()
        read_ms, _ = timed(lambda: data[:])
        return data.id.get_storage_size() / 1e3 / len(rows), write_ms / len(rows), read_ms / len(rows)


def _append(data: h5py.Dataset, rows: list[NDArray[Any]]) -> None:
    """Write as `mas_labels.shards.writer.ShardWriter` does."""
    column = GrowingColumn(data)
    for row in rows:
        column.append(row[None])
    column.finish()
    data.flush()


def _write(data: h5py.Dataset, rows: list[NDArray[Any]]) -> None:
    """Let HDF5 write."""
    data[:] = np.stack(rows)
    data.flush()


def main() -> None:
    """Parse the options, measure, print and write."""
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos, searched recursively")
    parser.add_argument("--count", type=int, default=40, help="number of clips, one per video, spread evenly")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    _, rows, cols, _ = DEFAULT_GEOMETRY.clip_shape
    clips = [clip for _, clip in choose_clips(options.videos, options.count, rows, cols)]
    flows = [compute_flow(clip) for clip in clips]
    statistics = [clip_statistics(clip, flow, view_table(8)) for clip, flow in zip(clips, flows, strict=True)]
    boundaries, labels = [s.mu for s in statistics], [s.labels for s in statistics]
    floats = (np.float32, np.float16)
    text = "\n\n".join(
        [
            f"{len(clips)} clips of `{options.videos.name}`; {machine()}, HDF5 {h5py.version.hdf5_version}.",
            f"`python benchmarks/bench_storage.py --videos {options.videos.name} --count {options.count}`",
            f"## Frames\n\n{frames_table(clips)}",
            f"## Mu and Mv\n\n{filters_table('Mu or Mv', boundaries, floats)}",
            f"## Flow\n\n{filters_table('flow', flows, floats)}",
            f"## Labels of 50 views\n\n{filters_table('labels', labels, (np.uint8,))}\n",
        ]
    )
    write_table(options.out / "storage.md", text)


if __name__ == "__main__":
    main()
