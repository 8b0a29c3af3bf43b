"""The command line of `mas-labels`: it parses options and calls the library."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from mas_labels.cli import check
from mas_labels.cli.common import follow_links_option, manifest_option, root_option, splits_option
from mas_labels.cli.export import export
from mas_labels.cli.flow import flow
from mas_labels.cli.make import make, status
from mas_labels.errors import ConfigError
from mas_labels.system.command_line import EXIT_ERROR, PATH, SETTINGS, run_command, version_option

RESUMED: Final = ("make", "flow", "export")
"""Commands that go on where they were stopped."""


class MasLabels(click.Group):
    """The group of commands; it starts, reports errors and ends as the trainer's commands do."""

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *more: Any, **extra: Any
    ) -> NoReturn:
        """Run the command line and exit with its status."""
        name = next(iter(sys.argv[1:] if args is None else args), "")
        resumes = "what is finished is kept, the same command resumes"
        stopped = resumes if name in RESUMED else "the same command starts over"
        run_command(self, prog_name or "mas-labels", args, stopped)


@click.group(cls=MasLabels, context_settings=SETTINGS)
@version_option
def main() -> None:
    """Turn videos into shards of labels for self-supervised training.

    Exit status: 0 success, 1 an error stopped the run, 2 wrong usage, 3 the run is complete but some videos
    failed, 4 more videos failed than --max-failure-rate allows, 5 a shard is not sound (verify), 6 a shard
    could not be read now (verify, status), 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM.
    """


main.add_command(make)
main.add_command(status)
main.add_command(flow)
main.add_command(check.verify)
main.add_command(check.failures)
main.add_command(export)


@main.command("list")
@manifest_option
@root_option
@splits_option
@follow_links_option
@click.option(
    "--contents/--no-contents",
    default=True,
    help="Compare the contents of files of equal size in train and test.",
)
def list_command(
    manifest: Path, root: Path, splits_dir: Path | None, follow_links: bool, contents: bool
) -> None:
    """List the videos, classes and splits of a data set, missing files, and leaks from test into train."""
    from mas_labels.datasets.find_videos import find_videos
    from mas_labels.datasets.leakage import find_leaks
    from mas_labels.datasets.listing import describe
    from mas_labels.datasets.manifest import load_manifest

    listing = find_videos(load_manifest(manifest), root, splits_dir, follow_links)
    click.echo(describe(listing))
    for leak in find_leaks(listing, contents):
        click.echo(leak)


@main.command()
@click.option("--show", metavar="NAME", help="Print this manifest, for example to base your own on it.")
def manifests(show: str | None) -> None:
    """List the installed manifests, which --manifest takes by name."""
    from mas_labels.datasets.manifest import load_manifest, packaged_manifests

    packaged = packaged_manifests()
    if show is None:
        for name, path in packaged.items():
            click.echo(f"{name:14} {load_manifest(path).description}")
    elif show in packaged:
        click.echo(packaged[show].read_text(encoding="utf-8"), nl=False)
    else:
        raise ConfigError(f"there is no manifest called {show!r}: choose one of {', '.join(packaged)}")


main.add_command(
    click.Command(
        "recipes", params=manifests.params, callback=manifests.callback, help=manifests.help, hidden=True
    )
)  # the former name of `manifests`


@main.command()
@click.option("--out", type=PATH, required=True, help="Folder of the demo data set.")
def demo(out: Path) -> None:
    """Make the demo data set: 40 short videos with known motion, the same on every machine."""
    from mas_labels.datasets.demo import make_demo

    make_demo(out)


@main.command()
@click.argument("shards", nargs=-1, type=PATH)
@click.option("--out", type=PATH, required=True, help="HTML file to write.")
@click.option(
    "--run",
    "run_dir",
    type=PATH,
    help="Folder of a training run: its curves, R^2 of each label, and the results of mas-eval in it.",
)
@click.option(
    "--results",
    multiple=True,
    type=PATH,
    help="Another folder of results and pictures of mas-eval, with --run; may be repeated.",
)
def report(shards: tuple[Path, ...], out: Path, run_dir: Path | None, results: tuple[Path, ...]) -> None:
    """Write an HTML page about SHARDS, a training run (--run), or both; it opens offline.

    About shards: counts, failures, motion, distributions and examples of the labels, clips without motion or
    with dark bars, bytes, options.
    """
    from mas_labels.report import write_report
    from mas_labels.shards.shard_set import open_shards

    write_report(open_shards(shards) if shards else None, out, run_dir, results)
    click.echo(f"wrote {out}")


@main.command()
@click.argument("shard", type=PATH)
@click.option("--clip", type=int, default=0, help="Number of the clip.")
@click.option("--view", type=int, default=0, help="Row of the table of views; 0 is the centre crop.")
@click.option(
    "--out", type=PATH, required=True, help="Picture to write; its extension determines the format."
)
def inspect(shard: Path, clip: int, view: int, out: Path) -> None:
    """Draw one clip of SHARD with its motion boundaries, patterns and labels."""
    from mas_labels.inspect import save_clip_figure
    from mas_labels.shards.shard_set import open_shards

    save_clip_figure(open_shards(shard), clip, view, out)
    click.echo(f"wrote {out}")


@main.command()
@click.option("--out", type=PATH, help="Folder for labels or runs, whose disk is examined as well.")
def doctor(out: Path | None) -> int:
    """Examine this machine: versions, compiled code, limits, GPUs. Lines other than "ok" name the remedy.

    Exit status: 0 no line says "error", 1 labelling with its defaults stops here.
    """
    from mas_labels.doctor.run import examine

    verdicts = set()
    for finding in examine(out):
        verdicts.add(finding.verdict)
        click.echo(finding)
    return EXIT_ERROR if "error" in verdicts else 0


if __name__ == "__main__":
    main()
