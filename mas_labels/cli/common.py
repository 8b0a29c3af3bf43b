"""Options and reports that several commands of `mas-labels` share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import click

from mas_labels.config import LabelConfig, RunOptions
from mas_labels.errors import ConfigError
from mas_labels.system.command_line import (
    EXIT_ERROR,
    EXIT_FAILURES,
    PATH,
    add_options,
    field_option,
    take_fields,
)
from mas_labels.system.process import print_error
from mas_labels.video.frame_rate import parse_fps

manifest_option = click.option(
    "--manifest",
    type=PATH,
    required=True,
    help="The data set's manifest: a YAML file, or a name that `mas-labels manifests` lists.",
)
root_option = click.option("--root", type=PATH, required=True, help="The data set's folder.")
splits_option = click.option(
    "--splits",
    "splits_dir",
    type=PATH,
    help="Folder of the data set's official split lists.  [default: they are searched for]",
)
follow_links_option = click.option(
    "--follow-links", is_flag=True, help="Follow symbolic links to folders, and to files outside of the root."
)
shards_argument = click.argument("shards", nargs=-1, required=True, type=PATH)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
run_option = partial(field_option, RunOptions)
video_timeout_option = run_option("video_timeout_seconds", "--video-timeout")
workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Number of processes.  [default: one per core]"
)
share_options = add_options(
    run_option("max_failure_rate", unset="no limit"),
    run_option("rank", unset="Slurm's array, else 0"),
    run_option("world_size", unset="Slurm's array, else 1"),
)
MAX_FAILURES_SHOWN: Final = 20


class FrameRate(click.ParamType):
    """Frames per second, exact: ``25``, ``29.97`` or ``30000/1001``."""

    name = "fps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as text that `mas_labels.video.frame_rate.parse_fps` reads."""
        try:
            return str(parse_fps(str(value).strip()))
        except ConfigError as error:
            self.fail(str(error), param, ctx)


fps_option = field_option(LabelConfig, "fps", type=FrameRate(), unset="each video's own frames")


def make_run_options(values: Mapping[str, Any]) -> RunOptions:
    """Return the options of a run; rank and world size may follow from Slurm's environment variables."""
    from mas_labels.plan.ranks import find_rank_share

    share = find_rank_share(values["rank"], values["world_size"], os.environ)
    if share.source is not None:
        click.echo(f"rank {share.rank} of {share.world_size}, from {share.source}", err=True)
    chosen = {**values, "rank": share.rank, "world_size": share.world_size}
    return RunOptions(**take_fields(RunOptions, chosen))


def list_failures(rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Print the first videos that failed, each a path with the stage, code and message of its error."""
    for number, (path, stage, code, message) in enumerate(rows):
        if number == MAX_FAILURES_SHOWN:
            click.echo("  ...")
            return
        click.echo(f"  {path!r}: {stage}/{code}: {message}")


def end_run(errors: Mapping[str, str], failures: int, unit: str, done: str) -> int:
    """Print the errors of the tasks of a run that were not done; return its exit status.

    Parameters
    ----------
    errors
        Name of each such task -> why it was not done.
    failures
        Number of videos that could not be used.
    unit, done
        Words: a "shard" is "written", a "video" is "done".
    """
    for name, error in errors.items():
        click.echo(f"{unit} {name} was not {done}: {error}", err=True)
    if errors:
        print_error(f"{len(errors)} {unit}s were not {done}; the same command tries them again")
        return EXIT_ERROR
    return EXIT_FAILURES if failures else 0
