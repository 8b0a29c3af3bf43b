"""`mas-labels make` and `mas-labels status`: a labelling run, and how far one is."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mas_labels.cli.common import (
    follow_links_option,
    fps_option,
    manifest_option,
    root_option,
    splits_option,
    video_timeout_option,
)
from mas_labels.config import FLOW_METHODS, LabelConfig, RunOptions
from mas_labels.errors import ConfigError, FailureRateError
from mas_labels.labels.conventions import CONVENTIONS
from mas_labels.system.command_line import EXIT_ERROR, EXIT_FAILURE_RATE, EXIT_FAILURES, EXIT_UNAVAILABLE
from mas_labels.system.process import print_error

if TYPE_CHECKING:
    from mas_labels.pipeline.resume import ShardResult
    from mas_labels.plan.plan import Plan


MAX_FAILURES_SHOWN = 20


@click.command()
@manifest_option
@root_option
@splits_option
@follow_links_option
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
@fps_option
@click.option(
    "--view-stride", type=click.IntRange(1, 59), default=8, help="Pixels between two crops that have labels."
)
@click.option("--mirrored/--no-mirrored", default=True, help="Whether each crop has labels mirrored, too.")
@click.option("--frames", type=click.Choice(["jpeg", "raw"]), default="jpeg", help="How frames are kept.")
@click.option("--jpeg-quality", type=click.IntRange(1, 100), default=90, help="Quality of the JPEG frames.")
@click.option(
    "--store-boundaries/--no-store-boundaries",
    default=None,
    help="Whether Mu and Mv are kept.  [default: as the manifest says]",
)
@click.option("--store-flow/--no-store-flow", default=False, help="Whether the flow itself is kept.")
@click.option(
    "--frames-only",
    is_flag=True,
    help="Keep clips without flow and labels: enough for fine-tuning and tests.",
)
@click.option(
    "--videos-per-shard", type=click.IntRange(1), help="Videos in a shard.  [default: as the manifest says]"
)
@click.option("--limit", type=click.IntRange(1), help="Label the first so many videos only.  [default: all]")
@click.option("--dry-run", is_flag=True, help="Show the plan and measure a few clips; write nothing.")
@video_timeout_option
@click.option("--retry-failed", is_flag=True, help="Make the shards that hold failures again.")
@click.option(
    "--max-failure-rate",
    type=click.FloatRange(0, 1),
    help="Stop with status 4 once more than this share of the videos failed.  [default: any may]",
)
@click.option(
    "--rank", type=int, help="Make every WORLD_SIZE-th shard from this one.  [default: Slurm's array]"
)
@click.option(
    "--world-size", type=int, help="Ranks the plan is split over.  [default: Slurm's array, else 1]"
)
@click.option("--backend", type=click.Choice(["loky", "dask"]), default="loky", help="Who runs the workers.")
@click.option("--scheduler", help="Address of the running dask scheduler, with --backend dask.")
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
    **options: Any,
) -> int:
    """Label videos: decode, flow, motion boundaries, 27 labels of every view, into HDF5 shards.

    Videos that cannot be used are recorded in the shards and counted at the end; the run goes on.
    """
    how = _run_options(options)
    import joblib

    from mas_labels.datasets.find_videos import find_videos, listing_notes, load_manifest
    from mas_labels.pipeline.run import run
    from mas_labels.plan.plan import plan_shards

    recipe = load_manifest(manifest)
    if options["store_boundaries"] is None:
        options["store_boundaries"] = recipe.store_boundaries and not options["frames_only"]
    config = LabelConfig(
        clip_stride_frames=options.pop("clip_stride"),
        view_stride_pixels=options.pop("view_stride"),
        view_mirrored=options.pop("mirrored"),
        fps=options.pop("fps") or "",
        **options,
    )
    listing = find_videos(recipe, root, splits_dir, follow_links)
    for note in listing_notes(listing):
        click.echo(note)
    if config.fps and listing.extracted:
        raise ConfigError("--fps: extracted frames have no time stamps: label the videos, or leave it out")
    plan = plan_shards(listing, split, videos_per_shard or recipe.videos_per_shard, limit)
    workers = workers or joblib.cpu_count()
    if dry_run:
        _show_plan(plan, config, root, out, how, workers)
        return 0
    try:
        return _report(run(plan, config, root, out, workers, how), out)
    except FailureRateError as error:
        print_error(f"{error}; finished shards are kept: fix the videos, then use --retry-failed")
        return EXIT_FAILURE_RATE


def _run_options(options: dict[str, Any]) -> RunOptions:
    """Take what says how a run is carried out from the options of the command."""
    from mas_labels.plan.ranks import find_rank_share

    backend, scheduler = options.pop("backend"), options.pop("scheduler")
    if (backend == "dask") != (scheduler is not None):
        raise click.UsageError("--backend dask and --scheduler ADDRESS belong together")
    share = find_rank_share(options.pop("rank"), options.pop("world_size"), os.environ)
    if share.source is not None:
        click.echo(f"rank {share.rank} of {share.world_size}, from {share.source}", err=True)
    return RunOptions(
        video_timeout_seconds=options.pop("video_timeout"),
        retry_failed=options.pop("retry_failed"),
        max_failure_rate=options.pop("max_failure_rate"),
        rank=share.rank,
        world_size=share.world_size,
        scheduler=scheduler,
    )


def _show_plan(plan: Plan, config: LabelConfig, root: Path, out: Path, how: RunOptions, workers: int) -> None:
    """Print what a run would do."""
    from mas_labels.pipeline.batches import print_changes, resume_plan
    from mas_labels.pipeline.estimate import estimate_run

    plan, finished = resume_plan(plan, config, root, out, how)
    print_changes(plan)
    ours = [shard for shard in plan[how.rank :: how.world_size] if shard.name not in finished]
    videos = [video for shard in ours for video in shard.videos]
    classes = len({video.class_name for video in videos} - {None})
    share = f" (rank {how.rank} of {how.world_size})" if how.world_size > 1 else ""
    kept = f", {len(finished)} are finished" if finished else ""
    click.echo(f"{len(ours)} shards of {len(videos)} videos in {classes} classes{share}{kept}")
    if ours:
        click.echo(f"from {ours[0].name} to {ours[-1].name}")
        click.echo(estimate_run(ours, config, root, how).describe(workers))
    click.echo("nothing was written: leave out --dry-run to label")


def _report(results: Sequence[ShardResult], out: Path) -> int:
    """Say how a run ended, last what went wrong; return its exit status."""
    broken = [result for result in results if result.error]
    failures = sum(result.failures for result in results)
    click.echo(
        f"{len(results) - len(broken)} shards in {out}: {sum(result.clips for result in results)} clips of "
        f"{sum(result.videos for result in results)} videos"
    )
    if failures:
        _list_failures(results, out)
        planned = sum(result.planned for result in results)
        click.echo(
            f"{failures} videos failed, of {planned}; once they are mended, --retry-failed tries them again"
        )
    for result in broken:
        click.echo(f"shard {result.name} was not written: {result.error}", err=True)
    if broken:
        print_error(f"{len(broken)} shards were not written; the same command tries them again")
        return EXIT_ERROR
    return EXIT_FAILURES if failures else 0


def _list_failures(results: Sequence[ShardResult], out: Path) -> None:
    """Print the first rows of failures."""
    from mas_labels.shards.reader import Shard
    from mas_labels.shards.tables import read_failures

    left = MAX_FAILURES_SHOWN
    for result in results:
        if result.failures and left > 0:
            with Shard(out / result.name) as shard:
                rows = read_failures(shard)[:left]
            for row in rows:
                click.echo(f"  {row.video!r}: {row.stage}/{row.code}: {row.message}")
            left -= len(rows)
    if left == 0:
        click.echo("  ...")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(folder: Path, as_json: bool) -> int:
    """Show how far FOLDER is, filled by one machine or more: done, running, failed, left, rates.

    Exit status: 0, 1 an error, 2 wrong usage, 6 a shard could not be read now.
    """
    from mas_labels.pipeline.status import describe_status, read_status

    found = read_status(folder)
    click.echo(json.dumps(found.as_dict(), indent=2) if as_json else describe_status(found))
    return EXIT_UNAVAILABLE if found.unavailable else 0
