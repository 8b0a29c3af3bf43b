"""Whether a shard agrees with itself: tables with tables, frames with JPEG, labels with motion boundaries.

A shard whose bytes are as they were written passes these checks, unless what wrote it was wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mas_labels.config import json_hash
from mas_labels.errors import ShardError
from mas_labels.labels.block_sums import Crops
from mas_labels.labels.compute import choose_backend
from mas_labels.labels.conventions import Convention, get_convention
from mas_labels.labels.motion import MIRROR_SIGNS, orientation_votes
from mas_labels.labels.motion_boundary import UNITS_PER_PIXEL, magnitudes
from mas_labels.labels.patterns import BLOCK_SLICES, block_pixels, mirrored_blocks
from mas_labels.labels.views import view_table
from mas_labels.schema import CLIP_FRAMES, LABEL_NAMES, ORIENTATIONS, PATTERNS
from mas_labels.shards.reader import Shard

HALF_ROUNDING = 2.0**-11
"""Largest relative error of a float16, where it is not below its normal numbers."""
HALF_UNIT = 2.0**-24
"""Spacing of the smallest float16: Mu and Mv are known to half of it at best."""
BIN_DEGREES = 360.0 / ORIENTATIONS


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a shard.

    Attributes
    ----------
    column
        The data set, or ``"file"``.
    clip
        Number of the clip in its shard; None where it is not about one.
    message
        What was expected and found.
    """

    column: str
    clip: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.column}{'' if self.clip is None else f', clip {self.clip}'}: {self.message}"


def find_contradictions(shard: Shard) -> Iterator[Problem]:
    """Yield what in a shard contradicts something else in it: tables first, then clip by clip."""
    yield from _contradicting_tables(shard)
    for clip in range(len(shard)):
        yield from _contradictions_of_clip(shard, clip, get_convention(shard.options.convention))


def _contradicting_tables(shard: Shard) -> Iterator[Problem]:
    """Compare the tables of videos and clips, the classes and the views with what they must be."""
    videos, counts = shard.read("clips/video"), shard.read("videos/clips")
    if not np.array_equal(videos, np.repeat(np.arange(len(counts)), counts)):
        yield Problem("clips/video", None, "does not follow the numbers of clips in videos/clips")
        return
    stride = shard.options.clip_stride_frames
    expected = np.concatenate([np.arange(0), *(stride * np.arange(count) for count in counts)])
    starts = shard.read("clips/start_frame")
    for clip in np.flatnonzero(starts != expected)[:1].tolist():
        yield Problem("clips/start_frame", clip, f"is {starts[clip]}, expected {expected[clip]:.0f}")
    failed = set(shard.read_texts("failures/path"))
    names = shard.read_texts("videos/path")
    for name, count, frames in zip(names, counts.tolist(), shard.read("videos/frames").tolist(), strict=True):
        whole = 0 if frames < CLIP_FRAMES else 1 + (frames - CLIP_FRAMES) // stride
        if count == 0 or count > whole or (count < whole and name not in failed):
            message = f"{name!r} has {count} clips of {frames} frames, expected {whole}"
            yield Problem("videos/clips", None, message)
    fps = shard.read("videos/fps")
    if not np.isfinite(fps).all() or (fps < 0).any():
        yield Problem("videos/fps", None, "is not a number of frames per second")
    if len(shard.views) and not np.array_equal(
        shard.views, view_table(shard.options.view_stride_pixels, shard.options.view_mirrored)
    ):
        yield Problem("views", None, "is not the table that the options stand for")
    if shard.plan.get("classes_hash", None) not in (None, json_hash(shard.read_texts("classes"))):
        yield Problem("classes", None, "are not those of the plan")


def _contradictions_of_clip(shard: Shard, clip: int, convention: Convention) -> Iterator[Problem]:
    """Decode a clip's frames, and compare its labels with their ranges and its motion boundaries."""
    for column, read in (("frames", shard.read_frames), ("clips/labels", shard.read_labels)):
        try:
            read(clip)
        except ShardError as error:
            yield Problem(column, clip, str(error))
            return
    if "clips/motion" in shard and not np.isfinite(shard.read("clips/motion", clip)).all():
        yield Problem("clips/motion", clip, "is not finite")
    if "clips/mu" not in shard:
        return
    labels = shard.read("clips/labels", clip)
    for component, (letter, column) in enumerate((("u", "clips/mu"), ("v", "clips/mv"))):
        boundary = shard.read(column, clip).astype(np.float32)
        if not np.isfinite(boundary).all():
            yield Problem(column, clip, "is not finite")
            continue
        wrong = wrong_motion_labels(boundary, component, letter, labels, shard.views, convention)
        yield from (Problem("clips/labels", clip, f"{name} does not follow from {column}") for name in wrong)


def wrong_motion_labels(
    boundary: NDArray[np.float32],
    component: int,
    letter: str,
    labels: NDArray[np.uint8],
    views: NDArray[np.int16],
    convention: Convention,
) -> list[str]:
    """Name the labels of location and orientation that cannot follow from a stored Mu or Mv.

    Parameters
    ----------
    boundary
        (H, W, 2) float32, as stored (so rounded to float16).
    component, letter
        0 and ``"u"`` for Mu, 1 and ``"v"`` for Mv.
    labels, views
        (V, 27) uint8 and (V, 3) int16.
    convention
        Rules of the labels.

    Notes
    -----
    What was rounded off bounds how far each sum can be from the true one; a label is only called wrong where
    it is not the largest by more than that.
    """
    crops, crop = np.unique(views[:, :2].astype(np.int32), axis=0, return_inverse=True)
    sums = [_BlockSums.of(boundary * sign, crops, convention) for sign in (1, MIRROR_SIGNS[component])]
    wrong: list[str] = []
    for row, mirrored in enumerate(views[:, 2].tolist()):
        wrong += sums[mirrored].wrong(int(crop[row]), mirrored, letter, labels[row], convention)
    return sorted(set(wrong))


@dataclass(frozen=True)
class _BlockSums:
    """Sums over the blocks of crops, in units: magnitudes, votes for bins, how much of a vote is in doubt.

    Attributes
    ----------
    length, doubt
        (C, 28) int64.
    votes
        (C, 28, 8) int64.
    """

    length: NDArray[np.int64]
    doubt: NDArray[np.int64]
    votes: NDArray[np.int64]

    @classmethod
    def of(cls, boundary: NDArray[np.float32], crops: Crops, convention: Convention) -> _BlockSums:
        """Gather them for (H, W, 2)."""
        length = magnitudes(boundary)
        one_bin = np.zeros((1, *length.shape), np.uint8)

        def sum_votes(bins: NDArray[np.uint8], votes: NDArray[np.int64]) -> NDArray[np.int64]:
            return choose_backend().vote_sums(bins, votes, crops, convention.diagonals)

        doubt = np.ceil(_doubt(boundary, length, convention)).astype(np.int64)
        return cls(
            length=sum_votes(one_bin, length[None])[..., 0],
            doubt=sum_votes(one_bin, doubt[None])[..., 0],
            votes=sum_votes(*orientation_votes(boundary, length, convention)),
        )

    def wrong(
        self, crop: int, mirrored: int, letter: str, labels: NDArray[np.uint8], rules: Convention
    ) -> Iterator[str]:
        """Name the labels of one view that cannot be."""
        for pattern in PATTERNS:
            order = mirrored_blocks()[mirrored, BLOCK_SLICES[pattern]]
            pixels, length = block_pixels(rules.diagonals)[order], self.length[crop, order]
            means, slack = length / pixels, 2 * HALF_ROUNDING * length / pixels + 4
            place, turn = (int(labels[LABEL_NAMES.index(f"{pattern}_{letter}{k}")]) - 1 for k in "lo")
            if place < 0:  # `authors`: motionless
                if (means > slack).any():
                    yield f"{pattern}_{letter}l"
                continue
            if means[place] + slack[place] < (means - slack).max():
                yield f"{pattern}_{letter}l"
                continue
            votes, unsure = self.votes[crop, order[place]], self.doubt[crop, order[place]]
            if turn >= 0 and votes[turn] + unsure < votes.max() - unsure:
                yield f"{pattern}_{letter}o"


def _doubt(
    boundary: NDArray[np.float32], length: NDArray[np.int64], convention: Convention
) -> NDArray[np.float64]:
    """Return how much of each pixel's vote may belong to another bin, (H, W) in units."""
    absolute = HALF_UNIT * UNITS_PER_PIXEL * math.sqrt(2) + 1.0  # and a unit, for rounding to units
    turned = np.degrees(2 * HALF_ROUNDING + absolute / np.maximum(length, absolute))
    degrees = np.degrees(np.arctan2(boundary[..., 1], boundary[..., 0]))
    from_edge = np.abs((degrees / BIN_DEGREES) - np.rint(degrees / BIN_DEGREES)) * BIN_DEGREES
    whole = convention.vote == "whole"
    share = (from_edge <= turned) if whole else np.minimum(1.0, turned / BIN_DEGREES)
    return np.asarray(share * length + 2 * HALF_ROUNDING * length + absolute)
