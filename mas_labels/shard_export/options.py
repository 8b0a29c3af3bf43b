"""Options of an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mas_labels.errors import ConfigError
from mas_labels.system.options import check_options


@dataclass(frozen=True)
class ExportOptions:
    """Options that decide the content of an export's files, together with the shards.

    Attributes
    ----------
    format
        Tars of frames and labels for the library webdataset, or tables of labels, without frames, in parquet.
    views
        Views whose labels the tables hold: the centre view's, or lists of all views'; tars hold all.
    where
        Filters of clips, such as 'min_motion=0.02,cut=false,class_name=Archery'.

        As `mas_labels.shards.parse_filters` reads them; empty: all clips.

    Raises
    ------
    ConfigError
        If an option is none of its choices.
    """

    format: Literal["webdataset", "parquet"]
    views: Literal["centre", "all"] = "centre"
    where: str = ""

    def __post_init__(self) -> None:
        check_options(self)
        if self.format == "webdataset" and self.views != "centre":
            raise ConfigError("--views belongs to --format parquet: leave it out, tars hold all views")
