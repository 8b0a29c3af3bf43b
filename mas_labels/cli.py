"""The command line of `mas-labels`: it parses; the library does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from mas_labels import cli_shards, interruption
from mas_labels.config import FLOW_METHODS, LabelConfig
from mas_labels.conventions import CONVENTIONS
from mas_labels.errors import MasError, explain_import_error

EXIT_ERROR = 1
EXIT_FAILURES = 3
EXIT_SIGNAL = 128
GOES_ON = "finished shards are kept, the same command goes on from there"


class Commands(click.Group):
    """Turns the errors of the library into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with interruption.signals_raise():
                return super().invoke(ctx)
        except MasError as error:
            _give_up(str(error), EXIT_ERROR)
        except ImportError as error:
            _give_up(str(explain_import_error(error)), EXIT_ERROR)
        except interruption.Interrupted as stop:
            _give_up(f"stopped by {stop}; {GOES_ON}", EXIT_SIGNAL + stop.number)


def _give_up(message: str, status: int) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(status)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="mas-video")
def main() -> None:
    """Turn videos into shards of labels for self-supervised training.

    Exit status: 0 all went well, 1 an error that stopped the run, 2 wrong usage, 3 the run is complete but
    some videos failed, 4 a shard is not sound (verify), 130 interrupted, 143 terminated.
    """


manifest_option = click.option(
    "--manifest", type=click.Path(path_type=Path), required=True, help="The data set's recipe, a YAML file."
)
root_option = click.option(
    "--root", type=click.Path(path_type=Path), required=True, help="The data set's folder."
)
splits_option = click.option(
    "--splits", "splits_dir", type=click.Path(path_type=Path), help="Folder of the official list files."
)


@main.command("list")
@manifest_option
@root_option
@splits_option
@click.option(
    "--contents/--no-contents",
    default=True,
    help="Whether files of equal size in train and test are compared.",
)
def list_command(manifest: Path, root: Path, splits_dir: Path | None, contents: bool) -> None:
    """Show what a recipe finds: videos, classes, splits, what is missing, what train and test share."""
    from mas_labels.leaks import find_leaks
    from mas_labels.manifest import describe, find_videos, load_manifest

    listing = find_videos(load_manifest(manifest), root, splits_dir)
    click.echo(describe(listing))
    for leak in find_leaks(listing, contents):
        click.echo(leak)


@main.command()
@manifest_option
@root_option
@splits_option
@click.option("--split", default="all", help="Which split to label.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the shards; the same command resumes.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one a core]")
@click.option("--flow", type=click.Choice(FLOW_METHODS), default="tvl1", help="Optical flow estimator.")
@click.option(
    "--convention", type=click.Choice(list(CONVENTIONS)), default="paper", help="Rules of the labels."
)
@click.option(
    "--clip-stride", type=click.IntRange(1), default=16, help="Frames from one clip's start to the next."
)
@click.option(
    "--view-stride", type=click.IntRange(1, 59), default=8, help="Pixels between two crops that have labels."
)
@click.option("--mirrored/--no-mirrored", default=True, help="Whether each crop has labels mirrored, too.")
@click.option("--frames", type=click.Choice(["jpeg", "raw"]), default="jpeg", help="How frames are kept.")
@click.option("--jpeg-quality", type=click.IntRange(1, 100), default=90, help="Quality of the JPEG frames.")
@click.option(
    "--store-boundaries/--no-store-boundaries",
    default=None,
    help="Whether Mu and Mv are kept.  [default: as the recipe says]",
)
@click.option("--store-flow/--no-store-flow", default=False, help="Whether the flow itself is kept.")
@click.option(
    "--frames-only",
    is_flag=True,
    help="Keep clips without flow and labels: enough for fine-tuning and tests.",
)
@click.option(
    "--videos-per-shard", type=click.IntRange(1), help="Videos in a shard.  [default: as the recipe says]"
)
def make(
    manifest: Path,
    root: Path,
    splits_dir: Path | None,
    split: str,
    out: Path,
    workers: int | None,
    videos_per_shard: int | None,
    **options: Any,
) -> None:
    """Label videos: decode, flow, motion boundaries, 27 labels of every view, into HDF5 shards.

    Videos that cannot be used are recorded in the shards and counted at the end; the run goes on.
    """
    import joblib

    from mas_labels.manifest import find_videos, load_manifest
    from mas_labels.pipeline import run
    from mas_labels.plan import make_plan

    recipe = load_manifest(manifest)
    if options["store_boundaries"] is None:
        options["store_boundaries"] = recipe.store_boundaries and not options["frames_only"]
    config = LabelConfig(
        clip_stride_frames=options.pop("clip_stride"),
        view_stride_pixels=options.pop("view_stride"),
        view_mirrored=options.pop("mirrored"),
        **options,
    )
    plan = make_plan(
        find_videos(recipe, root, splits_dir), split, videos_per_shard or recipe.videos_per_shard
    )
    _report(run(plan, config, root, out, workers or joblib.cpu_count()), out)


def _report(results: list[Any], out: Path) -> None:
    """Say how a run ended, last what went wrong, and exit accordingly."""
    broken = [result for result in results if result.error]
    failures = sum(result.failures for result in results)
    click.echo(
        f"{len(results) - len(broken)} shards in {out}: {sum(result.clips for result in results)} clips of "
        f"{sum(result.videos for result in results)} videos"
    )
    if failures:
        click.echo(f"{failures} videos failed:")
        _list_failures(out)
    for result in broken:
        click.echo(f"shard {result.name} was not written: {result.error}", err=True)
    if broken:
        _give_up(f"{len(broken)} shards were not written; the same command tries them again", EXIT_ERROR)
    if failures:
        sys.exit(EXIT_FAILURES)


def _list_failures(out: Path, most: int = 20) -> None:
    """Print the first rows of failures."""
    from mas_labels.shard import open_shards

    failures = open_shards(out).failures
    for row in failures[:most]:
        click.echo(f"  {row.video!r}: {row.stage}/{row.code}: {row.message}")
    if len(failures) > most:
        click.echo(f"  and {len(failures) - most} more")


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the demo data set.")
def demo(out: Path) -> None:
    """Make the demo data set: 40 short videos with known motion, the same everywhere, without network."""
    from mas_labels.demo import make_demo

    make_demo(out)


@main.command()
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The page, an HTML file.")
@click.option(
    "--run", "run_dir", type=click.Path(path_type=Path), help="Folder of a training run, for its curves."
)
def report(shards: tuple[Path, ...], out: Path, run_dir: Path | None) -> None:
    """Write one page about SHARDS: counts, failures, distributions of the labels, example clips."""
    from mas_labels.report import write_report
    from mas_labels.shard import open_shards

    write_report(open_shards(shards), out, run_dir)
    click.echo(f"wrote {out}")


@main.command()
@click.argument("shard", type=click.Path(path_type=Path))
@click.option("--clip", type=int, default=0, help="Number of the clip.")
@click.option("--view", type=int, default=0, help="Row of the table of views; 0 is the centre.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The picture, a PNG file.")
def inspect(shard: Path, clip: int, view: int, out: Path) -> None:
    """Draw one clip of SHARD with its motion boundaries, patterns and labels."""
    from mas_labels.inspect import save_clip_figure
    from mas_labels.shard import open_shards

    save_clip_figure(open_shards(shard), clip, view, out)
    click.echo(f"wrote {out}")


@main.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A file .npz or .h5, or a folder for 8-bit pictures.",
)
@click.option("--flow", "method", type=click.Choice(FLOW_METHODS), default="tvl1", help="The estimator.")
@click.option(
    "--size", type=click.IntRange(16), nargs=2, help="Rows and columns to resize to first.  [default: none]"
)
@click.option(
    "--dtype", type=click.Choice(["float16", "float32"]), default="float16", help="Type of .npz and .h5."
)
@click.option(
    "--bound", type=float, default=20.0, help="Pixels per frame that a picture's 0 and 255 stand for."
)
def flow(video: Path, out: Path, method: str, size: tuple[int, int] | None, dtype: str, bound: float) -> None:
    """Write the plain optical flow of VIDEO, for whoever wants the flow and not the labels."""
    from mas_labels.flow_files import video_flow, write_flow

    count = write_flow(video_flow(video, method, size), out, dtype=dtype, bound=bound)
    click.echo(f"wrote {count} flow fields to {out}")


main.add_command(cli_shards.verify)
main.add_command(cli_shards.failures)


if __name__ == "__main__":
    main()
