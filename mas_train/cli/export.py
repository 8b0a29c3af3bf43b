"""The command line of `mas-export`: it parses options and calls the library."""

from __future__ import annotations

from pathlib import Path

import click

from mas_labels.system.command_line import SETTINGS, run_command, version_option
from mas_train.weights.export import EXPORT_FILES, export_backbone


@click.command(context_settings=SETTINGS)
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("features"),
    help="Folder to write to.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(EXPORT_FILES)),
    multiple=True,
    default=("safetensors",),
    help="Format to write; may be repeated.",
)
@version_option
def command(source: Path, out: Path, formats: tuple[str, ...]) -> int:
    """Export the backbone of SOURCE for other programs.

    SOURCE is a run's folder (its best checkpoint, or else its last), a checkpoint, or the weights of a public
    C3D (mas_train/weights/public_layouts.py lists the names). Each file is read back and compared.
    """
    for path in export_backbone(source, out, formats):
        click.echo(path)
    return 0


def main(args: list[str] | None = None) -> None:
    """Run `mas-export` and exit with its status."""
    run_command(command, "mas-export", args, "the same command starts over")


if __name__ == "__main__":
    main()
