"""Options of features and predictions that the command line shows; importing them does not load torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from mas_labels.system.options import bounds, check_options

FeatureKind = Literal["pooled", "mean", "pixels"]
"""``pooled``: the last convolution after the last pooling, flattened, 4096 numbers for C3D: the input of the
fully connected layers. ``mean``: the mean over its time steps, rows and columns, 256 numbers. ``pixels``: a
control without a network, the colours of 4 x 4 blocks averaged over time, 48 numbers."""
FEATURE_KINDS: Final[tuple[str, ...]] = get_args(FeatureKind)


@dataclass(frozen=True)
class SourceOptions:
    """Options that decide which clips of which videos are taken.

    Attributes
    ----------
    manifest
        Data set instead of PATHS: a manifest's file or name.
    root
        The data set's folder; for PATHS, the folder from which names of videos and paths in lists begin.

        None: each folder, or the folder of each file.
    split
        Name of the split of the manifest.
    splits_dir
        Folder of the data set's official split lists.
    follow_links
        Follow symbolic links to folders, and to files outside of the root.
    clip_stride_frames
        Frames of the video from the start of one clip to the start of the next; 0: clips do not overlap.
    fps
        Frames per second to resample each video to, such as 25, 29.97 or 30000/1001.

        None: each video's own frames.
    video_timeout_seconds
        Seconds without a decoded frame or a result after which a video has failed.

    Raises
    ------
    ConfigError
        If an option is out of its range.
    """

    manifest: Path | None = None
    root: Path | None = None
    split: str = "all"
    splits_dir: Path | None = None
    follow_links: bool = False
    clip_stride_frames: int = field(default=0, metadata=bounds(at_least=0))
    fps: str | None = None
    video_timeout_seconds: float = field(default=60.0, metadata=bounds(above=0))

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class EmbedOptions:
    """Options that decide the features that `mas-embed` writes.

    Attributes
    ----------
    layer
        Layer: pooled, mean, or an earlier one by name, such as conv3, averaged over positions.

        Names are those of `mas_train.inference.layers.backbone_features`.
    per
        A row for each clip, or for each video the mean over its clips.
    normalise
        Scale the feature of each row to length 1 (L2).

    Raises
    ------
    ConfigError
        If an option is not a choice.
    """

    layer: str = "pooled"
    per: Literal["clip", "video"] = "clip"
    normalise: bool = False

    def __post_init__(self) -> None:
        check_options(self)
