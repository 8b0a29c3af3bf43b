"""Detection of letterboxed clips: dark bars cover part of every view, and look like motion boundaries."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ShardError
from mas_labels.shards.frames import decode_jpeg
from mas_labels.shards.reader import Shard
from mas_labels.shards.validation import REGENERATE

MAX_BRIGHTNESS: Final = 40
"""Largest value of red, green or blue in a bar: black in video is 16, and JPEG adds a little."""
MIN_BAR: Final = 4
"""Smallest height or width of a bar, in pixels."""
MAX_SHARE: Final = 0.6
"""Largest share of the frame that bars may cover: if it is more, the picture itself is dark."""
RULE: Final = (
    f"A clip counts as letterboxed if at least {MIN_BAR} rows at the top and at the bottom, or {MIN_BAR} "
    f"columns at the left and at the right, hold no value above {MAX_BRIGHTNESS} of 255 in its first, middle "
    f"and last frame, and these bars cover at most {MAX_SHARE:.0%} of the frame."
)


def dark_bars(frames: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Measure the dark bars at the edges of frames, (N, rows, cols, 3) uint8.

    Returns
    -------
    tuple of int
        Number of rows at the top and at the bottom, and of columns at the left and at the right, that are
        dark in all frames.
    """
    dark = frames.max(axis=(0, 3)) <= MAX_BRIGHTNESS  # (rows, cols)
    rows, cols = dark.all(axis=1), dark.all(axis=0)
    top, bottom, left, right = (_leading(line) for line in (rows, rows[::-1], cols, cols[::-1]))
    return top, bottom, left, right


def is_letterboxed(frames: NDArray[np.uint8]) -> bool:
    """Return whether frames, (N, rows, cols, 3) uint8, have bars by `RULE`."""
    top, bottom, left, right = dark_bars(frames)
    rows, cols = frames.shape[1:3]
    has_rows = min(top, bottom) >= MIN_BAR and top + bottom <= MAX_SHARE * rows
    has_cols = min(left, right) >= MIN_BAR and left + right <= MAX_SHARE * cols
    return has_rows or has_cols


def _leading(line: NDArray[np.bool_]) -> int:
    """Return the number of true values before the first false one."""
    return len(line) if line.all() else int(line.argmin())


def read_some_frames(shard: Shard, clip: int, numbers: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read a few frames of a clip, (n, rows, cols, 3) uint8 RGB, decoding no others.

    Raises
    ------
    ShardError
        If they are corrupt.
    """
    if "frames/raw" in shard:
        return shard.read("frames/raw", clip)[list(numbers)]
    coded = shard.read_jpegs(clip)
    frames = np.empty((len(numbers), *shard.geometry.clip_shape[1:]), np.uint8)
    for number, out in zip(numbers, frames, strict=True):
        if not decode_jpeg(coded[number], out):
            raise ShardError(f"{shard.path}: a frame of clip {clip} is no JPEG: {REGENERATE}")
    return frames
