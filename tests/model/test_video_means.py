"""Features of videos from those of their clips."""

from __future__ import annotations

import numpy as np
import pytest

from mas_labels.errors import InputError
from mas_train.model.video_means import VideoMeans


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
