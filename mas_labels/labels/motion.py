"""The 14 motion labels (paper, section 3.2): location, orientation and time of the largest motion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import Geometry
from mas_labels.labels.block_sums import Backend, Crops, FieldSums
from mas_labels.labels.conventions import Convention
from mas_labels.labels.motion_boundary import UNITS_PER_PIXEL, check_sums, magnitudes
from mas_labels.labels.patterns import block_pixels, block_slices, mirrored_blocks
from mas_labels.schema import MOTION_NAMES, ORIENTATIONS, PATTERNS

MIRROR_SIGNS = np.array([[1, -1], [-1, 1]], np.float32)
"""Signs of (d/dcol, d/drow) of Mu and of Mv after mirroring with u negated."""

Votes = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Bin of each pixel, from 0, and its vote in units, each (layers, H, W), one layer per vote of a pixel."""


def octants(d_col: NDArray[np.float32], d_row: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the bin 0..7 of each angle, 45 degrees each, counter-clockwise on the screen from "right".

    Computed by comparisons only, and therefore exact: an angle on the edge of two bins is in the higher one.
    """
    right, up = d_col, -d_row
    first, second, third = (right > 0) & (up >= 0), (right <= 0) & (up > 0), (right < 0) & (up <= 0)
    quadrant = np.uint8(3) - np.uint8(3) * first - np.uint8(2) * second - np.uint8(1) * third
    steep, flat = np.abs(up) >= np.abs(right), np.abs(up) <= np.abs(right)
    odd = first | third
    return np.uint8(2) * quadrant + (odd & steep | ~odd & flat)


def angle_positions(
    d_col: NDArray[np.float32], d_row: NDArray[np.float32], angle: str
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the bin 0..7 of each angle and its position in the bin, from 0 to 1."""
    width = 360.0 / ORIENTATIONS
    if angle == "counter-clockwise":
        bins = octants(d_col, d_row)
        position = np.degrees(np.arctan2(-d_row.astype(np.float64), d_col)) % 360.0 / width
        return bins, np.clip(position - bins, 0.0, 1.0)
    _, degrees = cv2.cartToPolar(d_col, d_row, angleInDegrees=True)
    position = degrees.astype(np.float64) / width
    lower = np.floor(position)
    return lower.astype(np.uint8) % ORIENTATIONS, position - lower


def orientation_votes(
    gradient: NDArray[np.float32], length: NDArray[np.int64], convention: Convention
) -> Votes:
    """Vote for orientation bins with the magnitude of each pixel.

    Parameters
    ----------
    gradient
        (H, W, 2) float32, (d/dcol, d/drow): Mu or Mv.
    length
        (H, W) int64, its `magnitudes`.
    convention
        Defines how angles are measured and votes are divided.
    """
    d_col, d_row = np.ascontiguousarray(gradient[..., 0]), np.ascontiguousarray(gradient[..., 1])
    if convention.vote == "whole" and convention.angle == "counter-clockwise":
        return octants(d_col, d_row)[None], length[None]
    bins, share = angle_positions(d_col, d_row, convention.angle)
    if convention.vote == "whole":
        return bins[None], length[None]
    votes = np.stack([np.rint(length * (1.0 - share)), np.rint(length * share)]).astype(np.int64)
    return np.stack([bins, (bins + np.uint8(1)) % ORIENTATIONS]), votes


@dataclass(frozen=True)
class MotionSums:
    """Per-crop block sums from which the motion labels of any view follow.

    Attributes
    ----------
    geometry
        Defines the sizes of view and blocks.
    fields
        Mu and Mv, and the magnitudes of each field.
    magnitude
        (C, 2, blocks) int64: magnitudes of Mu and of Mv summed over each block, in units.
    votes
        (2, C, 2, blocks, 8) int64: sums of votes for each bin, first unmirrored, then with the clip mirrored
        (but in the blocks of the unmirrored view).
    """

    geometry: Geometry
    fields: FieldSums
    magnitude: NDArray[np.int64]
    votes: NDArray[np.int64]

    @classmethod
    def of_flow(
        cls,
        flow: NDArray[np.float32],
        crops: Crops,
        convention: Convention,
        geometry: Geometry,
        backend: Backend,
    ) -> MotionSums:
        """Compute the sums of a clip's flow, (fields, H, W, 2) in pixels per frame."""
        fields = backend.field_sums(flow, convention.derivative, crops, geometry)
        mirrored = fields.boundaries * MIRROR_SIGNS[:, None, None, :]
        lengths = magnitudes(fields.boundaries)
        check_sums(lengths, geometry.view_size**2)
        components = np.zeros(lengths.shape, np.uint8)  # each in a bin of its own
        components[1] = 1

        def sums(bins: NDArray[np.uint8], votes: NDArray[np.int64]) -> NDArray[np.int64]:
            return backend.vote_sums(bins, votes, crops, convention.diagonals, geometry)

        votes = [
            [sums(*orientation_votes(*one, convention)) for one in zip(pair, lengths, strict=True)]
            for pair in (fields.boundaries, mirrored)
        ]
        magnitude = np.moveaxis(sums(components, lengths)[..., :2], -1, 1)
        by_mirroring = np.stack([np.stack(pair, axis=1) for pair in votes])
        return cls(geometry, fields, magnitude, by_mirroring)

    def labels(
        self, crop: NDArray[np.intp], mirrored: NDArray[np.intp], convention: Convention
    ) -> NDArray[np.uint8]:
        """Return the motion labels of views, (V, 14), in the order of `schema.MOTION_NAMES`.

        Parameters
        ----------
        crop, mirrored
            (V,) each: the index of each view's crop, and 1 for a mirrored view, else 0.
        convention
            Defines the labels of a motionless view.
        """
        values: dict[str, NDArray[np.intp]] = {}
        for component, name in enumerate("uv"):
            for pattern in PATTERNS:
                location, orientation = self._find_largest(pattern, component, crop, mirrored, convention)
                values[f"{pattern}_{name}l"], values[f"{pattern}_{name}o"] = location, orientation
            values[f"{name}i"] = 1 + np.argmax(self.fields.of_crops[crop, component], axis=1)
        return np.stack([values[name] for name in MOTION_NAMES], axis=1).astype(np.uint8)

    def _find_largest(
        self,
        pattern: str,
        component: int,
        crop: NDArray[np.intp],
        mirrored: NDArray[np.intp],
        convention: Convention,
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return each view's block of largest mean magnitude, and its dominant orientation."""
        order = mirrored_blocks(self.geometry)[mirrored, block_slices(self.geometry)[pattern]]
        pixels = block_pixels(convention.diagonals, self.geometry)[order]
        means = self.magnitude[crop[:, None], component, order] / pixels
        block = np.argmax(means, axis=1)
        unmirrored_block = order[np.arange(len(order)), block]
        orientation = np.argmax(self.votes[mirrored, crop, component, unmirrored_block], axis=1)
        if pattern != "grid":
            return 1 + block, 1 + orientation
        still, lowest = means.max(axis=1) == 0.0, convention.motionless_grid
        return np.where(still, lowest, 1 + block), np.where(still, lowest, 1 + orientation)

    def field_means(self) -> NDArray[np.float32]:
        """Return (fields, 2) float32: magnitudes of the boundaries averaged over the frame, in pixels."""
        pixels = self.fields.boundaries[0, ..., 0].size
        return (self.fields.of_frame.T / pixels / UNITS_PER_PIXEL).astype(np.float32)
