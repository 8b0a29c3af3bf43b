"""Every choice of a labelling run, frozen, with its default: stored in every shard it makes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any, Final, Literal

from mas_labels.errors import ConfigError
from mas_labels.flow.methods import METHODS, check_method
from mas_labels.labels.conventions import get_convention
from mas_labels.schema import CLIP_FRAMES, FRAME_COLS, FRAME_ROWS, VIEW_SIZE
from mas_labels.video.frame_rate import parse_fps

FLOW_METHODS: Final = tuple(METHODS)
"""Names of the flow estimators."""

LATER_OPTIONS: Final = ("fps",)
"""Options of which shards say nothing unless they are used: the bytes of those made before stay."""


@dataclass(frozen=True)
class LabelConfig:
    """How videos become labels.

    Attributes
    ----------
    clip_stride_frames
        Frames from the start of one clip to the start of the next (16: no overlap, as in the paper).
    flow
        The estimator: ``"tvl1"``, ``"tvl1-opencv"``, ``"brox"``, ``"dis"`` or ``"farneback"``.
    convention
        ``"paper"`` or ``"authors"``.
    view_stride_pixels
        Pixels between two crop offsets of the table of views; 1 keeps every crop.
    view_mirrored
        Whether the mirror image of each crop is in the table.
    frames
        How frames are kept: ``"jpeg"`` or ``"raw"``.
    jpeg_quality
        1 to 100.
    store_boundaries
        Whether Mu and Mv are kept (float16).
    store_flow
        Whether the flow itself is kept (float16).
    frames_only
        Whether clips are kept without flow and labels, for test and transfer data: no views, nothing of flow.
    fps
        Frames per second to which all videos are brought before clips are cut, such as ``"25"``, ``"29.97"``
        or ``"30000/1001"``; empty: each video's own frames.
    """

    clip_stride_frames: int = CLIP_FRAMES
    flow: str = "tvl1"
    convention: str = "paper"
    view_stride_pixels: int = 8
    view_mirrored: bool = True
    frames: Literal["jpeg", "raw"] = "jpeg"
    jpeg_quality: int = 90
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
        unknown = sorted(set(options) - {field.name for field in fields(cls)})
        if unknown:
            raise ConfigError(
                f"unknown options {', '.join(unknown)}: another version of mas-labels knows them"
            )
        return cls(**options)

    def __post_init__(self) -> None:
        for field in fields(self):
            found = getattr(self, field.name)
            if type(found) is not type(field.default):
                kind = type(field.default).__name__
                raise ConfigError(
                    f"{field.name}: expected {kind}, found {type(found).__name__} {found!r:.40}"
                )
        get_convention(self.convention)
        check_method(self.flow)
        if self.frames not in ("jpeg", "raw"):
            raise ConfigError(f"frames: expected 'jpeg' or 'raw', found {self.frames!r}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ConfigError(f"jpeg_quality: expected 1 to 100, found {self.jpeg_quality}")
        if self.clip_stride_frames < 1:
            raise ConfigError(f"clip_stride_frames: expected 1 or more, found {self.clip_stride_frames}")
        if self.frames_only and (self.store_boundaries or self.store_flow):
            raise ConfigError("frames_only: no flow is computed, so neither it nor Mu and Mv can be stored")
        largest = max(FRAME_ROWS, FRAME_COLS) - VIEW_SIZE
        if not 1 <= self.view_stride_pixels <= largest:
            raise ConfigError(f"view_stride_pixels: expected 1 to {largest}, found {self.view_stride_pixels}")

        if self.fps:
            object.__setattr__(self, "fps", str(parse_fps(self.fps)))  # one rate, one spelling

    @property
    def frame_rate(self) -> Fraction | None:
        """The rate that `fps` asks for."""
        return Fraction(self.fps) if self.fps else None

    def as_dict(self) -> dict[str, Any]:
        """Return the options by name; of those that came later, the ones that are used."""
        options = asdict(self)
        return {name: value for name, value in options.items() if name not in LATER_OPTIONS or value}


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out: nothing of this changes what is in a shard of good videos.

    Attributes
    ----------
    video_timeout_seconds
        Longest time without a frame decoded or a clip finished; then the video has failed.
    retry_failed
        Whether shards that hold failures are made again.
    max_failure_rate
        Share of the videos that may fail; more stop the run. None: any.
    rank, world_size
        Which share of the plan this run makes: the shards whose number modulo `world_size` is `rank`.
    scheduler
        Address of a running dask cluster to work on; None: processes of this machine.
    """

    video_timeout_seconds: float = 60.0
    retry_failed: bool = False
    max_failure_rate: float | None = None
    rank: int = 0
    world_size: int = 1
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.video_timeout_seconds < float("inf"):
            raise ConfigError(
                f"video_timeout_seconds: expected more than 0, found {self.video_timeout_seconds}"
            )
        if self.max_failure_rate is not None and not 0 <= self.max_failure_rate <= 1:
            raise ConfigError(f"max_failure_rate: expected 0 to 1, found {self.max_failure_rate}")
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(
                f"rank: expected 0 to {self.world_size - 1}, the world size less one, found {self.rank}"
            )


def canonical_json(value: Any) -> str:
    """Write a value as JSON in the one way that hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def json_hash(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()
