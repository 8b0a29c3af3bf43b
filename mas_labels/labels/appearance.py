"""The 13 appearance labels (paper, section 3.3): blocks of extreme colour diversity, dominant colours.

All sums are integers and therefore exact: a label does not depend on the order of summation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import Geometry
from mas_labels.labels.block_sums import Backend, ColourSums, Crops
from mas_labels.labels.conventions import Convention
from mas_labels.labels.patterns import block_count, block_slices, mirrored_blocks
from mas_labels.schema import APPEARANCE_NAMES, PATTERNS

FrequentColours = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.int64]]
"""Finds the most frequent colour in blocks: (indices of crops, indices of blocks) -> 24-bit codes."""


def iou_scores(intersection: NDArray[np.int64], union: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the IoU score of the colour histograms of each block over time (paper, equation 2).

    Parameters
    ----------
    intersection, union
        (..., channels): for each channel, the smallest count of each level in any frame, summed over the
        levels; and the same of the largest counts.

    Returns
    -------
    (...) float64 in [0, 1]: intersection over union, averaged over the channels; 1 if the histograms of all
    frames are equal.
    """
    return (intersection / union).mean(axis=-1)


@dataclass(frozen=True)
class AppearanceSums:
    """Per-crop block sums from which the appearance labels of any view follow.

    Attributes
    ----------
    geometry
        Defines the sizes of view and blocks.
    colours
        Intersection and union of histograms, and counts of the octants of RGB.
    frequent_colours
        Finds the most frequent colour of blocks; computed on demand, since one convention alone needs it.
    """

    geometry: Geometry
    colours: ColourSums
    frequent_colours: FrequentColours

    @classmethod
    def of_frames(
        cls,
        frames: NDArray[np.uint8],
        crops: Crops,
        convention: Convention,
        geometry: Geometry,
        backend: Backend,
    ) -> AppearanceSums:
        """Compute the sums of a clip's frames, (T, H, W, 3) uint8 RGB."""
        whole_view = block_count(geometry)

        def frequent_colours(crop: NDArray[np.intp], block: NDArray[np.intp]) -> NDArray[np.int64]:
            pairs, row = np.unique(crop * (whole_view + 1) + block, return_inverse=True)
            crop, block = np.divmod(pairs, whole_view + 1)
            queries = np.column_stack([crops[crop], block]).astype(np.int32)
            return backend.frequent_colours(frames, queries, convention.diagonals, geometry)[row]

        return cls(
            geometry, backend.colour_sums(frames, crops, convention.diagonals, geometry), frequent_colours
        )

    def labels(
        self, crop: NDArray[np.intp], mirrored: NDArray[np.intp], convention: Convention
    ) -> NDArray[np.uint8]:
        """Return the appearance labels of views, (V, 13), in the order of `schema.APPEARANCE_NAMES`.

        Parameters
        ----------
        crop, mirrored
            (V,) each: the index of each view's crop, and 1 for a mirrored view, else 0.
        convention
            Defines the dominant colour.
        """
        values: dict[str, NDArray[np.intp]] = {}
        blocks = {"C": np.full(len(crop), block_count(self.geometry))}
        scores = iou_scores(self.colours.intersection, self.colours.union)
        for pattern in PATTERNS:
            order = mirrored_blocks(self.geometry)[mirrored, block_slices(self.geometry)[pattern]]
            view_scores = scores[crop[:, None], order]
            extremes = (("d", np.argmin(view_scores, axis=1)), ("s", np.argmax(view_scores, axis=1)))
            for letter, block in extremes:
                values[f"{pattern}_p{letter}"] = 1 + block
                blocks[f"{pattern}_c{letter}"] = order[np.arange(len(order)), block]
        block = np.stack(list(blocks.values()))
        crop = np.broadcast_to(crop, block.shape)
        colours = self._dominant_colours(crop.ravel(), block.ravel(), convention)
        values.update(zip(blocks, colours.reshape(block.shape), strict=True))
        return np.stack([values[name] for name in APPEARANCE_NAMES], axis=1).astype(np.uint8)

    def _dominant_colours(
        self, crop: NDArray[np.intp], block: NDArray[np.intp], convention: Convention
    ) -> NDArray[np.intp]:
        """Return the number of the dominant colour of each block; ties go to the lowest number or code."""
        numbers = np.asarray(convention.colour_numbers)
        if convention.dominant_colour == "colour":
            codes = self.frequent_colours(crop, block)
            red, green, blue = (codes >> shift & 0x80 for shift in (0, 8, 16))
            return numbers[(red >> 5) | (green >> 6) | (blue >> 7)]
        whole = self.colours.octants[:, block_slices(self.geometry)["rings"]].sum(axis=1, keepdims=True)
        counts = np.concatenate([self.colours.octants, whole], axis=1)[crop, block]
        by_number = np.empty_like(counts)
        by_number[:, numbers - 1] = counts
        return 1 + np.argmax(by_number, axis=1)
