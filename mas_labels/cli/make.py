"""`mas-labels make` and `mas-labels status`: a labelling run and its progress."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mas_labels.cli.common import (
    end_run,
    follow_links_option,
    fps_option,
    json_option,
    list_failures,
    make_run_options,
    manifest_option,
    root_option,
    run_option,
    share_options,
    splits_option,
    video_timeout_option,
    workers_option,
)
from mas_labels.config import LabelConfig, RunOptions
from mas_labels.errors import ConfigError, FailureRateError
from mas_labels.flow.methods import STORED
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.system.command_line import (
    EXIT_FAILURE_RATE,
    EXIT_UNAVAILABLE,
    PATH,
    field_option,
    take_fields,
)
from mas_labels.system.process import print_error

if TYPE_CHECKING:
    from mas_labels.pipeline.resume import ShardResult
    from mas_labels.plan.plan import Plan
    from mas_labels.shards.tables import Failure

FRAME_SIZE = (DEFAULT_GEOMETRY.frame_rows, DEFAULT_GEOMETRY.frame_cols)
label_option = partial(field_option, LabelConfig)


@click.command()
@manifest_option
@root_option
@splits_option
@follow_links_option
@click.option("--split", default="all", help="Name of the split to label.")
@click.option("--out", type=PATH, required=True, help="Folder of the shards; the same command resumes.")
@workers_option
@label_option("flow", unset="tvl1, or stored with --flow-from")
@run_option("flow_from", unset="flow is computed")
@label_option("flow_bound", unset="as in bound.txt next to the pictures, else 20")
@label_option("convention")
@label_option("clip_stride_frames", "--clip-stride", unset="as many as a clip spans, without overlap")
@fps_option
@label_option("view_stride_pixels", "--view-stride")
@label_option("view_mirrored", "--mirrored/--no-mirrored")
@label_option("frames")
@label_option("jpeg_quality")
@label_option("store_boundaries", "--store-boundaries/--no-store-boundaries", unset="as the manifest says")
@label_option("store_flow", "--store-flow/--no-store-flow")
@label_option("frames_only")
@label_option("skip_cuts")
@label_option("clip_frames")
@label_option("frame_step")
@label_option("frame_rows", "--size", nargs=2, metavar="ROWS COLS", default=FRAME_SIZE)
@label_option("view_size")
@label_option("grid_block", unset="a quarter of the view")
@label_option("ring_width", unset="an eighth of the view")
@click.option(
    "--videos-per-shard",
    type=click.IntRange(1),
    help="Videos per shard.  [default: as the manifest says, else 2 to 16, by their number]",
)
@click.option(
    "--limit", type=click.IntRange(1), help="Number of videos to label, from the first on.  [default: all]"
)
@click.option("--dry-run", is_flag=True, help="Show the plan and measure a few clips; write nothing.")
@video_timeout_option
@run_option("retry_failed")
@share_options
@click.option(
    "--backend", type=click.Choice(["loky", "dask"]), default="loky", help="Backend that runs the workers."
)
@run_option("scheduler")
def make(
    manifest: Path,
    root: Path,
    splits_dir: Path | None,
    follow_links: bool,
    split: str,
    out: Path,
    workers: int | None,
    videos_per_shard: int | None,
    limit: int | None,
    dry_run: bool,
    **values: Any,
) -> int:
    """Label videos: decode, flow, motion boundaries, 27 labels of every view, into HDF5 shards.

    Videos that cannot be used are recorded in the shards and counted at the end; the run continues.
    """
    if (values["backend"] == "dask") != (values["scheduler"] is not None):
        raise click.UsageError("--backend dask and --scheduler ADDRESS belong together")
    options = make_run_options(values)
    import joblib

    from mas_labels.datasets.find_videos import find_videos
    from mas_labels.datasets.listing import listing_notes
    from mas_labels.datasets.manifest import load_manifest
    from mas_labels.pipeline.run import run
    from mas_labels.plan.plan import plan_shards

    dataset = load_manifest(manifest)
    config = _label_config(values, dataset.store_boundaries)
    listing = find_videos(dataset, root, splits_dir, follow_links)
    for note in listing_notes(listing):
        click.echo(note)
    if config.fps and listing.extracted:
        raise ConfigError("--fps: extracted frames have no time stamps: label the videos, or leave it out")
    plan = plan_shards(listing, split, videos_per_shard or dataset.videos_per_shard, limit)
    if options.flow_from is not None:
        config = _with_stored_flow(config, plan, options.flow_from, values["flow_bound"])
    workers = workers or joblib.cpu_count()
    if dry_run:
        _show_plan(plan, config, root, out, options, workers)
        return 0
    try:
        return _report(run(plan, config, root, out, workers, options), out)
    except FailureRateError as error:
        print_error(f"{error}; finished shards are kept: fix the videos, then use --retry-failed")
        return EXIT_FAILURE_RATE


def _label_config(values: dict[str, Any], store_boundaries: bool) -> LabelConfig:
    """Return the options of the labels; what was not given follows from the manifest and --flow-from."""
    values["frame_rows"], values["frame_cols"] = values["frame_rows"]  # one option, --size, gives both
    if values["store_boundaries"] is None:
        values["store_boundaries"] = store_boundaries and not values["frames_only"]
    if values["flow_from"] is None:
        if values["flow"] == STORED or values["flow_bound"] is not None:
            raise click.UsageError("--flow stored and --flow-bound need --flow-from, the folder of the flow")
    elif values["flow"] not in (None, STORED):
        raise click.UsageError(f"--flow {values['flow']} computes flow, --flow-from reads it: leave one out")
    else:
        values["flow"] = STORED
    return LabelConfig(**take_fields(LabelConfig, values))


def _with_stored_flow(config: LabelConfig, plan: Plan, folder: Path, bound: float | None) -> LabelConfig:
    """Return the configuration with the bound of the flow in a folder; print what was found."""
    from mas_labels.flow.stored_flow import describe_flow
    from mas_labels.flow.stored_folder import find_bound

    bound = find_bound(folder, [video.path for shard in plan for video in shard.videos], bound)
    click.echo(f"flow is read from {folder}: {describe_flow(bound)}")
    return replace(config, flow_bound=bound)


def _show_plan(
    plan: Plan, config: LabelConfig, root: Path, out: Path, options: RunOptions, workers: int
) -> None:
    """Print what the run would do."""
    from mas_labels.pipeline.batches import print_changes, resume_plan
    from mas_labels.pipeline.estimate import estimate_run

    plan, finished = resume_plan(plan, config, root, out, options)
    print_changes(plan)
    todo = [shard for shard in plan[options.rank :: options.world_size] if shard.name not in finished]
    videos = [video for shard in todo for video in shard.videos]
    classes = len({video.class_name for video in videos} - {None})
    share = f" (rank {options.rank} of {options.world_size})" if options.world_size > 1 else ""
    done = f", {len(finished)} are finished" if finished else ""
    click.echo(f"{len(todo)} shards of {len(videos)} videos in {classes} classes{share}{done}")
    if todo:
        click.echo(f"from {todo[0].name} to {todo[-1].name}")
        click.echo(estimate_run(todo, config, root, options).describe(workers))
    click.echo("nothing was written: leave out --dry-run to label")


def _report(results: Sequence[ShardResult], out: Path) -> int:
    """Print the outcome of a run, errors last; return its exit status."""
    errors = {result.name: result.error for result in results if result.error}
    failures = sum(result.failures for result in results)
    click.echo(
        f"{len(results) - len(errors)} shards in {out}: {sum(result.clips for result in results)} clips of "
        f"{sum(result.videos for result in results)} videos"
    )
    if cut := sum(result.cut_clips for result in results):
        click.echo(f"{cut} clips lie across a shot cut: the filter cut=false chooses the others")
    if skipped := sum(result.skipped_clips for result in results):
        click.echo(f"{skipped} clips across a shot cut were left out")
    if failures:
        list_failures(_read_failures(results, out))
        planned = sum(result.planned for result in results)
        click.echo(
            f"{failures} videos failed, of {planned}; once they are fixed, --retry-failed tries them again"
        )
    return end_run(errors, failures, "shard", "written")


def _read_failures(results: Sequence[ShardResult], out: Path) -> Iterator[Failure]:
    """Yield the failures that the shards hold."""
    from mas_labels.shards.reader import Shard
    from mas_labels.shards.tables import read_failures

    for result in results:
        if result.failures:
            with Shard(out / result.name) as shard:
                yield from read_failures(shard)


@click.command()
@click.argument("folder", type=PATH)
@json_option
def status(folder: Path, as_json: bool) -> int:
    """Show the progress of the runs that write to FOLDER: shards done, running, failed, left, and rates.

    Exit status: 0 success, 1 an error, 2 wrong usage, 6 a shard could not be read now.
    """
    from mas_labels.pipeline.status import describe_status, read_status

    progress = read_status(folder)
    click.echo(json.dumps(progress.as_dict(), indent=2) if as_json else describe_status(progress))
    return EXIT_UNAVAILABLE if progress.unavailable else 0
