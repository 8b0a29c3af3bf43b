"""The 13 appearance labels (paper, section 3.3): where colour changes most and least, and which colour rules.

All sums are of whole numbers, so exact: a label does not depend on the order of summation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mas_labels.conventions import Convention
from mas_labels.errors import InputError
from mas_labels.patterns import Cells, cells
from mas_labels.schema import APPEARANCE_NAMES, COLOURS, PATTERNS, VIEW_SIZE

LEVELS = 256
"""Bins of the histogram of one colour channel: one a grey level."""


def check_frames(frames: NDArray[np.uint8]) -> None:
    """Raise `InputError` unless `frames` is (T, H, W, 3) uint8 with at least one frame."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.shape[0] < 1:
        raise InputError(f"frames: expected shape (frames, rows, cols, 3), found {frames.shape}")
    if frames.dtype != np.uint8:
        raise InputError(f"frames: expected RGB as uint8, found dtype {frames.dtype}")


def octant_index(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the octant of RGB of each pixel, 4 [R >= 128] + 2 [G >= 128] + [B >= 128], shape (...,)."""
    high = frames >> 7
    return np.asarray((high[..., 0] << 2) | (high[..., 1] << 1) | high[..., 2], np.uint8)


def iou_scores(histograms: NDArray[np.floating]) -> NDArray[np.float64]:
    """Score how constant each block's colours are over time (paper, equation 2).

    Parameters
    ----------
    histograms
        (blocks, frames, channels, levels), pixel counts.

    Returns
    -------
    (blocks,) float64 in [0, 1]: intersection over union of all frames' histograms, the mean of the channels.
    1 where the histograms of all frames are equal.
    """
    intersection = histograms.min(axis=1).sum(axis=-1, dtype=np.float64)
    union = histograms.max(axis=1).sum(axis=-1, dtype=np.float64)
    return (intersection / union).mean(axis=-1)


@dataclass(frozen=True)
class CropStatistics:
    """What one crop's colours say, in the numbering of the unmirrored view.

    Attributes
    ----------
    scores
        For each pattern (blocks,) float64, the IoU scores.
    colours
        For each pattern (blocks,) int64, the number of each block's dominant colour.
    colour
        The number of the whole view's dominant colour.
    """

    scores: dict[str, NDArray[np.float64]]
    colours: dict[str, NDArray[np.int64]]
    colour: int

    def labels(self, mirrored: bool, shape: Cells) -> list[int]:
        """Return the 13 appearance labels in the order of `schema.APPEARANCE_NAMES`."""
        values = {"C": self.colour}
        for pattern in PATTERNS:
            order = mirrored_blocks(pattern, shape) if mirrored else slice(None)
            scores, colours = self.scores[pattern][order], self.colours[pattern][order]
            for letter, block in (("d", int(np.argmin(scores))), ("s", int(np.argmax(scores)))):
                values[f"{pattern}_p{letter}"] = 1 + block
                values[f"{pattern}_c{letter}"] = int(colours[block])
        return [values[name] for name in APPEARANCE_NAMES]


def mirrored_blocks(pattern: str, shape: Cells) -> NDArray[np.intp]:
    """Return (blocks,) intp: the block (from 0) of the unmirrored view at each block of the mirrored one."""
    members = shape.members[pattern]
    return np.array([int(np.argmax((members == row).all(axis=1))) for row in members[:, shape.mirror]])


@dataclass(frozen=True)
class AppearanceStatistics:
    """A clip's colours, prepared for crops.

    Attributes
    ----------
    convention
        The choices made.
    frames
        (T, H, W, 3) uint8 RGB.
    palette
        (colours,) int64, the codes r + 256 g + 65536 b that occur, ascending (`authors` only, else empty).
    colour_ids
        (T, H, W) intp: each pixel's row in the palette, or its octant if the palette is empty.
    """

    convention: Convention
    frames: NDArray[np.uint8]
    palette: NDArray[np.int64]
    colour_ids: NDArray[np.intp]

    @classmethod
    def of_frames(cls, frames: NDArray[np.uint8], convention: Convention) -> AppearanceStatistics:
        """Prepare a clip's frames, (T, H, W, 3) uint8 RGB."""
        if convention.dominant_colour == "octant":
            return cls(convention, frames, np.empty(0, np.int64), octant_index(frames).astype(np.intp))
        codes = frames.astype(np.int64) @ np.array([1, LEVELS, LEVELS**2])
        palette, ids = np.unique(codes, return_inverse=True)
        return cls(convention, frames, palette, ids.reshape(codes.shape))

    def crop(self, top: int, left: int) -> CropStatistics:
        """Gather the statistics of the crop at (top, left)."""
        shape = cells(self.convention.diagonals)
        at = np.s_[:, top : top + VIEW_SIZE, left : left + VIEW_SIZE]
        histograms = self._histograms(shape, self.frames[at])
        counts = self._colour_counts(shape, self.colour_ids[at])
        scores, colours = {}, {}
        for pattern in PATTERNS:
            members = shape.members[pattern].astype(np.float32)
            blocks = members @ histograms.reshape(shape.count, -1)
            scores[pattern] = iou_scores(blocks.reshape(len(members), *histograms.shape[1:]))
            colours[pattern] = self._colour_numbers(members @ counts)
        return CropStatistics(scores, colours, int(self._colour_numbers(counts.sum(axis=0)[None])[0]))

    def _histograms(self, shape: Cells, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Count the levels of each cell, frame and channel: (cells, T, 3, 256) float32 of whole numbers."""
        offsets = (shape.map * LEVELS).ravel()
        size = shape.count * LEVELS
        channels = np.moveaxis(frames, -1, 1).reshape(-1, VIEW_SIZE * VIEW_SIZE)
        counts = [np.bincount(offsets + channel, minlength=size) for channel in channels]
        stacked = np.asarray(counts, np.float32).reshape(len(frames), 3, shape.count, LEVELS)
        return np.ascontiguousarray(stacked.transpose(2, 0, 1, 3))

    def _colour_counts(self, shape: Cells, ids: NDArray[np.intp]) -> NDArray[np.float32]:
        """Count each cell's colours over all frames: (cells, colours) float32 of whole numbers."""
        colours = max(COLOURS, self.palette.size)
        index = shape.map * colours + ids
        counts = np.bincount(index.ravel(), minlength=shape.count * colours)
        return counts.reshape(shape.count, colours).astype(np.float32)

    def _colour_numbers(self, counts: NDArray[np.float32]) -> NDArray[np.int64]:
        """Turn (blocks, colours) counts into numbers of dominant colours; ties go to the lowest."""
        numbers = np.asarray(self.convention.colour_numbers)
        if self.palette.size == 0:
            by_number = np.empty_like(counts)
            by_number[:, numbers - 1] = counts
            return 1 + np.argmax(by_number, axis=1)
        codes = self.palette[np.argmax(counts, axis=1)]
        rgb = np.stack([codes % LEVELS, codes // LEVELS % LEVELS, codes // LEVELS**2], axis=-1)
        return numbers[octant_index(rgb.astype(np.uint8))]
