"""Statistical labels of motion and appearance for self-supervised video learning (Wang et al., CVPR 2019).

The module behind a name is imported when the name is first used, so that ``--help`` loads neither OpenCV nor
HDF5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mas_labels.lazy import load_lazily
from mas_labels.schema import LABEL_NAMES
from mas_labels.version import __version__ as __version__

if TYPE_CHECKING:
    from mas_labels.flow.estimators import compute_flow
    from mas_labels.labels.compute import compute_labels
    from mas_labels.labels.motion_boundary import motion_boundaries
    from mas_labels.labels.patterns import block_maps
    from mas_labels.shards.shard_set import open_shards
else:
    __getattr__, __dir__ = load_lazily(
        __name__,
        {
            "block_maps": "mas_labels.labels.patterns",
            "compute_flow": "mas_labels.flow.estimators",
            "compute_labels": "mas_labels.labels.compute",
            "motion_boundaries": "mas_labels.labels.motion_boundary",
            "open_shards": "mas_labels.shards.shard_set",
        },
    )

__all__ = ["LABEL_NAMES", "block_maps", "compute_flow", "compute_labels", "motion_boundaries", "open_shards"]
