"""The options of streamed clips, and the work of a supervised process: labelling's, without the labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import ClassVar

from mas_labels.config import LabelConfig
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.pipeline.label_video import LabelJob
from mas_labels.system.options import bounds


@dataclass(frozen=True)
class ClipOptions:
    """Options that decide which clips are cut from a video, and their frames.

    Attributes
    ----------
    geometry
        Number, distance and size of a clip's frames.
    clip_stride_frames
        Frames of the video from the start of one clip to the start of the next.

        0: as many as a clip spans, so that clips do not overlap, as in the paper.
    fps
        Frames per second to resample each video to, by its time stamps, such as 25, 29.97 or 30000/1001.

        None: each video's own frames.

    Raises
    ------
    ConfigError
        If an option is out of its range.
    """

    geometry: Geometry = DEFAULT_GEOMETRY
    clip_stride_frames: int = field(default=0, metadata=bounds(at_least=0))
    fps: str | None = None

    def __post_init__(self) -> None:
        config = self.label_config
        object.__setattr__(self, "clip_stride_frames", config.clip_stride_frames)
        object.__setattr__(self, "fps", config.fps or None)

    @property
    def label_config(self) -> LabelConfig:
        """The options of a labelling run that stores the same clips."""
        return LabelConfig(
            clip_stride_frames=self.clip_stride_frames,
            fps=self.fps or "",
            frames="raw",
            frames_only=True,
            store_boundaries=False,
            **asdict(self.geometry),
        )


@dataclass(frozen=True)
class ClipJob(LabelJob):
    """A video to cut into clips: those that labelling stores, by the same code."""

    doing: ClassVar[str] = "decoding"
    did: ClassVar[str] = "decoded it"
