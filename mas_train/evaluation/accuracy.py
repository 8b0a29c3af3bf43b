"""Action recognition: video-level accuracy (paper, sections 4.2 and 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError

TOP = 5
"""Classes that the lenient accuracy looks at."""


@dataclass(frozen=True)
class Accuracy:
    """How well videos were recognised.

    Attributes
    ----------
    top1, top5
        Share of all videos, failed ones included, whose class has the highest score, or is among the five.
    per_class
        Share of each class's videos that were recognised; NaN for a class without videos.
    confusion
        (C, C + 1) int64: videos by true class and by class recognised; the last column counts failed ones.
    videos, failed
        Videos in all, and how many of them failed.
    """

    top1: float
    top5: float
    per_class: NDArray[np.float64]
    confusion: NDArray[np.int64]
    videos: int
    failed: int


class VideoMeans:
    """Averages what clips give over the clips of each video, some clips at a time.

    What all clips give need not fit into memory: 4096 numbers for each clip of UCF101 are 2.4 GB.

    Parameters
    ----------
    videos
        (N,), the number of each clip's video, 0 to `count` - 1.
    count
        Number of videos.

    Raises
    ------
    InputError
        A video has no clip.
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
        """Take in what some clips give; every clip once.

        Parameters
        ----------
        clips
            Their numbers.
        values
            (n, D), a row a clip.

        Raises
        ------
        InputError
            A shape is wrong.
        """
        if not self._sums.size:
            self._sums = np.zeros((len(self._clips), *values.shape[1:]))
        if values.ndim != 2 or values.shape != (len(clips), self._sums.shape[1]):
            raise InputError(f"expected values ({len(clips)}, D), found {values.shape}")
        np.add.at(self._sums, self._videos[clips], values)

    def result(self) -> NDArray[np.float32]:
        """Return the means, (count, D)."""
        return (self._sums / self._clips[:, None]).astype(np.float32)


def video_accuracy(
    scores: NDArray[np.floating], truth: NDArray[np.integer], failed_truth: NDArray[np.integer]
) -> Accuracy:
    """Measure accuracy from the scores of videos.

    Parameters
    ----------
    scores
        (V, C), the mean of the clips' class scores of each video.
    truth
        (V,), true class of each video.
    failed_truth
        (F,), true class of each video that gave no clip, -1 if it is not known. They are counted wrong.

    Returns
    -------
    Accuracy

    Raises
    ------
    InputError
        A shape is wrong, a score is not finite, a class is out of range, or there is no video at all.

    Notes
    -----
    Of classes with equal scores the one with the lower number is taken.
    """
    scores, truth, failed_truth = np.asarray(scores), np.asarray(truth), np.asarray(failed_truth, np.int64)
    _check(scores, truth, failed_truth)
    classes = scores.shape[1]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    confusion = np.zeros((classes, classes + 1), np.int64)
    np.add.at(confusion, (truth, best[:, 0]), 1)
    np.add.at(confusion, (failed_truth[failed_truth >= 0], classes), 1)
    videos = len(truth) + len(failed_truth)
    of_class = confusion.sum(axis=1)
    per_class = np.full(classes, np.nan)
    np.divide(confusion.diagonal(), of_class, out=per_class, where=of_class > 0)
    return Accuracy(
        top1=float((best[:, 0] == truth).sum() / videos),
        top5=float((best == truth[:, None]).any(axis=1).sum() / videos),
        per_class=per_class,
        confusion=confusion,
        videos=videos,
        failed=len(failed_truth),
    )


def _check(
    scores: NDArray[np.floating], truth: NDArray[np.integer], failed_truth: NDArray[np.integer]
) -> None:
    if scores.ndim != 2 or truth.shape != scores.shape[:1] or failed_truth.ndim != 1:
        raise InputError(
            f"expected scores (V, C), truth (V,) and failed (F,), found {scores.shape}, {truth.shape} and "
            f"{failed_truth.shape}"
        )
    if not len(truth) + len(failed_truth):
        raise InputError("expected a video or more, found none")
    if not np.isfinite(scores).all():
        raise InputError("expected finite scores, found others: the model has diverged")
    known = np.concatenate([truth, failed_truth[failed_truth != -1]])
    if known.size and not 0 <= known.min() <= known.max() < scores.shape[1]:
        raise InputError(
            f"expected classes 0 to {scores.shape[1] - 1}, found {known.min()} to {known.max()}: "
            "was the model trained on other classes?"
        )
