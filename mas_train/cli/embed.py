"""The command line of `mas-embed`: it parses options and calls the library."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mas_labels.system.command_line import (
    EXIT_FAILURES,
    PATH,
    SETTINGS,
    field_option,
    run_command,
    take_fields,
    version_option,
)
from mas_train.cli.options import (
    choose_compute,
    compute_options,
    network_options,
    require_picture,
    source_options,
)
from mas_train.inference.options import EmbedOptions, SourceOptions

if TYPE_CHECKING:
    from mas_train.inference.feature_files import FeatureTable

embed_option = partial(field_option, EmbedOptions)


@click.command(context_settings=SETTINGS)
@network_options
@click.option("--out", type=PATH, required=True, help="File to write: .parquet, .npz, .h5 or .csv.")
@embed_option("layer")
@embed_option("per")
@embed_option("normalise", "--normalise")
@click.option("--neighbours", type=PATH, help="PNG file to draw: a few videos, and those nearest to each.")
@click.option(
    "--query",
    "asked",
    multiple=True,
    metavar="VIDEO",
    help="Video to draw the neighbours of; may be repeated.  [default: 6, evenly spread]",
)
@source_options
@compute_options
@version_option
def command(
    paths: tuple[Path, ...],
    weights: str,
    out: Path,
    device: str,
    workers: int | None,
    threads: int | None,
    batch_size: int,
    pixel_mean: tuple[float, float, float] | None,
    neighbours: Path | None,
    asked: tuple[str, ...],
    **values: Any,
) -> int:
    """Write the features of PATHS: videos, folders of videos, lists of videos (.txt, .csv), or shards.

    A row a clip, or with --per video a row a video; videos that cannot be used are rows without a feature.
    The same command resumes a run that was stopped. Exit status: 0 success, 1 an error, 2 wrong usage,
    3 some videos failed.
    """
    from mas_train.inference.feature_files import choose_writer

    choose_writer(out)
    if neighbours is not None:
        require_picture(neighbours)
    elif asked:
        raise click.UsageError("--query needs --neighbours PICTURE.png")
    where = choose_compute(device, threads)
    from mas_train.inference.embed import embed
    from mas_train.inference.neighbours import draw_table, find_queries
    from mas_train.inference.open_source import open_source
    from mas_train.weights.backbone_weights import describe_unfinished, load_weights

    network = load_weights(weights, pixel_mean=pixel_mean)
    source = open_source(paths, SourceOptions(**take_fields(SourceOptions, values)), network.geometry)
    for note in (*source.notes, *describe_unfinished(network)):
        click.echo(note, err=True)
    options = EmbedOptions(**take_fields(EmbedOptions, values))
    queries = find_queries(source.videos, asked)
    tables: list[FeatureTable] = []
    result = embed(network, source, options, out, where, workers, batch_size, tables.append)
    failed = f"{result.failures} of them failed" + (" (see the column message)" if result.failures else "")
    click.echo(
        f"wrote {out}: {result.videos} videos, {failed}; "
        f"{result.clips} clips in {result.seconds:.0f} s, {result.waiting:.0%} of it waiting for clips"
    )
    if neighbours is not None:
        problems = draw_table(tables[0], source, queries, neighbours)
        for line in problems or [f"wrote {neighbours}"]:
            click.echo(line, err=bool(problems))
    return EXIT_FAILURES if result.failures else 0


def main(args: list[str] | None = None) -> None:
    """Run `mas-embed` and exit with its status."""
    run_command(command, "mas-embed", args, "finished videos are kept, the same command resumes")


if __name__ == "__main__":
    main()
