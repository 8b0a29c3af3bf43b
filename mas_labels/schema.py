"""The contract between labelling and training: the 27 labels and the layout of a shard.

This module imports nothing but the standard library, so that both programs, and anybody else's, can read
the contract without the machinery behind it.

The order and the ranges of the labels are those of figure 5 of the paper (Wang et al., CVPR 2019,
sections 3.2 and 3.3): for each of the three patterns, motion statistics first, then appearance.
"""

from __future__ import annotations

from typing import Final

FORMAT_NAME: Final = "mas-shard"
SCHEMA_VERSION: Final = 1

CLIP_FRAMES: Final = 16
"""Frames of a clip (paper, section 3.4)."""
FIELDS: Final = CLIP_FRAMES - 1
"""Flow fields of a clip, one between each two consecutive frames."""
FRAME_ROWS: Final = 128
FRAME_COLS: Final = 171
"""Size every frame is resized to (paper, section 3.4)."""
VIEW_SIZE: Final = 112
"""Side of the square a network sees (paper, section 3.4)."""

PATTERNS: Final = ("grid", "rings", "triangles")
"""Patterns 1 to 3 of figure 4."""
BLOCKS: Final = {"grid": 16, "rings": 4, "triangles": 8}
ORIENTATIONS: Final = 8
COLOURS: Final = 8

MOTION_NAMES: Final[tuple[str, ...]] = (
    *(f"{pattern}_{name}" for pattern in PATTERNS for name in ("ul", "uo", "vl", "vo")),
    "ui",
    "vi",
)
"""The 14 motion labels: location and orientation of the largest motion of Mu and Mv, then global frames."""

APPEARANCE_NAMES: Final[tuple[str, ...]] = (
    *(f"{pattern}_{name}" for pattern in PATTERNS for name in ("pd", "cd", "ps", "cs")),
    "C",
)
"""The 13 appearance labels: most and least diverse block and their dominant colours, then the global one."""

LABEL_NAMES: Final[tuple[str, ...]] = MOTION_NAMES + APPEARANCE_NAMES
"""The 27 labels in the order in which they are stored."""
LABELS: Final = len(LABEL_NAMES)


def _largest_value(name: str) -> int:
    pattern, _, statistic = name.rpartition("_")
    if statistic in ("ui", "vi"):
        return FIELDS
    if statistic in ("uo", "vo"):
        return ORIENTATIONS
    if statistic in ("cd", "cs", "C"):
        return COLOURS
    return BLOCKS[pattern]


LABEL_MAX: Final[tuple[int, ...]] = tuple(_largest_value(name) for name in LABEL_NAMES)
"""Largest value of each label. The smallest is 1 (0 only for `grid_*` of motionless clips in `authors`)."""

VIEW_COLUMNS: Final = ("top", "left", "mirrored")
"""Columns of a table of views: the crop's offsets in rows and columns (before mirroring), then 0 or 1."""
