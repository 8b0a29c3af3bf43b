"""Options of a labelling run, with defaults and ranges; shards keep those that decide their content."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

from mas_labels.errors import ConfigError
from mas_labels.flow.methods import METHODS, MIN_SIDE, STORED
from mas_labels.geometry import MAX_SIDE, Geometry
from mas_labels.labels.conventions import CONVENTIONS
from mas_labels.system.options import bounds, check_options, choices
from mas_labels.video.frame_rate import parse_fps

GEOMETRY_OPTIONS: Final = tuple(option.name for option in fields(Geometry))
LATER_OPTIONS: Final = ("fps", "flow_bound", "skip_cuts", *GEOMETRY_OPTIONS)
"""Options that shards omit at their default, so that shards from before they existed keep their bytes."""

MAX_CROPS: Final = 1 << 16
"""Most crops of a table of views, of which each gets 27 labels in every clip."""
_SHARES_OF_VIEW: Final = {"grid_block": 4, "ring_width": 8}
"""Options of patterns whose default is the view's size divided by a number (paper, figure 4)."""


def _field_of(name: str) -> Any:
    """Return a field with the default and the range of that of `Geometry`."""
    stated = Geometry.__dataclass_fields__[name]
    return field(default=stated.default, metadata=stated.metadata)


@dataclass(frozen=True)
class LabelConfig:
    """Options that decide the content of a shard: how videos become labels.

    Attributes
    ----------
    clip_stride_frames
        Frames of the video from the start of one clip to the start of the next.

        0: as many as a clip spans, so that clips do not overlap, as in the paper.
    flow
        Optical flow estimator; stored: none, flow is read from files, see --flow-from.
    convention
        Rules of the labels: the paper's, or those of its authors' released code.
    view_stride_pixels
        Pixels between two crop offsets of the table of views; 1 keeps every crop.
    view_mirrored
        Whether the table of views also has the mirror image of each crop.
    frames
        How frames are stored: as JPEG files, or raw.
    jpeg_quality
        Quality of the JPEG frames.
    store_boundaries
        Whether the motion boundaries Mu and Mv are stored (float16).
    store_flow
        Whether the flow itself is stored (float16).
    frames_only
        Store clips without flow and labels: enough for fine-tuning and tests.

        Such shards have no views and no flow.
    fps
        Frames per second to resample each video to, by its time stamps, such as 25, 29.97 or 30000/1001.

        Empty: each video's own frames.
    flow_bound
        Flow in pixels per frame that the grey value 255 of stored pictures of flow stands for.

        0: the flow is computed, or stored as numbers.
    skip_cuts
        Leave out, and count, the clips that lie across a shot cut.
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

        0: a quarter of the view.
    ring_width
        Width of a ring of pattern 2, in pixels.

        0: an eighth of the view.

    Raises
    ------
    ConfigError
        If an option is of the wrong type, out of its range, or contradicts another.
    """

    clip_stride_frames: int = field(default=0, metadata=bounds(at_least=0))
    flow: str = field(default="tvl1", metadata=choices((*METHODS, STORED)))
    convention: str = field(default="paper", metadata=choices(CONVENTIONS))
    view_stride_pixels: int = field(default=8, metadata=bounds(at_least=1))
    view_mirrored: bool = True
    frames: Literal["jpeg", "raw"] = "jpeg"
    jpeg_quality: int = field(default=90, metadata=bounds(at_least=1, at_most=100))
    store_boundaries: bool = True
    store_flow: bool = False
    frames_only: bool = False
    fps: str = ""
    flow_bound: float = field(default=0.0, metadata=bounds(at_least=0))
    skip_cuts: bool = False
    clip_frames: int = _field_of("clip_frames")
    frame_step: int = _field_of("frame_step")
    frame_rows: int = _field_of("frame_rows")
    frame_cols: int = _field_of("frame_cols")
    view_size: int = _field_of("view_size")
    grid_block: int = field(default=0, metadata=bounds(at_least=0, at_most=MAX_SIDE))
    ring_width: int = field(default=0, metadata=bounds(at_least=0, at_most=MAX_SIDE))

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> LabelConfig:
        """Make a configuration of options by name, such as a shard's.

        Raises
        ------
        ConfigError
            If one is unknown, of the wrong type, or out of its range.
        """
        unknown = sorted(set(options) - {option.name for option in fields(cls)})
        if unknown:
            raise ConfigError(
                f"unknown options {', '.join(unknown)}: another version of mas-labels knows them"
            )
        return cls(**options)

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            if type(value) is not type(option.default):
                kind = type(option.default).__name__
                raise ConfigError(
                    f"{option.name}: expected {kind}, found {type(value).__name__} {value!r:.40}"
                )
        check_options(self)
        if self.frames_only and (self.store_boundaries or self.store_flow):
            raise ConfigError("frames_only: no flow is computed, so neither it nor Mu and Mv can be stored")
        if self.flow == STORED and (self.fps or self.frame_step != 1 or self.frames_only):
            raise ConfigError(
                "flow: stored flow is between consecutive frames of a video, and for labels: leave out fps, "
                "frame_step and frames_only, or compute the flow"
            )
        if self.flow_bound and self.flow != STORED:
            raise ConfigError(f"flow_bound: expected with flow {STORED!r} only, found with {self.flow!r}")
        if self.fps:
            object.__setattr__(self, "fps", str(parse_fps(self.fps)))  # equal rates are spelled alike
        if min(self.frame_rows, self.frame_cols) < MIN_SIDE and self.flow in METHODS and not self.frames_only:
            raise ConfigError(
                f"frame_rows, frame_cols: expected at least {MIN_SIDE} pixels each, from which flow can be "
                f"computed, found {self.frame_rows} x {self.frame_cols}: take larger frames"
            )
        for name, shares in _SHARES_OF_VIEW.items():
            share = self.view_size / shares  # if it is not whole, the geometry refuses it
            whole = int(share) if share.is_integer() else share
            object.__setattr__(self, name, getattr(self, name) or whole)
        extent = self.geometry.extent
        object.__setattr__(self, "clip_stride_frames", self.clip_stride_frames or extent)
        self._check_view_stride()

    def _check_view_stride(self) -> None:
        """Check that another view lies a stride beside the first one, and that there are not too many."""
        offsets = self.frame_rows - self.view_size, self.frame_cols - self.view_size
        views = math.prod(1 + largest // self.view_stride_pixels for largest in offsets)
        if views > MAX_CROPS:
            raise ConfigError(
                f"view_stride_pixels: expected at most {MAX_CROPS:,} crops, found {views:,}, of "
                f"{self.view_size} pixels in frames of {self.frame_rows} x {self.frame_cols}: take a larger "
                "stride"
            )
        largest, default = max(offsets), type(self).view_stride_pixels
        if self.view_stride_pixels > max(largest, default):  # the default fits any size: it may keep one view
            raise ConfigError(
                f"view_stride_pixels: expected 1 to {largest}, the largest offset of a view of "
                f"{self.view_size} pixels in frames of {self.frame_rows} x {self.frame_cols}, found "
                f"{self.view_stride_pixels}"
            )

    @property
    def geometry(self) -> Geometry:
        """Lengths and sizes of clips, frames, views and blocks."""
        return Geometry(**{name: getattr(self, name) for name in GEOMETRY_OPTIONS})

    @property
    def frame_rate(self) -> Fraction | None:
        """The frame rate of `fps`; None for each video's own."""
        return Fraction(self.fps) if self.fps else None

    def as_dict(self) -> dict[str, Any]:
        """Return the options by name, without the `LATER_OPTIONS` that are at their default."""
        defaults = {option.name: option.default for option in fields(self)}
        defaults |= {name: self.view_size / shares for name, shares in _SHARES_OF_VIEW.items()}
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in LATER_OPTIONS or value != defaults[name]
        }


@dataclass(frozen=True)
class RunOptions:
    """Options of a labelling run that do not change the shards of good videos.

    Attributes
    ----------
    video_timeout_seconds
        Seconds without a decoded frame or a result after which a video has failed.
    retry_failed
        Relabel the shards that hold failures.
    max_failure_rate
        Stop with status 4 as soon as more than this share of the videos, such as 5%, has failed.

        None: no limit.
    rank
        Number of this run among the runs that share the plan, from 0.

        It makes the shards whose number modulo `world_size` is `rank`.
    world_size
        Number of runs that share the plan.
    scheduler
        Address of the running dask scheduler, with --backend dask.

        None: processes of this machine.
    flow_from
        Folder of flow that exists already, as pictures or numbers; labels are made from it.

        `mas_labels.flow.flow_layouts` has the layouts. None: flow is computed.

    Raises
    ------
    ConfigError
        If an option is out of its range.
    """

    video_timeout_seconds: float = field(default=60.0, metadata=bounds(above=0))
    retry_failed: bool = False
    max_failure_rate: float | None = field(
        default=None, metadata=bounds(at_least=0, at_most=1, is_share=True)
    )
    rank: int = 0
    world_size: int = 1
    scheduler: str | None = None
    flow_from: Path | None = None

    def __post_init__(self) -> None:
        check_options(self)
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(
                f"rank: expected 0 to {self.world_size - 1}, the world size less one, found {self.rank}"
            )


def canonical_json(value: Any) -> str:
    """Return a value as JSON in its canonical form, from which hashes are computed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def json_hash(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()
