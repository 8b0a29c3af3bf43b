"""The command line of `mas-reproduce`: it parses; the library does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from mas_labels.system.command_line import SETTINGS, run_command, version_option
from mas_labels.system.files import write_text
from mas_train.reproduce.plan import Step, check_plan, show_command

Function = TypeVar("Function", bound=Callable[..., Any])
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True)


@click.group(context_settings=SETTINGS)
@version_option
def command() -> None:
    """Run an experiment from videos to a page of results.

    Each step is one of the project's commands and is marked when it is done: the same command goes on where
    it was stopped. Exit status: 0 done, 1 a step failed, 2 wrong usage; 129, 130,
    143 stopped by SIGHUP, SIGINT, SIGTERM.
    """


def plan_options(function: Function, jobs: int) -> Function:
    """Add the options that all plans share."""
    options = (
        click.option("--root", type=FOLDER, required=True, help="Folder of the videos."),
        click.option("--jobs", type=click.IntRange(1), default=jobs, help="Steps at a time."),
        click.option("--dry-run", is_flag=True, help="Print the commands, and run none."),
        click.option(
            "--rehearsal", is_flag=True, help="Every step for real, with tiny networks and few steps."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def folder_option(name: str, default: str, help_text: str) -> Callable[[Function], Function]:
    """Make an option for a folder that is written to."""
    kind = click.Path(path_type=Path, file_okay=False, resolve_path=True)
    return click.option(name, type=kind, default=Path(default), help=help_text)


def carry_out(
    steps: list[Step], work: Path, folders: dict[str, Path | None], jobs: int, dry_run: bool
) -> bool:
    """Run a plan, or print it; return whether it was run."""
    check_plan(steps)
    if dry_run:
        for step in steps:
            click.echo(show_command(step))
        return False
    import torch  # noqa: F401 - what the steps need is missed before the first one

    from mas_train.reproduce.run import run_plan

    places = {name: path for name, path in folders.items() if path is not None}
    run_plan(steps, work, places, jobs, click.echo)
    return True


@command.command()
@partial(plan_options, jobs=2)
@click.option("--splits", type=FOLDER, help="Folder of the official lists, if not in or beside --root.")
@click.option(
    "--weizmann", type=FOLDER, help="Folder of the Weizmann actions: features are tested there, too."
)
@folder_option("--work", "reproduce/small", "Shards, networks, logs: 3.5 GB.")
@folder_option("--out", "results/small", "The page, its pictures and its numbers.")
@click.option("--page-only", is_flag=True, help="Run nothing; make the page of what is done.")
@click.option(
    "--readme",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Put the table into this file, between its two marks.",
)
def small(
    root: Path,
    splits: Path | None,
    jobs: int,
    dry_run: bool,
    rehearsal: bool,
    weizmann: Path | None,
    work: Path,
    out: Path,
    page_only: bool,
    readme: Path | None,
) -> None:
    """Find out whether it learns: random, motion, appearance, joint and controls on two CPU cores.

    --root is a folder of UCF101's classes, some or all; with --rehearsal one that `mas-labels demo` made.
    """
    from mas_train.reproduce.small import REHEARSAL, Experiment, small_plan

    if rehearsal:
        experiment = REHEARSAL
    else:
        experiment = Experiment(weizmann=weizmann is not None, has_lists=splits is not None)
    steps = small_plan(experiment)
    folders = {"$ROOT": root, "$SPLITS": splits, "$WEIZMANN": weizmann}
    if page_only or carry_out(steps, work, folders, jobs, dry_run):
        from mas_train.reproduce.page import write_page

        click.echo(f"wrote {write_page(experiment, steps, work, out, readme)}")


@command.command()
@partial(plan_options, jobs=2)
@click.option("--splits", type=FOLDER, help="Folder of the official lists, if not in or beside --root.")
@folder_option("--work", "reproduce/small", "That of `small`, whose labels and networks are used.")
@folder_option("--out", "results/small", "The table.")
@click.option("--page-only", is_flag=True, help="Run nothing; make the table of what is done.")
def pilots(
    root: Path,
    splits: Path | None,
    jobs: int,
    dry_run: bool,
    rehearsal: bool,
    work: Path,
    out: Path,
    page_only: bool,
) -> None:
    """Find out what makes the pretext task learn: the recipe of `small` with one choice changed at a time."""
    from mas_train.reproduce.pilots import pilot_plan, write_pilots
    from mas_train.reproduce.small import REHEARSAL, Experiment

    experiment = REHEARSAL if rehearsal else Experiment(has_lists=splits is not None)
    steps = pilot_plan(experiment)
    if page_only or carry_out(steps, work, {"$ROOT": root, "$SPLITS": splits}, jobs, dry_run):
        click.echo(f"wrote {write_pilots(experiment, steps, work, out)}")


def full_options(function: Function) -> Function:
    """Add the options of the paper's experiments in full."""
    options = (
        click.option("--hmdb51", type=FOLDER, help="Folder of HMDB51: tables 3 and 4."),
        click.option("--aslan", type=FOLDER, help="Folder of ASLAN: table 5, with --view2."),
        click.option(
            "--view2",
            type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True),
            help="ASLAN's View2.mat.",
        ),
        click.option("--yupenn", type=FOLDER, help="Folder of YUPENN: table 6."),
        click.option("--cores", type=click.IntRange(1), default=16, help="CPU cores, for the estimate."),
        click.option(
            "--gpu-tflops",
            type=click.FloatRange(0, min_open=True),
            default=10.0,
            help="What the GPU sustains, in 1e12 operations a second, for the estimate.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return plan_options(function, jobs=1)


@command.command()
@full_options
@folder_option("--work", "reproduce/ucf101", "Shards, networks, logs.")
@folder_option("--out", "results/ucf101", "The tables.")
def ucf101(root: Path, **options: Any) -> None:
    """Make tables 1 to 6 with networks pre-trained on UCF101: --root is its folder. For one GPU."""
    from mas_train.reproduce.full import ucf101_plan

    reproduce_tables(ucf101_plan, {"$UCF101": root}, **options)


@command.command()
@full_options
@click.option("--ucf101", type=FOLDER, required=True, help="Folder of UCF101, to fine-tune on and to test.")
@folder_option("--work", "reproduce/kinetics", "Shards, networks, logs.")
@folder_option("--out", "results/kinetics", "The tables.")
def kinetics(root: Path, ucf101: Path, **options: Any) -> None:
    """Make the rows of the network pre-trained on Kinetics-400: --root is its folder. For one GPU."""
    from mas_train.reproduce.full import kinetics_plan

    reproduce_tables(kinetics_plan, {"$KINETICS400": root, "$UCF101": ucf101}, **options)


def reproduce_tables(
    make_plan: Callable[..., list[Step]],
    places: dict[str, Path | None],
    jobs: int,
    dry_run: bool,
    rehearsal: bool,
    cores: int,
    gpu_tflops: float,
    work: Path,
    out: Path,
    **others: Path | None,
) -> None:
    """Run a full plan, or print it with what it will cost, and write the paper's tables with ours in them."""
    from mas_train.reproduce.estimate import estimate_cost
    from mas_train.reproduce.full import FULL, REHEARSAL

    places = {**places, **{f"${name.upper()}": path for name, path in others.items()}}
    given = [name for name, path in places.items() if path is not None]
    if ("$ASLAN" in given) != ("$VIEW2" in given):
        raise click.UsageError("table 5 needs both --aslan and --view2")
    steps = make_plan(given, REHEARSAL if rehearsal else FULL)
    for line in [] if rehearsal else estimate_cost(steps, cores, gpu_tflops):
        click.echo(f"# {line}")
    if carry_out(steps, work, places, jobs, dry_run):
        from mas_train.evaluation.results import read_results, show_tables

        out.mkdir(parents=True, exist_ok=True)
        tables = show_tables(read_results([work / "finetuned", work / "results"]))
        write_text(out / "tables.md", f"{tables}\n")
        click.echo(f"wrote {out / 'tables.md'}")


def main(args: list[str] | None = None) -> None:
    """Run `mas-reproduce` and exit with its status."""
    run_command(command, "mas-reproduce", args, "the same command goes on")


if __name__ == "__main__":
    main()
