"""The 13 appearance labels (paper, section 3.3): where colour changes most and least, and which colour rules.

All sums are of whole numbers, so exact: a label does not depend on the order of summation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mas_labels.conventions import Convention
from mas_labels.errors import InputError
from mas_labels.patterns import Cells, cells
from mas_labels.schema import APPEARANCE_NAMES, COLOURS, PATTERNS, VIEW_SIZE

DominantColour = Callable[[NDArray[np.float64]], int]
"""Gives the number of the dominant colour of some cells, told by (cells,) of zeros and ones."""

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
    shape
        The cells the view is made of.
    scores
        For each pattern (blocks,) float64, the IoU scores.
    dominant
        Gives the number of the dominant colour of the cells it is handed, (cells,) of zeros and ones.
    """

    shape: Cells
    scores: dict[str, NDArray[np.float64]]
    dominant: DominantColour

    def labels(self, mirrored: bool) -> list[int]:
        """Return the 13 appearance labels in the order of `schema.APPEARANCE_NAMES`."""
        values = {"C": self.dominant(np.ones(self.shape.count))}
        for pattern in PATTERNS:
            members = self.shape.members[pattern]
            order = self.shape.mirrored_blocks[pattern] if mirrored else np.arange(len(members))
            scores = self.scores[pattern][order]
            for letter, block in (("d", int(np.argmin(scores))), ("s", int(np.argmax(scores)))):
                values[f"{pattern}_p{letter}"] = 1 + block
                values[f"{pattern}_c{letter}"] = self.dominant(members[order[block]])
        return [values[name] for name in APPEARANCE_NAMES]


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
        scores = {}
        for pattern in PATTERNS:
            members = shape.members[pattern].astype(np.float32)
            blocks = members @ histograms.reshape(shape.count, -1)
            scores[pattern] = iou_scores(blocks.reshape(len(members), *histograms.shape[1:]))
        rule = self._colour_rule if self.palette.size else self._octant_rule
        return CropStatistics(shape, scores, rule(shape, self.colour_ids[at]))

    def _histograms(self, shape: Cells, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Count the levels of each cell, frame and channel: (cells, T, 3, 256) float32 of whole numbers."""
        offsets = (shape.map * LEVELS).ravel()
        size = shape.count * LEVELS
        channels = np.moveaxis(frames, -1, 1).reshape(-1, VIEW_SIZE * VIEW_SIZE)
        counts = [np.bincount(offsets + channel, minlength=size) for channel in channels]
        stacked = np.asarray(counts, np.float32).reshape(len(frames), 3, shape.count, LEVELS)
        return np.ascontiguousarray(stacked.transpose(2, 0, 1, 3))

    def _octant_rule(self, shape: Cells, ids: NDArray[np.intp]) -> DominantColour:
        """Find the fullest octant among cells; ties go to the lowest number."""
        index = shape.map * COLOURS + ids
        counts = np.bincount(index.ravel(), minlength=shape.count * COLOURS).reshape(shape.count, COLOURS)
        by_number = np.empty_like(counts)
        by_number[:, np.asarray(self.convention.colour_numbers) - 1] = counts
        return lambda among: 1 + int(np.argmax(among @ by_number))

    def _colour_rule(self, shape: Cells, ids: NDArray[np.intp]) -> DominantColour:
        """Find the octant of the most frequent colour among cells; ties go to the lowest code."""

        def dominant(among: NDArray[np.float64]) -> int:
            counts = np.bincount(ids[:, among.astype(bool)[shape.map]].ravel())
            code = int(self.palette[np.argmax(counts)])
            rgb = np.array([code % LEVELS, code // LEVELS % LEVELS, code // LEVELS**2], np.uint8)
            return self.convention.colour_numbers[int(octant_index(rgb))]

        return dominant
