"""The labelling run: settle the plan, find the finished shards, make the others, count failures.

A shard is the unit of work and of resuming. It depends only on its videos and the options, so its bytes are
the same with one worker or many, on one machine or many, interrupted or not.

From here on, a video is followed through ``work`` (all tasks), ``pool`` (workers), ``task`` and
``make_shard`` (the work of one worker), ``supervisor`` and ``child`` (the process that may hang or crash),
and ``label_video`` (frames to labels).
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mas_labels.config import LabelConfig, RunOptions
from mas_labels.errors import ConfigError
from mas_labels.flow.methods import STORED
from mas_labels.flow.tvl1 import isa as tvl1_isa
from mas_labels.labels.compute import choose_backend
from mas_labels.pipeline.batches import print_changes, settle_plan
from mas_labels.pipeline.make_shard import LabelRun
from mas_labels.pipeline.resume import ShardResult
from mas_labels.pipeline.work import exclusive_folder, work_through
from mas_labels.plan.plan import Plan
from mas_labels.version import versions


def run(
    plan: Plan,
    config: LabelConfig,
    root: Path,
    out: Path,
    workers: int = 1,
    options: RunOptions | None = None,
) -> list[ShardResult]:
    """Make all shards of this rank's share of a plan that are not finished yet.

    Parameters
    ----------
    plan
        From `mas_labels.plan.plan.plan_shards`, the whole plan on every rank. The plans of earlier runs for
        `out` stay; videos that were added since are labelled into more shards.
    config
        All options that decide the content of a shard.
    root
        The data set's folder.
    out
        Folder of the shards; created if missing. Several ranks may fill it at the same time.
    workers
        Number of processes on this machine.
    options
        Other options of the run; None: `RunOptions`' defaults.

    Returns
    -------
    list of ShardResult
        One result per shard of this rank's share, those finished before included, in the plan's order.

    Raises
    ------
    ConfigError, OptionsDifferError
        If the folder cannot be written, another run is writing it, or it holds shards of other options;
        before any work.
    FailureRateError
        If more videos failed than `options` allow, as soon as that is certain.
    StorageError
        If the disk is full.
    WorkerError
        If worker processes die before they begin a shard.
    """
    options = options or RunOptions()
    if (config.flow == STORED) != (options.flow_from is not None):
        raise ConfigError(f"flow_from: expected with flow {STORED!r} only, found with {config.flow!r}")
    if options.flow_from is not None:  # workers may have another working directory
        options = replace(options, flow_from=options.flow_from.absolute())
    if not config.frames_only:  # fails before any work if the compiled extension is missing
        choose_backend()
        if config.flow == "tvl1":
            tvl1_isa()
    with exclusive_folder(out, options, "shard"):
        plan, results = settle_plan(plan, config, root, out, options)
        print_changes(plan)
        share = plan[options.rank :: options.world_size]
        _report_finished(results.values(), len(share))
        todo = [shard for shard in share if shard.name not in results]
        context = LabelRun(uuid.uuid4().hex, out.absolute(), versions(), config, options, root.absolute())
        videos = sum(shard.planned for shard in share)
        work_through(todo, context, workers, results, videos, options.max_failure_rate)
    return [results[shard.name] for shard in share]


def _report_finished(finished: Iterable[ShardResult], count: int) -> None:
    """Print how many shards were finished before."""
    results = list(finished)
    if results:
        clips = sum(result.clips for result in results)
        failures = sum(result.failures for result in results)
        print(
            f"{len(results)} of {count} shards were finished before and are kept: {clips} clips, "
            f"{failures} failed videos",
            file=sys.stderr,
        )
