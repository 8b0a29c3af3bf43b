"""Features of videos from those of their clips."""

from __future__ import annotations

import numpy as np
import pytest

from mas_labels.errors import InputError
from mas_train.model.video_means import RunningMean, VideoMeans


def test_clips_are_averaged_by_video() -> None:
    values = np.array([[1.0, 0], [3, 4], [5, 6], [1, 1]])
    means = VideoMeans(np.array([0, 0, 0, 1]), 2)
    means.add([3, 0], values[[3, 0]])
    means.add([1, 2], values[[1, 2]])
    np.testing.assert_allclose(means.result(), [[3.0, 10 / 3], [1, 1]])
    with pytest.raises(InputError, match="expected clips of videos 0 to 2"):
        VideoMeans(np.array([0, 0, 2, 2]), 3)
    with pytest.raises(InputError, match="expected values"):
        means.add([0], values)


def test_the_mean_of_one_video_is_the_same_to_the_bit() -> None:
    values = np.random.default_rng(0).lognormal(0, 5, (23, 7)).astype(np.float32)
    means, running = VideoMeans(np.zeros(23, np.int64), 1), RunningMean()
    means.add(range(10), values[:10])
    means.add(range(10, 23), values[10:])
    for row in values:
        running.add(row)
    np.testing.assert_array_equal(running.result(), means.result()[0])
