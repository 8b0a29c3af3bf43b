"""The command line of `mas-reproduce`: it parses options and calls the library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mas_labels.system.command_line import SETTINGS, Function, add_options, run_command, version_option
from mas_labels.system.files import write_text
from mas_train.codings import CODINGS
from mas_train.reproduce.plan import Step, check_plan, show_command

if TYPE_CHECKING:
    from mas_train.reproduce.small import Experiment

EXISTING_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True)


@click.group(context_settings=SETTINGS)
@version_option
def command() -> None:
    """Run an experiment from videos to a page of results.

    Each step is one of the project's commands and is marked when it is done, so that the same command
    resumes. Exit status: 0 success, 1 a step failed, 2 wrong usage; 129, 130, 143 stopped by SIGHUP, SIGINT,
    SIGTERM.
    """


root_option = click.option("--root", type=EXISTING_FOLDER, required=True, help="Folder of the videos.")
roots_option = click.option(
    *("--root", "roots"),
    type=EXISTING_FOLDER,
    required=True,
    multiple=True,
    help="Folder of the videos; given again, another.",
)


def plan_options(jobs: int) -> Callable[[Function], Function]:
    """Return the options that all plans share; `jobs` is the default of --jobs."""
    return add_options(
        click.option("--jobs", type=click.IntRange(1), default=jobs, help="Steps that run at the same time."),
        click.option("--dry-run", is_flag=True, help="Print the commands without running them."),
        click.option(
            "--rehearsal", is_flag=True, help="Run every step with tiny networks and few training steps."
        ),
    )


def folder_option(name: str, default: str, help_text: str) -> Callable[[Function], Function]:
    """Make the option of a folder to write to."""
    kind = click.Path(path_type=Path, file_okay=False, resolve_path=True)
    return click.option(name, type=kind, default=Path(default), help=help_text)


def run_or_print(
    steps: list[Step],
    work: Path,
    folders: dict[str, Path | None],
    jobs: int,
    dry_run: bool,
    prepare: Callable[[], None] = lambda: None,
) -> bool:
    """Run a plan, after `prepare`, or, if `dry_run`, print it; return whether it was run."""
    check_plan(steps)
    if dry_run:
        for step in steps:
            click.echo(show_command(step))
        return False
    import torch  # noqa: F401 - a missing torch is reported before the first step

    from mas_train.reproduce.run import run_plan

    prepare()
    places = {name: path for name, path in folders.items() if path is not None}
    run_plan(steps, work, places, jobs, click.echo)
    return True


def run_small(
    experiment: Experiment,
    steps: list[Step],
    work: Path,
    roots: tuple[Path, ...],
    weizmann: Path | None,
    jobs: int,
    dry_run: bool,
) -> bool:
    """Link the videos and run a plan of the small experiment, or print it; return whether it was run."""
    from mas_train.reproduce.estimate import estimate_small
    from mas_train.reproduce.footage import link_videos
    from mas_train.reproduce.small import REHEARSAL_EXPERIMENT, refuse_earlier

    def prepare() -> None:
        refuse_earlier(work)
        click.echo(link_videos(experiment.footage, roots, work))

    if dry_run and experiment is not REHEARSAL_EXPERIMENT:
        click.echo(f"# {estimate_small(steps, jobs)}")
    return run_or_print(steps, work, {"$WEIZMANN": weizmann}, jobs, dry_run, prepare)


@command.command()
@roots_option
@plan_options(jobs=2)
@click.option(
    "--weizmann", type=EXISTING_FOLDER, help="Folder of the Weizmann actions, to test features on as well."
)
@folder_option("--work", "reproduce/small", "Folder of shards, networks and logs: 5 GB.")
@folder_option("--out", "results/small", "Folder of the page, its pictures and its numbers.")
@click.option(
    "--page-only", is_flag=True, help="Run no step; write the page and the weights of the finished steps."
)
@click.option(
    "--weights-only",
    is_flag=True,
    help="Run no step; write the weights only, next to the page that is there.",
)
@click.option(
    "--readme",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Insert the short table into this file, between its two marks.",
)
def small(
    roots: tuple[Path, ...],
    jobs: int,
    dry_run: bool,
    rehearsal: bool,
    weizmann: Path | None,
    work: Path,
    out: Path,
    page_only: bool,
    weights_only: bool,
    readme: Path | None,
) -> None:
    """Test whether pre-training helps, on two CPU cores, by the protocol in results/small/protocol.md.

    --root is a folder of UCF101, all or some of it; with --rehearsal one that `mas-labels demo` made. The
    first network of some rows is written into --out/weights, with its figures next to those of the row.
    """
    from mas_train.reproduce.small import REHEARSAL_EXPERIMENT, Experiment, small_plan

    experiment = REHEARSAL_EXPERIMENT if rehearsal else Experiment(weizmann=weizmann is not None)
    steps = small_plan(experiment)
    is_done = weights_only or page_only
    if is_done or run_small(experiment, steps, work, roots, weizmann, jobs, dry_run):
        from mas_train.reproduce.page import write_page
        from mas_train.reproduce.small_weights import write_small_weights

        if not weights_only:
            click.echo(f"wrote {write_page(experiment, steps, work, out, readme)}")
        for path in write_small_weights(experiment, steps, work, out):
            click.echo(f"wrote {path}")


@command.command()
@roots_option
@plan_options(jobs=2)
@folder_option("--work", "reproduce/small", "Folder of `small`, whose labels are used.")
@folder_option("--out", "results/small", "Folder of the table.")
@click.option("--page-only", is_flag=True, help="Run no step; write the table of the finished steps.")
def pilots(
    roots: tuple[Path, ...], jobs: int, dry_run: bool, rehearsal: bool, work: Path, out: Path, page_only: bool
) -> None:
    """Make the choices that the protocol of `small` left to pilots, by trying them on split 1."""
    from mas_train.reproduce.pilots import pilot_plan, write_pilots
    from mas_train.reproduce.small import REHEARSAL_EXPERIMENT, Experiment

    experiment = REHEARSAL_EXPERIMENT if rehearsal else Experiment()
    steps = pilot_plan(experiment)
    if page_only or run_small(experiment, steps, work, roots, None, jobs, dry_run):
        click.echo(f"wrote {write_pilots(experiment, steps, work, out)}")


full_options = add_options(
    root_option,
    plan_options(jobs=1),
    click.option(
        "--coding",
        type=click.Choice(CODINGS),
        help="Further rows: all targets in this coding, standardised.  [default: none]",
    ),
    click.option(
        "--seeds",
        type=click.IntRange(1),
        default=1,
        help="Networks that are trained for each row of the tables.",
    ),
    click.option("--hmdb51", type=EXISTING_FOLDER, help="Folder of HMDB51: tables 3 and 4."),
    click.option("--aslan", type=EXISTING_FOLDER, help="Folder of ASLAN: table 5, with --view2."),
    click.option(
        "--view2",
        type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True),
        help="ASLAN's View2.mat.",
    ),
    click.option("--yupenn", type=EXISTING_FOLDER, help="Folder of YUPENN: table 6."),
    click.option("--cores", type=click.IntRange(1), default=16, help="CPU cores, for the estimate."),
    click.option(
        "--gpu-tflops",
        type=click.FloatRange(0, min_open=True),
        default=10.0,
        help="Sustained speed of the GPU in 1e12 operations per second, for the estimate.",
    ),
)
"""Options of the paper's experiments in full."""


@command.command()
@full_options
@folder_option("--work", "reproduce/ucf101", "Folder of shards, networks and logs.")
@folder_option("--out", "results/ucf101", "Folder of the tables.")
def ucf101(root: Path, **options: Any) -> None:
    """Reproduce tables 1 to 6 with networks pre-trained on UCF101, whose folder is --root. For one GPU."""
    from mas_train.reproduce.full import ucf101_plan

    reproduce_tables(ucf101_plan, {"$UCF101": root}, **options)


@command.command()
@full_options
@click.option(
    "--ucf101", type=EXISTING_FOLDER, required=True, help="Folder of UCF101, to fine-tune and test on."
)
@folder_option("--work", "reproduce/kinetics", "Folder of shards, networks and logs.")
@folder_option("--out", "results/kinetics", "Folder of the tables.")
def kinetics(root: Path, ucf101: Path, **options: Any) -> None:
    """Reproduce the rows of the network pre-trained on Kinetics-400, at --root. For one GPU."""
    from mas_train.reproduce.full import kinetics_plan

    reproduce_tables(kinetics_plan, {"$KINETICS400": root, "$UCF101": ucf101}, **options)


def reproduce_tables(
    make_plan: Callable[..., list[Step]],
    places: dict[str, Path | None],
    jobs: int,
    dry_run: bool,
    rehearsal: bool,
    coding: str | None,
    seeds: int,
    cores: int,
    gpu_tflops: float,
    work: Path,
    out: Path,
    **others: Path | None,
) -> None:
    """Run a full plan, or print it with its estimated cost, and write the paper's tables with our results."""
    from mas_train.reproduce.estimate import estimate_cost
    from mas_train.reproduce.full import FULL_SCALE, REHEARSAL_SCALE, with_seeds

    places = {**places, **{f"${name.upper()}": path for name, path in others.items()}}
    given = [name for name, path in places.items() if path is not None]
    if ("$ASLAN" in given) != ("$VIEW2" in given):
        raise click.UsageError("table 5 needs both --aslan and --view2")
    scale = REHEARSAL_SCALE if rehearsal else FULL_SCALE
    steps = with_seeds(make_plan(given, scale, coding or ""), seeds)
    for line in [] if rehearsal else estimate_cost(steps, cores, gpu_tflops):
        click.echo(f"# {line}")
    if run_or_print(steps, work, places, jobs, dry_run):
        from mas_train.evaluation.results import read_results
        from mas_train.evaluation.tables import show_tables

        out.mkdir(parents=True, exist_ok=True)
        tables = show_tables(read_results([work / "finetuned", work / "results"]))
        write_text(out / "tables.md", f"{tables}\n")
        click.echo(f"wrote {out / 'tables.md'}")


def main(args: list[str] | None = None) -> None:
    """Run `mas-reproduce` and exit with its status."""
    run_command(command, "mas-reproduce", args, "the same command resumes")


if __name__ == "__main__":
    main()
