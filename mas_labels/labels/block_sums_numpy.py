"""The NumPy backend of the per-block sums: a readable but slow reference."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import Geometry
from mas_labels.labels.block_sums import Backend, ColourSums, Crops, FieldSums
from mas_labels.labels.motion_boundary import flow_derivatives, magnitudes, sum_boundaries
from mas_labels.labels.patterns import block_count, block_masks
from mas_labels.schema import COLOURS, ORIENTATIONS

LEVELS: Final = 256
"""Bins of the histogram of one colour channel: one per level."""


def _cut(images: NDArray, top: int, left: int, geometry: Geometry) -> NDArray:
    """Cut a crop from (n, H, W, ...) images."""
    return images[:, top : top + geometry.view_size, left : left + geometry.view_size]


def field_sums(flow: NDArray[np.float32], derivative: str, crops: Crops, geometry: Geometry) -> FieldSums:
    """Compute Mu, Mv and the sums of magnitudes; see `Backend`."""
    per_field = flow_derivatives(flow, derivative)
    lengths = magnitudes(per_field)
    of_crops = [
        [_cut(component, top, left, geometry).sum(axis=(1, 2)) for component in lengths]
        for top, left in crops.tolist()
    ]
    return FieldSums(
        boundaries=sum_boundaries(per_field),
        of_crops=np.array(of_crops, np.int64).reshape(len(crops), 2, len(flow)),
        of_frame=lengths.sum(axis=(2, 3)),
    )


def vote_sums(
    bins: NDArray[np.uint8], votes: NDArray[np.int64], crops: Crops, diagonals: str, geometry: Geometry
) -> NDArray[np.int64]:
    """Sum the votes for each bin in each block; see `Backend`."""
    masks = block_masks(diagonals, geometry)
    sums = np.zeros((len(crops), block_count(geometry), ORIENTATIONS), np.int64)
    for crop, (top, left) in enumerate(crops.tolist()):
        crop_bins, crop_votes = _cut(bins, top, left, geometry), _cut(votes, top, left, geometry)
        for block, mask in enumerate(masks):
            np.add.at(sums[crop, block], crop_bins[:, mask], crop_votes[:, mask])
    return sums


def colour_sums(frames: NDArray[np.uint8], crops: Crops, diagonals: str, geometry: Geometry) -> ColourSums:
    """Compute the histograms and octants of a clip's frames; see `Backend`."""
    # each level of each frame and channel has its own number, so that one bincount makes all histograms
    count, channels = len(frames), frames.shape[-1]
    number = np.arange(count * channels).reshape(count, 1, 1, channels) * LEVELS + frames
    high = frames >> 7
    octants = (high[..., 0] << 2) | (high[..., 1] << 1) | high[..., 2]
    sums = ColourSums(
        intersection=np.zeros((len(crops), block_count(geometry), channels), np.int64),
        union=np.zeros((len(crops), block_count(geometry), channels), np.int64),
        octants=np.zeros((len(crops), block_count(geometry), COLOURS), np.int64),
    )
    for crop, (top, left) in enumerate(crops.tolist()):
        crop_number, crop_octants = _cut(number, top, left, geometry), _cut(octants, top, left, geometry)
        for block, mask in enumerate(block_masks(diagonals, geometry)):
            histograms = np.bincount(crop_number[:, mask].ravel(), minlength=count * channels * LEVELS)
            histograms = histograms.reshape(count, channels, LEVELS)
            sums.intersection[crop, block] = histograms.min(axis=0).sum(axis=-1)
            sums.union[crop, block] = histograms.max(axis=0).sum(axis=-1)
            sums.octants[crop, block] = np.bincount(crop_octants[:, mask].ravel(), minlength=COLOURS)
    return sums


def frequent_colours(
    frames: NDArray[np.uint8], queries: NDArray[np.int32], diagonals: str, geometry: Geometry
) -> NDArray[np.int64]:
    """Find the most frequent colour of each queried block; see `Backend`."""
    codes = frames.astype(np.int64) @ np.array([1, LEVELS, LEVELS**2])
    whole = np.ones((geometry.view_size, geometry.view_size), bool)
    most_frequent = np.zeros(len(queries), np.int64)
    for row, (top, left, block) in enumerate(queries.tolist()):
        mask = whole if block == block_count(geometry) else block_masks(diagonals, geometry)[block]
        palette, counts = np.unique(_cut(codes, top, left, geometry)[:, mask], return_counts=True)
        most_frequent[row] = palette[np.argmax(counts)]  # the palette is sorted, and argmax takes the first
    return most_frequent


NUMPY_BACKEND = Backend(field_sums, vote_sums, colour_sums, frequent_colours)
