"""Matching of the classes of test shards, by name, with the classes of a model or of training shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError
from mas_labels.shards import ShardSet, match_names
from mas_train.data.few_labels import failed_videos


@dataclass(frozen=True)
class ClassMatch:
    """The classes of test shards under the numbers of the training classes.

    Attributes
    ----------
    names
        The training classes, by number.
    numbers
        (C + 1,) int64: number of each class of the test shards, -1 for those that are no training class; the
        last entry, -1, is for videos without a class.
    left_out
        Number of test videos, failed ones included, of each class that is no training class.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.int64]
    left_out: dict[str, int]

    def warnings(self) -> list[str]:
        """Return one line about the test videos that are left out; none if all classes are known."""
        return describe_left_out(self.left_out)


def describe_left_out(left_out: dict[str, int]) -> list[str]:
    """Return one line about `ClassMatch.left_out`; none if it is empty."""
    if not left_out:
        return []
    names = ", ".join(map(repr, list(left_out)[:3])) + (", ..." if len(left_out) > 3 else "")
    return [
        f"{sum(left_out.values())} test videos of {len(left_out)} classes without training videos "
        f"are left out: {names}"
    ]


def match_classes(known: Sequence[str], test: ShardSet) -> ClassMatch:
    """Match the classes of test shards with the training classes, by name; their order may differ.

    Names are compared without regard to case, underscores for spaces, and Unicode normalisation.

    Raises
    ------
    DatasetError
        If the training or the test videos have no classes, or no class in common.
    """
    folder = test.paths[0].parent
    if not known:
        raise DatasetError(
            f"the training videos have no classes, so accuracy on {folder} cannot be measured: "
            "train on shards whose videos are in class folders"
        )
    numbers = np.array([*match_names(test.classes, known), -1], np.int64)
    of_video = np.array([video.class_index for video in test.videos], np.int64)
    of_video = np.concatenate([of_video, failed_videos(test)[1]])
    unknown = of_video[(of_video >= 0) & (numbers[of_video] < 0)]
    if not (of_video >= 0).any():
        raise DatasetError(
            f"the test videos in {folder} have no classes: test on shards whose videos are in folders of "
            "classes"
        )
    left_out = Counter(test.classes[number] for number in unknown.tolist())
    if len(unknown) == (of_video >= 0).sum():
        raise DatasetError(
            f"none of the classes of the test videos in {folder} is a training class: expected, "
            f"for example, {known[0]!r}, found {min(left_out)!r}. "
            "Test on shards of the same classes"
        )
    return ClassMatch(tuple(known), numbers, dict(sorted(left_out.items())))
