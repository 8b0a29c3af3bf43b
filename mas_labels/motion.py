"""The 14 motion labels (paper, section 3.2): where the largest motion is, which way, and when.

Magnitudes are rounded once to multiples of 2**-20 pixels and added up as integers held in float64. Such sums
are exact, so a label does not depend on the order of summation: ties are ties, on every machine, in every
view.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.conventions import Convention
from mas_labels.motion_boundary import flow_derivatives, sum_boundaries
from mas_labels.patterns import Cells, cells
from mas_labels.schema import MOTION_NAMES, ORIENTATIONS, PATTERNS, VIEW_SIZE

UNITS_PER_PIXEL = 2.0**20
"""Resolution of magnitudes. 112 * 112 of them add up exactly as long as each is below 2**19 pixels."""
MIRROR_SIGNS = np.array([[1, -1], [-1, 1]], np.float32)
"""What mirroring with u negated does to (d/dcol, d/drow) of Mu and of Mv."""

Votes = list[tuple[NDArray[np.intp], NDArray[np.float64]]]
"""Pairs of (bin of each pixel from 0, its vote), each (H, W)."""


def to_units(magnitude: NDArray[np.floating]) -> NDArray[np.float64]:
    """Round magnitudes in pixels to whole units."""
    return np.rint(np.asarray(magnitude, np.float64) * UNITS_PER_PIXEL)


def magnitudes(gradient: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the length of each vector of (..., 2), in units."""
    wide = gradient.astype(np.float64)
    return to_units(np.sqrt(wide[..., 0] ** 2 + wide[..., 1] ** 2))


def octants(d_col: NDArray[np.float32], d_row: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the bin 0..7 of each angle, 45 degrees each, counter-clockwise on the screen from "right".

    By comparisons alone, so exact: an angle on the edge of two bins is in the higher one.
    """
    right, up = d_col, -d_row
    first, second, third = (right > 0) & (up >= 0), (right <= 0) & (up > 0), (right < 0) & (up <= 0)
    quadrant = np.select([first, second, third], [0, 1, 2], 3)
    along = np.choose(quadrant, [right, up, -right, -up])
    across = np.choose(quadrant, [up, -right, -up, right])
    return (2 * quadrant + (across >= along)).astype(np.intp)


def angle_positions(
    d_col: NDArray[np.float32], d_row: NDArray[np.float32], angle: str
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the bin 0..7 of each angle and how far into the bin it lies, 0 to 1."""
    width = 360.0 / ORIENTATIONS
    if angle == "counter-clockwise":
        bins = octants(d_col, d_row)
        position = np.degrees(np.arctan2(-d_row.astype(np.float64), d_col)) % 360.0 / width
        return bins, np.clip(position - bins, 0.0, 1.0)
    _, degrees = cv2.cartToPolar(d_col, d_row, angleInDegrees=True)
    position = degrees.astype(np.float64) / width
    lower = np.floor(position)
    return lower.astype(np.intp) % ORIENTATIONS, position - lower


def orientation_votes(gradient: NDArray[np.float32], convention: Convention) -> Votes:
    """Cast each pixel's magnitude into bins of orientation.

    Parameters
    ----------
    gradient
        (H, W, 2) float32, (d/dcol, d/drow): Mu or Mv.
    convention
        Says how angles are measured and votes are cast.
    """
    d_col, d_row = np.ascontiguousarray(gradient[..., 0]), np.ascontiguousarray(gradient[..., 1])
    length = magnitudes(gradient)
    if convention.vote == "whole" and convention.angle == "counter-clockwise":
        return [(octants(d_col, d_row), length)]
    bins, share = angle_positions(d_col, d_row, convention.angle)
    if convention.vote == "whole":
        return [(bins, length)]
    return [(bins, np.rint(length * (1.0 - share))), ((bins + 1) % ORIENTATIONS, np.rint(length * share))]


@dataclass(frozen=True)
class MotionStatistics:
    """Everything about a clip's motion that does not depend on the view.

    Attributes
    ----------
    convention
        The choices made.
    boundaries
        (2, H, W, 2) float32, Mu and Mv.
    lengths
        (2, H, W) float64, magnitudes of Mu and of Mv in units.
    votes
        ``votes[mirrored][component]``.
    field_sums
        (2, fields, H + 1, W + 1) float64, integral images of each field's own magnitude in units.
    """

    convention: Convention
    boundaries: NDArray[np.float32]
    lengths: NDArray[np.float64]
    votes: list[list[Votes]]
    field_sums: NDArray[np.float64]

    @classmethod
    def of_flow(cls, flow: NDArray[np.float32], convention: Convention) -> MotionStatistics:
        """Gather the statistics of a clip's flow, (fields, H, W, 2) in pixels per frame."""
        per_field = flow_derivatives(flow, convention.derivative)
        boundaries = sum_boundaries(per_field)
        mirrored = boundaries * MIRROR_SIGNS[:, None, None, :]
        field_sums = np.zeros((2, flow.shape[0], flow.shape[1] + 1, flow.shape[2] + 1))
        field_sums[..., 1:, 1:] = magnitudes(per_field).cumsum(axis=-2).cumsum(axis=-1)
        return cls(
            convention=convention,
            boundaries=boundaries,
            lengths=magnitudes(boundaries),
            votes=[[orientation_votes(m, convention) for m in pair] for pair in (boundaries, mirrored)],
            field_sums=field_sums,
        )

    def labels(self, top: int, left: int, mirrored: bool) -> list[int]:
        """Return the 14 motion labels of a view, in the order of `schema.MOTION_NAMES`."""
        shape = cells(self.convention.diagonals)
        crop = np.s_[top : top + VIEW_SIZE, left : left + VIEW_SIZE]
        values: dict[str, int] = {}
        for component, name in enumerate("uv"):
            length = _sum_cells(shape, self.lengths[component][crop], mirrored)
            votes = [(bins[crop], vote[crop]) for bins, vote in self.votes[mirrored][component]]
            histogram = _histogram_cells(shape, votes, mirrored)
            for pattern in PATTERNS:
                location, orientation = self._largest(pattern, shape, length, histogram)
                values[f"{pattern}_{name}l"] = location
                values[f"{pattern}_{name}o"] = orientation
            values[f"{name}i"] = 1 + int(np.argmax(self._crop_sums(component, top, left)))
        return [values[name] for name in MOTION_NAMES]

    def field_means(self) -> NDArray[np.float32]:
        """Return (fields, 2) float32: mean magnitude over the frame of each field's boundaries, in pixels."""
        pixels = self.lengths[0].size
        return (self.field_sums[:, :, -1, -1].T / pixels / UNITS_PER_PIXEL).astype(np.float32)

    def _largest(
        self, pattern: str, shape: Cells, length: NDArray[np.float64], histogram: NDArray[np.float64]
    ) -> tuple[int, int]:
        """Return the block with the largest mean magnitude and its dominant orientation."""
        members = shape.members[pattern]
        means = (members @ length) / (members @ shape.pixels)
        block = int(np.argmax(means))
        if pattern == "grid" and means[block] == 0.0:
            return self.convention.motionless_grid, self.convention.motionless_grid
        return 1 + block, 1 + int(np.argmax(members[block] @ histogram))

    def _crop_sums(self, component: int, top: int, left: int) -> NDArray[np.float64]:
        """Return (fields,): each field's magnitude summed over the view."""
        sums = self.field_sums[component]
        bottom, right = top + VIEW_SIZE, left + VIEW_SIZE
        return sums[:, bottom, right] - sums[:, top, right] - sums[:, bottom, left] + sums[:, top, left]


def _sum_cells(shape: Cells, values: NDArray[np.float64], mirrored: bool) -> NDArray[np.float64]:
    """Sum (112, 112) values over each cell: (cells,), in the mirrored view's order if asked."""
    sums = np.bincount(shape.map.ravel(), weights=values.ravel(), minlength=shape.count).astype(np.float64)
    return sums[shape.mirror] if mirrored else sums


def _histogram_cells(shape: Cells, votes: Votes, mirrored: bool) -> NDArray[np.float64]:
    """Sum votes over each cell and bin: (cells, 8)."""
    size = shape.count * ORIENTATIONS
    sums = np.zeros(size)
    for bins, vote in votes:
        index = shape.map * ORIENTATIONS + bins
        sums += np.bincount(index.ravel(), weights=vote.ravel(), minlength=size)
    histogram = sums.reshape(shape.count, ORIENTATIONS)
    return histogram[shape.mirror] if mirrored else histogram
