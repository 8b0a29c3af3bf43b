"""Counts the values of the labels in a set of shards."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError, ShardError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.schema import LABEL_NAMES


@dataclass
class LabelCounts:
    """Counts of the values of the 27 labels, over all views of clips.

    Attributes
    ----------
    geometry
        Defines the largest value of each label.
    counts
        For each label, the number of views with each value 0, 1, ...: 27 arrays of int64.
    clips
        Number of clips counted.
    of_clips
        Number of clips in all.
    """

    geometry: Geometry = DEFAULT_GEOMETRY
    counts: list[NDArray[np.int64]] = field(init=False)
    clips: int = 0
    of_clips: int = 0

    def __post_init__(self) -> None:
        self.counts = [np.zeros(largest + 1, np.int64) for largest in self.geometry.label_max]

    def add(self, labels: NDArray[np.uint8], path: Path) -> None:
        """Add the labels (clips, views, 27) of one shard.

        Raises
        ------
        ShardError
            If a label is out of range.
        """
        self.clips += len(labels)
        for index, largest in enumerate(self.geometry.label_max):
            counts = np.bincount(labels[..., index].ravel(), minlength=largest + 1)
            if len(counts) > largest + 1:
                raise ShardError(
                    f"{path}: expected {LABEL_NAMES[index]} of at most {largest}, found {len(counts) - 1}: "
                    f"regenerate the shard"
                )
            self.counts[index] += counts

    def shares(self, name: str) -> dict[int, float]:
        """Return the share of each value of a label, from 0 to 1; without value 0 if it never occurs.

        Raises
        ------
        InputError
            If the label is unknown.
        """
        if name not in LABEL_NAMES:
            raise InputError(f"expected a label, one of {', '.join(LABEL_NAMES)}, found {name!r}")
        counts = self.counts[LABEL_NAMES.index(name)]
        first = 0 if counts[0] else 1
        return {value: float(counts[value] / max(1, counts.sum())) for value in range(first, len(counts))}
