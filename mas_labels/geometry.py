"""Lengths and sizes of clips, frames, views and blocks, and the ranges of the labels that follow from them.

Like the schema, this module is part of the contract between labelling and training. The default is the
paper's (section 3.4); a shard records its own in the options of its run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mas_labels.errors import ConfigError
from mas_labels.schema import COLOURS, LABEL_NAMES, MOTIONLESS_NAMES, ORIENTATIONS, Column
from mas_labels.system.options import bounds, check_options

MAX_LABEL: Final = 255
"""Largest value of a label, which is a byte: clips have at most 255 flow fields, patterns 255 blocks."""
MAX_SIDE: Final = 4096
"""Most rows or columns of a frame: offsets of views are stored as int16."""
MAX_CLIP_PIXELS: Final = 1 << 26
"""Most pixels of a clip, 200 MB as RGB: more than 32 frames of 1080 x 1920."""


@dataclass(frozen=True)
class Geometry:
    """Lengths and sizes of clips, frames, views and blocks.

    Attributes
    ----------
    clip_frames
        Number of frames of a clip.
    frame_step
        Frames of the video from one frame of a clip to the next.
    frame_rows, frame_cols
        Size that every frame is resized to, in pixels.
    view_size
        Side of the square view that a network sees, in pixels.
    grid_block
        Side of a block of pattern 1, in pixels.
    ring_width
        Width of a ring of pattern 2, in pixels.

    Raises
    ------
    ConfigError
        If one is out of its range, a clip has too many pixels, a view does not fit into a frame, or a pattern
        does not divide the view.
    """

    clip_frames: int = field(default=16, metadata=bounds(at_least=2, at_most=MAX_LABEL + 1))
    frame_step: int = field(default=1, metadata=bounds(at_least=1, at_most=1000))
    frame_rows: int = field(default=128, metadata=bounds(at_least=8, at_most=MAX_SIDE))
    frame_cols: int = field(default=171, metadata=bounds(at_least=8, at_most=MAX_SIDE))
    view_size: int = field(default=112, metadata=bounds(at_least=8, at_most=MAX_SIDE))
    grid_block: int = field(default=28, metadata=bounds(at_least=1, at_most=MAX_SIDE))
    ring_width: int = field(default=14, metadata=bounds(at_least=1, at_most=MAX_SIDE))

    def __post_init__(self) -> None:
        check_options(self)
        pixels = self.clip_frames * self.frame_rows * self.frame_cols
        if pixels > MAX_CLIP_PIXELS:
            raise ConfigError(
                f"clip_frames: expected clips of at most {MAX_CLIP_PIXELS:,} pixels, found {pixels:,}, "
                f"{self.clip_frames} frames of {self.frame_rows} x {self.frame_cols}: take fewer or smaller"
            )
        if self.view_size > min(self.frame_rows, self.frame_cols):
            raise ConfigError(
                f"view_size: expected at most the frames' {self.frame_rows} x {self.frame_cols} pixels, "
                f"found {self.view_size}: take larger frames or a smaller view"
            )
        if self.view_size % 2:
            raise ConfigError(
                "view_size: expected an even number of pixels, since the triangles meet in its centre, "
                f"found {self.view_size}: take {self.view_size - 1} or {self.view_size + 1}"
            )
        self._check_size("grid_block", "the view", self.view_size, dimensions=2)
        self._check_size("ring_width", "half of the view", self.view_size // 2, dimensions=1)

    def _check_size(self, name: str, whole: str, pixels: int, dimensions: int) -> None:
        """Check that blocks of a size divide a length, and that there are not more than labels can number."""
        fitting = [
            size
            for size in range(1, pixels + 1)
            if pixels % size == 0 and (pixels // size) ** dimensions <= MAX_LABEL
        ]
        if getattr(self, name) not in fitting:
            raise ConfigError(
                f"{name}: expected a size that divides {whole}, {pixels} pixels, into at most {MAX_LABEL} "
                f"blocks: {', '.join(map(str, fitting))}, found {getattr(self, name)}"
            )

    @property
    def fields(self) -> int:
        """Number of flow fields of a clip, one between each two of its consecutive frames."""
        return self.clip_frames - 1

    @property
    def extent(self) -> int:
        """Number of the video's frames from a clip's first frame to its last."""
        return self.fields * self.frame_step + 1

    @property
    def blocks(self) -> dict[str, int]:
        """Number of blocks of each pattern."""
        return {
            "grid": (self.view_size // self.grid_block) ** 2,
            "rings": self.view_size // 2 // self.ring_width,
            "triangles": 8,
        }

    @property
    def label_max(self) -> tuple[int, ...]:
        """Largest value of each label."""
        return tuple(map(self._largest_value, LABEL_NAMES))

    def _largest_value(self, label: str) -> int:
        pattern, _, statistic = label.rpartition("_")
        if statistic in ("ui", "vi"):
            return self.fields
        if statistic in ("uo", "vo"):
            return ORIENTATIONS
        if statistic in ("cd", "cs", "C"):
            return COLOURS
        return self.blocks[pattern]

    def label_min(self, convention: str) -> tuple[int, ...]:
        """Return the smallest value of each label under a convention."""
        zeros = MOTIONLESS_NAMES if convention == "authors" else ()
        return tuple(int(name not in zeros) for name in LABEL_NAMES)

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """Shape of a clip's frames, RGB."""
        return (self.clip_frames, self.frame_rows, self.frame_cols, 3)

    def row_shape(self, column: Column, views: int) -> tuple[int, ...]:
        """Return the shape of one row of a shard's data set, with that many views."""
        return tuple(
            extent if isinstance(extent, int) else views if extent == "views" else getattr(self, extent)
            for extent in column.row_shape
        )


DEFAULT_GEOMETRY: Final = Geometry()
"""The paper's: 16 frames of 128 x 171 pixels, views of 112 x 112 (section 3.4, figure 4)."""
