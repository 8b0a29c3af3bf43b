from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mas_labels.errors import ShardError
from mas_labels.geometry import Geometry
from mas_labels.labels.label_counts import LabelCounts
from mas_labels.schema import LABEL_NAMES, LABELS


def test_values_are_counted_up_to_the_largest_of_the_geometry():
    counts = LabelCounts(Geometry(clip_frames=32, grid_block=14))
    labels = np.ones((1, 2, LABELS), np.uint8)
    labels[0, 0, LABEL_NAMES.index("grid_ul")], labels[0, 1, LABEL_NAMES.index("ui")] = 64, 31
    counts.add(labels, Path("x.h5"))
    assert counts.shares("grid_ul") == {1: 0.5, **dict.fromkeys(range(2, 64), 0.0), 64: 0.5}
    assert counts.shares("ui") == {1: 0.5, **dict.fromkeys(range(2, 31), 0.0), 31: 0.5}
    labels[0, 0, LABEL_NAMES.index("grid_ul")] = 65
    with pytest.raises(ShardError, match="expected grid_ul of at most 64, found 65"):
        counts.add(labels, Path("x.h5"))
