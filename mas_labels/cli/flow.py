"""`mas-labels flow`: the optical flow of one video or of whole data sets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mas_labels.cli.common import (
    FrameRate,
    end_run,
    follow_links_option,
    list_failures,
    make_run_options,
    share_options,
    splits_option,
    video_timeout_option,
    workers_option,
)
from mas_labels.errors import ConfigError, FailureRateError, VideoError
from mas_labels.flow.formats import format_of_file
from mas_labels.flow.methods import MAX_SIDE, MIN_SIDE
from mas_labels.flow.options import FlowOptions
from mas_labels.system.command_line import EXIT_FAILURE_RATE, PATH, field_option, take_fields
from mas_labels.system.process import print_error

if TYPE_CHECKING:
    from mas_labels.flow_run.run import FlowResult, FlowTask
    from mas_labels.stream.inputs import VideoInputs

MAX_CLIPPED = 0.01
"""Share of a video's vectors beyond the bound that goes unmentioned."""

flow_option = partial(field_option, FlowOptions)
sides = click.IntRange(MIN_SIDE, MAX_SIDE)


@click.command()
@click.argument("paths", nargs=-1, type=PATH)
@click.option("--manifest", type=PATH, help="Data set instead of PATHS: a manifest's file or name.")
@click.option(
    "--root",
    type=PATH,
    help="The data set's folder; for PATHS, the folder from which names in OUT and paths in lists begin.  "
    "[default: each folder, or the folder of each file]",
)
@splits_option
@follow_links_option
@click.option("--split", default="all", help="Name of the split of the manifest.")
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Folder of the output; the same command resumes. Of one video: its file .npz or .h5, or its folder.",
)
@workers_option
@flow_option("flow")
@flow_option("format", unset="by the extension of --out, else tsn")
@flow_option("dtype")
@flow_option("bound")
@flow_option("picture")
@flow_option("quality")
@flow_option("step")
@flow_option("size", type=sides, nargs=2, multiple=False, metavar="ROWS COLS", unset="not resized")
@flow_option("short_side", unset="not resized")
@flow_option("fps", type=FrameRate(), unset="each video's own frames")
@flow_option("frames")
@click.option("--dry-run", is_flag=True, help="Measure a few pairs of frames; write nothing.")
@video_timeout_option
@share_options
def flow(
    paths: tuple[Path, ...], out: Path, workers: int | None, dry_run: bool, follow_links: bool, **values: Any
) -> int:
    """Write the optical flow of PATHS: videos, folders of videos, lists of videos (.txt, .csv), frames.

    Folders are searched; their class folders are kept. A list has a path a line, perhaps followed by numbers.
    Videos that cannot be used are listed in failures.csv, and the run continues.
    """
    values["format"] = values["format"] or format_of_file(out)
    options = FlowOptions(**take_fields(FlowOptions, values))
    inputs = _find(paths, values, follow_links)
    for note in inputs.notes:
        click.echo(note)
    inputs.require_times(options.fps)
    if inputs.is_single and values["root"] is None and len(options.layout.flow) == 1:
        return _write_one(inputs, out, options, values["video_timeout_seconds"], dry_run)
    given = {path.resolve() for path in (*paths, values["root"]) if path is not None}
    if inputs.has_extracted and not options.layout.is_array and out.resolve() in given:
        raise ConfigError(
            f"--out {out}: the frames are there, and the next run would take pictures of flow among them for "
            "frames: choose another folder"
        )
    if format_of_file(out):
        raise click.UsageError(f"--out {out}: the flow of several videos needs a folder")
    return _write_many(inputs, out, options, workers, values, dry_run)


def _find(paths: tuple[Path, ...], values: dict[str, Any], follow_links: bool) -> VideoInputs:
    """Find the videos that the command line names."""
    from mas_labels.stream.inputs import find_inputs, wrong_choice

    named = paths, values["manifest"], values["root"], values["split"], values["splits_dir"]
    if problem := wrong_choice(*named):
        raise click.UsageError(problem)
    return find_inputs(*named, follow_links)


def _write_one(
    inputs: VideoInputs, out: Path, options: FlowOptions, timeout_seconds: float, dry_run: bool
) -> int:
    """Write the flow of one video to `out` itself."""
    from mas_labels.flow.output import check_free, locked_target
    from mas_labels.flow.places import single_target
    from mas_labels.flow_run.run import FlowTask, write_flow
    from mas_labels.names import printable
    from mas_labels.pipeline.supervisor import borrowed_process, close_idle_processes

    [(name, path)] = inputs.videos.items()
    task = FlowTask(name, path, single_target(out, options))
    check_free(task.target)
    if dry_run:
        return _show_estimate([task], options, timeout_seconds, 1)
    try:
        with locked_target(task.target), borrowed_process(lambda: None) as process:
            result = write_flow(process, task, options, timeout_seconds)
    except VideoError as error:  # which does not name the video: rows of tables do
        message = f"{printable(str(path))}: {error.stage}/{error.code}: {error.message}"
        raise VideoError(error.stage, error.code, message) from error
    finally:
        close_idle_processes()
    click.echo(f"wrote {result.clips} flow fields to {out}")
    _report_clipping([result], options)
    return 0


def _write_many(
    inputs: VideoInputs,
    out: Path,
    options: FlowOptions,
    workers: int | None,
    values: dict[str, Any],
    dry_run: bool,
) -> int:
    """Write the flow of this rank's share of the videos into the folder `out`."""
    import joblib

    from mas_labels.flow.places import check_folder
    from mas_labels.flow_run.failures import failures_path
    from mas_labels.flow_run.run import plan_flow, run_flow

    run_options = make_run_options(values)
    tasks = plan_flow(inputs.videos, out, options)
    workers = workers or joblib.cpu_count()
    if dry_run:
        check_folder(out, {task.video: task.target for task in tasks}, options)
        own = tasks[run_options.rank :: run_options.world_size]
        todo = [task for task in own if not task.target.is_complete()]
        click.echo(f"{len(todo)} videos, {len(own) - len(todo)} are finished")
        return _show_estimate(todo, options, run_options.video_timeout_seconds, workers)
    try:
        results = run_flow(tasks, options, out, workers, run_options)
    except FailureRateError as error:
        print_error(f"{error}; finished videos are kept, the same command resumes")
        return EXIT_FAILURE_RATE
    return _report(results, out, failures_path(out, run_options.rank, run_options.world_size), options)


def _show_estimate(
    todo: Sequence[FlowTask], options: FlowOptions, timeout_seconds: float, workers: int
) -> int:
    """Measure a few pairs, and print what all would take."""
    from mas_labels.flow_run.estimate import estimate_flow

    if todo:
        click.echo(estimate_flow(todo, options, timeout_seconds).describe(workers))
    click.echo("nothing was written: leave out --dry-run to compute the flow")
    return 0


def _report(results: Sequence[FlowResult], out: Path, table: Path, options: FlowOptions) -> int:
    """Print the outcome of a run, errors last; return its exit status."""
    from mas_labels.names import printable

    errors = {printable(str(result.path)): result.error for result in results if result.error}
    failed = [result.failure for result in results if result.failure]
    whole = len(results) - len(errors) - len(failed)
    click.echo(f"{whole} videos in {out}: {sum(result.clips for result in results)} pairs were computed now")
    _report_clipping(results, options)
    if failed:
        list_failures(failed)
        click.echo(
            f"{len(failed)} videos failed, of {len(results)}: {table}; the same command tries them again"
        )
    return end_run(errors, len(failed), "video", "done")


def _report_clipping(results: Sequence[FlowResult], options: FlowOptions) -> None:
    """Print which videos have more vectors beyond the bound than go unmentioned."""
    from mas_labels.names import first_names

    clipped = [result for result in results if result.clipped > MAX_CLIPPED * result.vectors]
    if clipped:
        share = sum(result.clipped for result in clipped) / sum(result.vectors for result in clipped)
        click.echo(
            f"clipped: {len(clipped)} videos have more than {MAX_CLIPPED:.0%} of their vectors beyond the "
            f"bound of {options.bound:g} pixels, together {share:.1%}: "
            f"{first_names([str(result.path) for result in clipped])}. A larger --bound keeps them, in "
            "coarser steps"
        )
