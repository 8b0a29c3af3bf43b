"""Options of `mas-labels verify`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mas_labels.config import RunOptions
from mas_labels.system.options import bounds, check_options


@dataclass(frozen=True)
class Checks:
    """Checks in addition to the file digest, the structure, the checksums and the content hash.

    Attributes
    ----------
    deep
        Decode every frame; compare labels and tables with one another.
    recompute
        Share of the clips to label again from their videos and compare, such as 1%.
    root
        The data set's folder, for --recompute.
    flow_from
        Folder of stored flow, for --recompute of shards whose labels were made from it.
    seed
        Seed of the random choice of the clips to label again.
    video_timeout_seconds
        Seconds without a decoded frame or a result after which a video has failed.
    follow_links
        Follow symbolic links to folders, and to files outside of the root.

    Raises
    ------
    ConfigError
        If an option is out of range.
    """

    deep: bool = False
    recompute: float = field(default=0.0, metadata=bounds(at_least=0, at_most=1, is_share=True))
    root: Path | None = None
    flow_from: Path | None = None
    seed: int = field(default=0, metadata=bounds(at_least=0))
    video_timeout_seconds: float = field(default=RunOptions.video_timeout_seconds, metadata=bounds(above=0))
    follow_links: bool = False

    def __post_init__(self) -> None:
        check_options(self)
