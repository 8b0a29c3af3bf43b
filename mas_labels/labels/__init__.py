"""The 27 motion and appearance labels of a view of a clip (paper, sections 3.2 and 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mas_labels.lazy import load_lazily

if TYPE_CHECKING:
    from mas_labels.labels.compute import compute_labels
    from mas_labels.labels.motion_boundary import motion_boundaries
    from mas_labels.labels.patterns import block_maps
else:
    __getattr__, __dir__ = load_lazily(
        __name__,
        {
            "block_maps": "mas_labels.labels.patterns",
            "compute_labels": "mas_labels.labels.compute",
            "motion_boundaries": "mas_labels.labels.motion_boundary",
        },
    )

__all__ = ["block_maps", "compute_labels", "motion_boundaries"]
