"""`mas-labels export`: shards as files that other programs read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from mas_labels.cli.common import shards_argument
from mas_labels.shard_export.options import ExportOptions
from mas_labels.system.command_line import FOLDER, field_option, take_fields

export_option = partial(field_option, ExportOptions)


@click.command()
@shards_argument
@export_option("format", required=True)
@export_option("views")
@export_option("where", multiple=True, metavar="FILTERS", unset="all clips")
@click.option("--out", type=FOLDER, required=True, help="Folder to write to; the same command resumes.")
def export(shards: tuple[Path, ...], out: Path, **values: Any) -> None:
    """Write the clips of SHARDS (files or folders) for other programs: as WebDataset tars, or parquet tables.

    One file for each shard, and _export.json: the table of views, sizes and options, and the videos that
    could not be labelled. Exit status: 0 success, 1 an error, 2 wrong usage.
    """
    values["where"] = ",".join(filter(None, values["where"]))
    options = ExportOptions(**take_fields(ExportOptions, values))
    from mas_labels.names import printable
    from mas_labels.shard_export.run import ABOUT_FILE, export_shards
    from mas_labels.shards.shard_set import open_shards

    opened = open_shards(shards)
    result = export_shards(opened, out, options)
    earlier = f", {result.kept} of them from before" if result.kept else ""
    files, about = (printable(str(out / name)) for name in (result.pattern, ABOUT_FILE))
    click.echo(f"{result.clips} clips in {files}: {result.files} files{earlier}")
    if opened.failure_count:
        click.echo(f"{opened.failure_count} videos could not be labelled: {about} lists them")
    if not opened.has_labels:
        click.echo("the shards hold frames only, so there are no labels")
