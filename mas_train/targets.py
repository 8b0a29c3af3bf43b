"""Which labels are trained, and as what: the paper's tables 1 to 3, one name a row.

===============================================  =======================================================
row of the paper                                 `targets`
===============================================  =======================================================
table 1: motion pattern 1, 2, 3                  ``motion-grid``, ``motion-rings``, ``motion-triangles``
table 2: motion global                           ``motion-global``
table 2: motion pattern all                      ``motion-local``
table 2: motion pattern all + global; 3: motion  ``motion``
table 3: appearance                              ``appearance``
table 3: joint; all of table 4                   ``joint``
===============================================  =======================================================

This module needs no torch: the command line reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mas_labels.schema import APPEARANCE_NAMES, LABEL_NAMES, MOTION_NAMES, PATTERNS


def _of_pattern(pattern: str) -> tuple[str, ...]:
    return tuple(name for name in MOTION_NAMES if name.startswith(f"{pattern}_"))


TARGETS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "joint": LABEL_NAMES,
        "motion": MOTION_NAMES,
        "appearance": APPEARANCE_NAMES,
        **{f"motion-{pattern}": _of_pattern(pattern) for pattern in PATTERNS},
        "motion-local": tuple(name for pattern in PATTERNS for name in _of_pattern(pattern)),
        "motion-global": ("ui", "vi"),
    }
)
"""Labels trained under each name, in the order of `mas_labels.schema.LABEL_NAMES`."""

TARGET_SCALES: Final = ("raw", "standard")
"""``raw``: the label's number, as in the paper. ``standard``: less the training labels' mean, divided by
their standard deviation, so that each label weighs the same."""

ORIENTATION_CODES: Final = ("number", "sin-cos", "classes")
"""How an orientation, a circular number, is predicted: as the bin's number, as in the paper; as sine and
cosine of the bin's middle; or as eight classes by cross-entropy."""


def is_orientation(name: str) -> bool:
    """Whether a label is an orientation (``uo`` or ``vo`` of a pattern)."""
    return name.endswith(("_uo", "_vo"))
