"""Options of a labelling run, with defaults and ranges; shards keep those that decide their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any, Final, Literal

from mas_labels.errors import ConfigError
from mas_labels.flow.methods import METHODS
from mas_labels.labels.conventions import CONVENTIONS
from mas_labels.schema import CLIP_FRAMES, FRAME_COLS, FRAME_ROWS, VIEW_SIZE
from mas_labels.system.options import bounds, check_options, choices
from mas_labels.video.frame_rate import parse_fps

LATER_OPTIONS: Final = ("fps",)
"""Options that shards omit at their default, so that shards from before they existed keep their bytes."""


@dataclass(frozen=True)
class LabelConfig:
    """Options that decide the content of a shard: how videos become labels.

    Attributes
    ----------
    clip_stride_frames
        Frames from the start of one clip to the start of the next (16: no overlap, as in the paper).
    flow
        Optical flow estimator.
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

    Raises
    ------
    ConfigError
        If an option is of the wrong type, out of its range, or contradicts another.
    """

    clip_stride_frames: int = field(default=CLIP_FRAMES, metadata=bounds(at_least=1))
    flow: str = field(default="tvl1", metadata=choices(METHODS))
    convention: str = field(default="paper", metadata=choices(CONVENTIONS))
    view_stride_pixels: int = field(
        default=8, metadata=bounds(at_least=1, at_most=max(FRAME_ROWS, FRAME_COLS) - VIEW_SIZE)
    )
    view_mirrored: bool = True
    frames: Literal["jpeg", "raw"] = "jpeg"
    jpeg_quality: int = field(default=90, metadata=bounds(at_least=1, at_most=100))
    store_boundaries: bool = True
    store_flow: bool = False
    frames_only: bool = False
    fps: str = ""

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
        if self.fps:
            object.__setattr__(self, "fps", str(parse_fps(self.fps)))  # equal rates are spelled alike

    @property
    def frame_rate(self) -> Fraction | None:
        """The frame rate of `fps`; None for each video's own."""
        return Fraction(self.fps) if self.fps else None

    def as_dict(self) -> dict[str, Any]:
        """Return the options by name, without the `LATER_OPTIONS` that are at their default."""
        options = asdict(self)
        return {name: value for name, value in options.items() if name not in LATER_OPTIONS or value}


@dataclass(frozen=True)
class RunOptions:
    """Options of a labelling run that do not change the shards of good videos.

    Attributes
    ----------
    video_timeout_seconds
        Seconds without a frame decoded or a clip finished after which a video has failed.
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
