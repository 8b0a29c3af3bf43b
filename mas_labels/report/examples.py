"""One example clip per value of each label, and a thumbnail annotated with what the label describes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.geometry import MAX_LABEL, Geometry
from mas_labels.inspect.pattern_panels import ARROW_REACH, arrow_of
from mas_labels.labels.conventions import Convention, get_convention
from mas_labels.labels.patterns import block_maps
from mas_labels.report.letterbox import read_some_frames
from mas_labels.schema import LABEL_NAMES
from mas_labels.shards.frames import encode_jpeg
from mas_labels.shards.shard_set import ShardSet

QUALITY: Final = 80
THUMBNAIL_COLS: Final = 260
"""Most columns of a thumbnail."""
BLOCK_OF: Final = {
    "ul": "ul",
    "uo": "ul",
    "vl": "vl",
    "vo": "vl",
    "pd": "pd",
    "cd": "pd",
    "ps": "ps",
    "cs": "ps",
}
"""Statistic -> the statistic that holds the number of its block."""
Colour = tuple[int, int, int]
INK: Final[Colour] = (255, 210, 31)
HALO: Final[Colour] = (0, 0, 0)


class ExamplePicker:
    """Keeps one clip for each value of each label, drawn at random, but always the same one.

    Attributes
    ----------
    clips
        (27, 256) int64: the clip of each label and value; -1 if there is none.
    """

    def __init__(self) -> None:
        shape = (len(LABEL_NAMES), MAX_LABEL + 1)
        self.clips = np.full(shape, -1, np.int64)
        self._draws = np.full(shape, np.inf)

    def add(self, labels: NDArray[np.uint8], start: int) -> None:
        """Add the labels, (N, 27), of one view of the clips from number `start` on."""
        draws = np.random.default_rng(start).random(len(labels))
        order = np.argsort(draws)
        for number in range(len(LABEL_NAMES)):
            values, first = np.unique(labels[order, number], return_index=True)
            candidates = order[first]
            better = draws[candidates] < self._draws[number, values]
            self.clips[number, values[better]] = start + candidates[better]
            self._draws[number, values[better]] = draws[candidates[better]]

    def of(self, name: str) -> dict[int, int]:
        """Return value -> clip of a label, for the values that occur."""
        row = self.clips[LABEL_NAMES.index(name)]
        return {int(value): int(row[value]) for value in np.flatnonzero(row >= 0)}


def label_thumbnail(shards: ShardSet, index: int, name: str) -> bytes:
    """Draw what a label describes into a frame of a clip's centre view, as JPEG.

    The block is outlined, the orientation is an arrow in it; `ui` and `vi` show the frame they name.
    """
    shard, clip = shards.locate(index)
    labels = dict(zip(LABEL_NAMES, shards.read_labels(index)[0].tolist(), strict=True))
    geometry, side = shards.geometry, shards.geometry.view_size
    frame = labels[name] - 1 if name in ("ui", "vi") else geometry.clip_frames // 2
    top, left, _ = (int(value) for value in shards.views[0])
    picture = read_some_frames(shard, clip, (frame,))[0]
    seen = np.ascontiguousarray(picture[top : top + side, left : left + side])
    pattern, _, statistic = name.rpartition("_")
    if pattern:
        block = labels[f"{pattern}_{BLOCK_OF[statistic]}"]
        if block:  # 0: a motionless grid, by the authors' convention
            _mark_block(seen, pattern, block, geometry)
            if statistic in ("uo", "vo"):
                convention = get_convention(shards.config["convention"])
                _mark_orientation(seen, pattern, block, labels[name], convention, geometry)
    return _encode_thumbnail(seen)


def clip_thumbnail(shards: ShardSet, index: int) -> bytes:
    """Return a clip's whole middle frame, as JPEG."""
    shard, clip = shards.locate(index)
    return _encode_thumbnail(read_some_frames(shard, clip, (shards.geometry.clip_frames // 2,))[0])


def _encode_thumbnail(picture: NDArray[np.uint8]) -> bytes:
    """Encode (rows, cols, 3) uint8 RGB as JPEG, reduced if it is larger than a page shows it."""
    shrink = THUMBNAIL_COLS / picture.shape[1]
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return encode_jpeg(picture, QUALITY).tobytes()


def _mark_block(picture: NDArray[np.uint8], pattern: str, block: int, geometry: Geometry) -> None:
    """Draw the outline of a block into a view, (side, side, 3), in place."""
    mask = (block_maps(geometry)[pattern] == block).astype(np.uint8)
    lines: Sequence[NDArray] = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    if not lines:
        raise InputError(f"expected a block of {pattern}, found {block}")
    for colour, width in ((HALO, 4), (INK, 2)):
        cv2.drawContours(picture, lines, -1, colour, width)


def _mark_orientation(
    picture: NDArray[np.uint8],
    pattern: str,
    block: int,
    orientation: int,
    convention: Convention,
    geometry: Geometry,
) -> None:
    """Draw an orientation as an arrow into the middle of a block, in place."""
    rows, cols = np.nonzero(block_maps(geometry)[pattern] == block)
    row, col = float(rows.mean()), float(cols.mean())
    if pattern == "rings" and block > 1:  # the centre of a ring is not in it
        row -= (block - 0.5) * geometry.ring_width
    d_row, d_col = arrow_of(orientation, convention)
    reach = ARROW_REACH * geometry.view_size
    start, end = (
        (round(col + sign * reach * d_col), round(row + sign * reach * d_row)) for sign in (-1, 1)
    )  # OpenCV takes (col, row)
    for colour, width in ((HALO, 5), (INK, 2)):
        cv2.arrowedLine(picture, start, end, colour, width, cv2.LINE_AA, tipLength=0.45)
