"""Optical flow between consecutive frames, in pixels per frame (paper, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mas_labels.lazy import load_lazily

if TYPE_CHECKING:
    from mas_labels.flow.estimators import ESTIMATORS, compute_flow
    from mas_labels.flow.tvl1 import tvl1_flow
else:
    __getattr__, __dir__ = load_lazily(
        __name__,
        {
            "ESTIMATORS": "mas_labels.flow.estimators",
            "compute_flow": "mas_labels.flow.estimators",
            "tvl1_flow": "mas_labels.flow.tvl1",
        },
    )

__all__ = ["ESTIMATORS", "compute_flow", "tvl1_flow"]
