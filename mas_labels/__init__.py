"""Statistical labels of motion and appearance for self-supervised video learning (Wang et al., CVPR 2019).

Names are loaded when they are first used, so that importing one of them (or asking for ``--help``) does not
load OpenCV and HDF5.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mas_labels.errors import explain_import_error
from mas_labels.schema import LABEL_NAMES

if TYPE_CHECKING:
    from mas_labels.flow.estimators import compute_flow
    from mas_labels.labels.compute import compute_labels
    from mas_labels.labels.motion_boundary import motion_boundaries
    from mas_labels.labels.patterns import block_maps
    from mas_labels.shards.shard_set import open_shards

__version__ = "0.1.0"
__all__ = [
    "LABEL_NAMES",
    "block_maps",
    "compute_flow",
    "compute_labels",
    "motion_boundaries",
    "open_shards",
]

_HOMES = {
    "block_maps": "patterns",
    "compute_flow": "flow",
    "compute_labels": "labels",
    "motion_boundaries": "motion_boundary",
    "open_shards": "shard",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ImportError as error:
        raise explain_import_error(error) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
