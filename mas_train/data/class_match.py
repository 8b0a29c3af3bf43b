"""Classes of test shards matched by name with those that a model, or its training shards, know."""

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
    """The classes of test shards as those who are tested number them.

    Attributes
    ----------
    names
        The classes that are known, by number.
    numbers
        (C + 1,) int64: for each class of the test shards its number, -1 for one that is not known; a last -1
        for videos without a class.
    left_out
        Test videos by class, failed ones included, of the classes that are not known.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.int64]
    left_out: dict[str, int]

    def warnings(self) -> list[str]:
        """Say which test videos are left out, in one line; none if all classes are known."""
        return describe_left_out(self.left_out)


def describe_left_out(left_out: dict[str, int]) -> list[str]:
    """Say which test videos are left out, as `ClassMatch.left_out` counts them."""
    if not left_out:
        return []
    names = ", ".join(map(repr, list(left_out)[:3])) + (", ..." if len(left_out) > 3 else "")
    return [
        f"{sum(left_out.values())} test videos of {len(left_out)} classes that the training does not know "
        f"are left out: {names}"
    ]


def match_classes(known: Sequence[str], test: ShardSet) -> ClassMatch:
    """Match the classes of test shards with known ones, by name: order and number need not be the same.

    Case, underscores for spaces and Unicode form of a name do not count.

    Raises
    ------
    DatasetError
        If the training or the test has no classes, or none of the test videos' is known.
    """
    folder = test.paths[0].parent
    if not known:
        raise DatasetError(
            f"the training videos have no classes, so a test on {folder} has nothing to find: train "
            "on shards whose videos lie in folders of classes"
        )
    numbers = np.array([*match_names(test.classes, known), -1], np.int64)
    of_video = np.array([video.class_index for video in test.videos], np.int64)
    of_video = np.concatenate([of_video, failed_videos(test)[1]])
    unknown = of_video[(of_video >= 0) & (numbers[of_video] < 0)]
    if not (of_video >= 0).any():
        raise DatasetError(
            f"the test videos in {folder} have no classes: test on shards whose videos lie in folders of "
            "classes"
        )
    left_out = Counter(test.classes[number] for number in unknown.tolist())
    if len(unknown) == (of_video >= 0).sum():
        raise DatasetError(
            f"none of the classes of the test videos in {folder} is one that the training knows: expected "
            f"such as {known[0]!r}, found such as {min(left_out)!r}. "
            "Test on shards of the same classes"
        )
    return ClassMatch(tuple(known), numbers, dict(sorted(left_out.items())))
