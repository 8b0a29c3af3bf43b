"""Consistency of a shard: between its tables, of its JPEG frames, of labels with motion boundaries.

A shard whose bytes are as they were written passes these checks, unless the writer had an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.config import json_hash
from mas_labels.errors import ShardError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.labels.block_sums import Crops
from mas_labels.labels.compute import choose_backend
from mas_labels.labels.conventions import Convention, get_convention
from mas_labels.labels.motion import MIRROR_SIGNS, orientation_votes
from mas_labels.labels.motion_boundary import UNITS_PER_PIXEL, magnitudes
from mas_labels.labels.patterns import block_pixels, block_slices, mirrored_blocks
from mas_labels.labels.views import view_table
from mas_labels.schema import LABEL_NAMES, ORIENTATIONS, PATTERNS
from mas_labels.shards.reader import Shard

HALF_ROUNDING: Final = 2.0**-11
"""Largest relative rounding error of a float16 in its normal range."""
HALF_UNIT: Final = 2.0**-24
"""Spacing of the smallest float16: Mu and Mv are known to half of it at best."""
BIN_DEGREES: Final = 360.0 / ORIENTATIONS


@dataclass(frozen=True)
class Problem:
    """A problem of a shard.

    Attributes
    ----------
    column
        The data set, or ``"file"``.
    clip
        Row of the clip; None if the problem is not about a single clip.
    message
        Description, with the expected and the found value.
    """

    column: str
    clip: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.column}{'' if self.clip is None else f', clip {self.clip}'}: {self.message}"


def find_contradictions(shard: Shard) -> Iterator[Problem]:
    """Yield the contradictions within a shard: those of its tables, then clip by clip."""
    yield from _contradictions_of_tables(shard)
    for clip in range(len(shard)):
        yield from _contradictions_of_clip(shard, clip, get_convention(shard.options.convention))


def _contradictions_of_tables(shard: Shard) -> Iterator[Problem]:
    """Compare the tables of videos and clips, classes with the plan, and views with the options."""
    videos, counts = shard.read("clips/video"), shard.read("videos/clips")
    if not np.array_equal(videos, np.repeat(np.arange(len(counts)), counts)):
        yield Problem("clips/video", None, "does not follow the numbers of clips in videos/clips")
        return
    stride, extent = shard.options.clip_stride_frames, shard.geometry.extent
    skipped = shard.read("videos/skipped_clips") if "videos/skipped_clips" in shard else np.zeros_like(counts)
    yield from _wrong_start_frames(shard, stride, counts + skipped)
    if "clips/cut" in shard:
        for clip in np.flatnonzero(shard.read("clips/cut") > (not shard.options.skip_cuts))[:1].tolist():
            yield Problem("clips/cut", clip, "is not 0 or 1, or is 1 in spite of --skip-cuts")
    failed = set(shard.read_texts("failures/path"))
    names = shard.read_texts("videos/path")
    rows = zip(names, counts.tolist(), skipped.tolist(), shard.read("videos/frames").tolist(), strict=True)
    for name, kept, left_out, frames in rows:
        expected = 0 if frames < extent else 1 + (frames - extent) // stride
        count = kept + left_out
        if kept == 0 or count > expected or (count < expected and name not in failed):
            message = f"{name!r} has {count} clips of {frames} frames, expected {expected}"
            yield Problem("videos/clips", None, message)
    fps = shard.read("videos/fps")
    if not np.isfinite(fps).all() or (fps < 0).any():
        yield Problem("videos/fps", None, "is not a number of frames per second")
    if len(shard.views) and not np.array_equal(
        shard.views, view_table(shard.options.view_stride_pixels, shard.options.view_mirrored, shard.geometry)
    ):
        yield Problem("views", None, "is not the table that follows from the options")
    if shard.plan.get("classes_hash", None) not in (None, json_hash(shard.read_texts("classes"))):
        yield Problem("classes", None, "are not the classes of the plan")


def _wrong_start_frames(shard: Shard, stride: int, counts: NDArray[np.uint32]) -> Iterator[Problem]:
    """Find the first clip whose start is not that of a clip of its video, or not after the clip before it.

    `counts` are the clips of each video, with those that were left out.
    """
    starts, videos = shard.read("clips/start_frame"), shard.read("clips/video")
    numbers = starts.astype(np.int64) // stride
    before = np.where(np.diff(videos, prepend=-1) == 0, np.roll(numbers, 1), -1)
    wrong = (starts != stride * numbers) | (numbers <= before) | (numbers >= counts[videos])
    for clip in np.flatnonzero(wrong)[:1].tolist():
        later = " or the start of a later clip" if shard.options.skip_cuts else ""
        found = f"is {starts[clip]}, expected {stride * (before[clip] + 1)}{later}"
        yield Problem("clips/start_frame", clip, found)


def _contradictions_of_clip(shard: Shard, clip: int, convention: Convention) -> Iterator[Problem]:
    """Decode a clip's frames; compare its labels with their ranges and with its motion boundaries."""
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
        wrong = wrong_motion_labels(
            boundary, component, letter, labels, shard.views, convention, shard.geometry
        )
        yield from (Problem("clips/labels", clip, f"{name} does not follow from {column}") for name in wrong)


def wrong_motion_labels(
    boundary: NDArray[np.float32],
    component: int,
    letter: str,
    labels: NDArray[np.uint8],
    views: NDArray[np.int16],
    convention: Convention,
    geometry: Geometry = DEFAULT_GEOMETRY,
) -> list[str]:
    """Return the names of location and orientation labels that cannot follow from the stored Mu or Mv.

    Parameters
    ----------
    boundary
        (H, W, 2) float32 in pixels, as stored, that is rounded to float16.
    component, letter
        0 and ``"u"`` for Mu, 1 and ``"v"`` for Mv.
    labels, views
        (V, 27) uint8 and (V, 3) int16.
    convention
        Convention of the labels.
    geometry
        Sizes of views and blocks.

    Notes
    -----
    The rounding errors bound the error of each sum. A label is wrong only if its block or bin is smaller than
    the largest one by more than these bounds.
    """
    crops, crop = np.unique(views[:, :2].astype(np.int32), axis=0, return_inverse=True)
    sums = [
        _BlockSums.of(boundary * sign, crops, convention, geometry) for sign in (1, MIRROR_SIGNS[component])
    ]
    wrong: list[str] = []
    for row, mirrored in enumerate(views[:, 2].tolist()):
        wrong += sums[mirrored].wrong(int(crop[row]), mirrored, letter, labels[row], convention)
    return sorted(set(wrong))


@dataclass(frozen=True)
class _BlockSums:
    """Sums over the blocks of C crops, in units of 1 / `UNITS_PER_PIXEL` pixel.

    Attributes
    ----------
    geometry
        Sizes of views and blocks.
    length
        (C, blocks) int64: magnitudes.
    doubt
        (C, blocks) int64: bounds of the error of the votes.
    votes
        (C, blocks, 8) int64: votes for each orientation bin.
    """

    geometry: Geometry
    length: NDArray[np.int64]
    doubt: NDArray[np.int64]
    votes: NDArray[np.int64]

    @classmethod
    def of(
        cls, boundary: NDArray[np.float32], crops: Crops, convention: Convention, geometry: Geometry
    ) -> _BlockSums:
        """Sum a boundary, (H, W, 2) float32 in pixels, over the blocks of crops."""
        length = magnitudes(boundary)
        one_bin = np.zeros((1, *length.shape), np.uint8)

        def sum_votes(bins: NDArray[np.uint8], votes: NDArray[np.int64]) -> NDArray[np.int64]:
            return choose_backend().vote_sums(bins, votes, crops, convention.diagonals, geometry)

        doubt = np.ceil(_doubt(boundary, length, convention)).astype(np.int64)
        return cls(
            geometry=geometry,
            length=sum_votes(one_bin, length[None])[..., 0],
            doubt=sum_votes(one_bin, doubt[None])[..., 0],
            votes=sum_votes(*orientation_votes(boundary, length, convention)),
        )

    def wrong(
        self, crop: int, mirrored: int, letter: str, labels: NDArray[np.uint8], convention: Convention
    ) -> Iterator[str]:
        """Yield the names of wrong labels of one view."""
        for pattern in PATTERNS:
            order = mirrored_blocks(self.geometry)[mirrored, block_slices(self.geometry)[pattern]]
            pixels = block_pixels(convention.diagonals, self.geometry)[order]
            length = self.length[crop, order]
            means, slack = length / pixels, 2 * HALF_ROUNDING * length / pixels + 4
            location, orientation = (
                int(labels[LABEL_NAMES.index(f"{pattern}_{letter}{k}")]) - 1 for k in "lo"
            )
            if location < 0:  # `authors`: motionless
                if (means > slack).any():
                    yield f"{pattern}_{letter}l"
                continue
            if means[location] + slack[location] < (means - slack).max():
                yield f"{pattern}_{letter}l"
                continue
            votes, doubt = self.votes[crop, order[location]], self.doubt[crop, order[location]]
            if orientation >= 0 and votes[orientation] + doubt < votes.max() - doubt:
                yield f"{pattern}_{letter}o"


def _doubt(
    boundary: NDArray[np.float32], length: NDArray[np.int64], convention: Convention
) -> NDArray[np.float64]:
    """Return the part of each pixel's vote that may belong to another bin: (H, W) float64, in units."""
    absolute = HALF_UNIT * UNITS_PER_PIXEL * math.sqrt(2) + 1.0  # plus one unit, the rounding to units
    angle_error = np.degrees(2 * HALF_ROUNDING + absolute / np.maximum(length, absolute))
    degrees = np.degrees(np.arctan2(boundary[..., 1], boundary[..., 0]))
    from_edge = np.abs((degrees / BIN_DEGREES) - np.rint(degrees / BIN_DEGREES)) * BIN_DEGREES
    is_whole = convention.vote == "whole"
    share = (from_edge <= angle_error) if is_whole else np.minimum(1.0, angle_error / BIN_DEGREES)
    return np.asarray(share * length + 2 * HALF_ROUNDING * length + absolute)
