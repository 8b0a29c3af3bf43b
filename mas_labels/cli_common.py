"""What the commands of `mas-labels` share: exit statuses and the options that name a data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click

EXIT_ERROR = 1
EXIT_FAILURES = 3
EXIT_FAILURE_RATE = 4
EXIT_UNAVAILABLE = 6
"""A shard could not be read now, so nothing is known of it (`verify`, `status`)."""
EXIT_SIGNAL = 128

manifest_option = click.option(
    "--manifest", type=click.Path(path_type=Path), required=True, help="The data set's recipe, a YAML file."
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


def give_up(message: str, status: int) -> NoReturn:
    """Say what went wrong in one line, and exit."""
    click.echo(f"error: {message}", err=True)
    sys.exit(status)
