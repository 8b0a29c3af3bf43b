"""Means of the features of clips over each video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError


class VideoMeans:
    """Running mean of the clips' features over each video, batch by batch.

    The features of all clips need not fit into memory: 4096 numbers for each clip of UCF101 are 2.4 GB.

    Parameters
    ----------
    videos
        (N,), the number of each clip's video, 0 to `count` - 1.
    count
        Number of videos.

    Raises
    ------
    InputError
        If a video has no clip.
    """

    def __init__(self, videos: NDArray[np.integer], count: int) -> None:
        self._videos = videos
        self._clips = np.bincount(videos, minlength=count)
        if len(self._clips) != count or (self._clips == 0).any():
            raise InputError(
                f"expected clips of videos 0 to {count - 1}, found counts {self._clips.tolist()[:10]}"
            )
        self._sums = np.zeros((count, 0))

    def add(self, clips: Sequence[int], values: NDArray[np.floating]) -> None:
        """Add the features of some clips; each clip must be added exactly once.

        Parameters
        ----------
        clips
            Numbers of the clips.
        values
            (n, D) features, one row per clip.

        Raises
        ------
        InputError
            If a shape is wrong.
        """
        if not self._sums.size:
            self._sums = np.zeros((len(self._clips), *values.shape[1:]))
        if values.ndim != 2 or values.shape != (len(clips), self._sums.shape[1]):
            raise InputError(f"expected values ({len(clips)}, D), found {values.shape}")
        np.add.at(self._sums, self._videos[clips], values)

    def result(self) -> NDArray[np.float32]:
        """Return the means, (count, D)."""
        return (self._sums / self._clips[:, None]).astype(np.float32)


class RunningMean:
    """Mean of the rows of one video, in float64 and in their order: that of `VideoMeans`, to the bit."""

    def __init__(self) -> None:
        self.rows = 0
        self._sums = np.zeros(0)

    def add(self, row: NDArray[np.floating]) -> None:
        """Add a row, (D,)."""
        self._sums = row.astype(np.float64) if not self.rows else self._sums + row
        self.rows += 1

    def result(self) -> NDArray[np.float32]:
        """Return the mean, (D,)."""
        return (self._sums / self.rows).astype(np.float32)
