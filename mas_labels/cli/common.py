"""What the commands of `mas-labels` share: the options that name a data set, and those of decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mas_labels.errors import ConfigError
from mas_labels.video.frame_rate import parse_fps

manifest_option = click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    required=True,
    help="How the data set lies on disk: a YAML file, or a name of `mas-labels recipes`.",
)
root_option = click.option(
    "--root", type=click.Path(path_type=Path), required=True, help="The data set's folder."
)
splits_option = click.option(
    "--splits", "splits_dir", type=click.Path(path_type=Path), help="Folder of the official list files."
)
follow_links_option = click.option(
    "--follow-links",
    is_flag=True,
    help="Follow symbolic links to folders, and to files outside of the root.",
)
video_timeout_option = click.option(
    "--video-timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    help="Seconds without a frame decoded or a clip finished after which a video has failed.",
)


class FrameRate(click.ParamType):
    """Frames per second, exact: ``25``, ``29.97`` or ``30000/1001``."""

    name = "fps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as text that `mas_labels.video.frame_rate.parse_fps` reads."""
        try:
            return str(parse_fps(str(value).strip()))
        except ConfigError as error:
            self.fail(str(error), param, ctx)


fps_option = click.option(
    "--fps",
    type=FrameRate(),
    default=None,
    help="Bring each video to this frame rate, by its time stamps: 25, 29.97, 30000/1001.  [default: as is]",
)
