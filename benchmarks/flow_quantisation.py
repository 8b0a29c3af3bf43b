"""Measure what storing flow in 8 bits, as JPEG or as float16 does to it: endpoint errors on real clips.

The flow is our TV-L1 in float32. Pictures are encoded and decoded as `mas-labels flow` and the readers of its
files do. Vectors beyond the bound are counted, and left out of the errors of pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from common import choose_clips, machine, table_parser, write_table
from numpy.typing import NDArray

from mas_labels.flow import compute_flow
from mas_labels.flow.grey import flow_to_grey, grey_to_flow
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.video_flow import encode_picture

Flow = NDArray[np.float32]

PIXELS: list[tuple[int, int]] = [(128, 171), (240, 320)]
BIN = 1e-4
"""Width of the bins of the histogram of errors, pixels."""


def stored_as_picture(options: FlowOptions) -> Callable[[Flow], tuple[Flow, int]]:
    """Return a function that encodes and decodes a field, and returns it with the number of bytes."""

    def store(field: Flow) -> tuple[Flow, int]:
        grey = flow_to_grey(field, options.bound)
        files = [np.frombuffer(encode_picture(grey[..., axis], options), np.uint8) for axis in (0, 1)]
        decoded = [cv2.imdecode(file, cv2.IMREAD_GRAYSCALE) for file in files]
        return grey_to_flow(np.stack(decoded, axis=-1), options.bound), sum(map(len, files))

    return store


def stored_as_float16(field: Flow) -> tuple[Flow, int]:
    """Return a field rounded to float16, and its number of bytes."""
    rounded = field.astype(np.float16)
    return rounded.astype(np.float32), rounded.nbytes


WAYS: dict[str, Callable[[Flow], tuple[Flow, int]]] = {
    "float16, not compressed": stored_as_float16,
    "8 bits, png": stored_as_picture(FlowOptions(picture="png")),
    "8 bits, jpg, quality 95": stored_as_picture(FlowOptions()),
    "8 bits, jpg, quality 75": stored_as_picture(FlowOptions(quality=75)),
}


class Errors:
    """Mean, 99th percentile and maximum of many endpoint errors, and the bytes of the fields."""

    def __init__(self) -> None:
        self.counts = np.zeros(round(100 / BIN), np.int64)
        self.sum = self.largest = 0.0
        self.bytes = self.fields = 0

    def add(self, errors: Flow, size: int) -> None:
        """Add the errors of one field, and its bytes."""
        bins = np.minimum(errors / BIN, len(self.counts) - 1).astype(np.int64)
        self.counts += np.bincount(bins, minlength=len(self.counts))
        self.sum += float(errors.sum(dtype=np.float64))
        self.largest = max(self.largest, float(errors.max(initial=0)))
        self.bytes += size
        self.fields += 1

    def row(self, name: str) -> str:
        """Return the row of the table."""
        total = self.counts.sum()
        p99 = (np.searchsorted(self.counts.cumsum(), 0.99 * total) + 1) * BIN
        mean, size = self.sum / total, self.bytes / self.fields / 1e3
        return f"| {name} | {mean:.5f} | {p99:.4f} | {self.largest:.3f} | {size:.1f} |"


def measure(clips: Sequence[tuple[str, NDArray[np.uint8]]], bound: float) -> str:
    """Return a table of the errors of each way of storing, over all fields of the clips."""
    errors = {name: Errors() for name in WAYS}
    vectors = clipped = 0
    lengths = 0.0
    for _, clip in clips:
        for field in compute_flow(clip):
            inside = (np.abs(field) <= bound).all(axis=-1)
            vectors += inside.size
            clipped += int((~inside).sum())
            lengths += float(np.hypot(field[..., 0], field[..., 1]).sum(dtype=np.float64))
            for name, store in WAYS.items():
                stored, size = store(field)
                distance = np.hypot(*np.moveaxis(stored - field, -1, 0))
                errors[name].add(distance[inside], size)
    lines = [
        f"{vectors / 1e6:.0f} million vectors, {lengths / vectors:.2f} px long on average; "
        f"{clipped / vectors:.4%} are beyond the bound.",
        "",
        "| stored as | mean error, px | 99th percentile | largest | kB a pair |",
        "|---|---|---|---|---|",
        *(errors[name].row(name) for name in WAYS),
    ]
    return "\n".join(lines)


def main() -> None:
    """Parse the options, measure, print and write."""
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=Path, nargs="+", required=True, help="folders of videos")
    parser.add_argument("--count", type=int, default=20, help="videos of each folder, spread evenly")
    options = parser.parse_args()
    bound = FlowOptions.bound
    names = " ".join(folder.name for folder in options.videos)
    parts = [
        f"The first 16 frames of up to {options.count} videos of each folder; bound {bound:g}; {machine()}.",
        f"`python benchmarks/flow_quantisation.py --videos {names} --count {options.count}`",
    ]
    for rows, cols in PIXELS:
        clips = [
            clip for folder in options.videos for clip in choose_clips(folder, options.count, rows, cols)
        ]
        parts += [f"## {rows} x {cols}, {len(clips)} clips", measure(clips, bound)]
    text = "\n\n".join(parts) + "\n"
    write_table(options.out / "flow_quantisation.md", text)


if __name__ == "__main__":
    main()
