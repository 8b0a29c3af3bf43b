"""The work of one worker: make one shard, video by video, and publish it."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mas_labels.config import LabelConfig, RunOptions
from mas_labels.datasets.listing import VideoRecord
from mas_labels.errors import (
    ConfigError,
    MasError,
    StorageError,
    UnavailableError,
    VideoError,
    storage_error,
    system_error,
    unavailable,
)
from mas_labels.pipeline.label_video import ALL_CLIP_NUMBERS, LabelledClip, views_of
from mas_labels.pipeline.resume import ShardResult, check_same_run, shard_result
from mas_labels.pipeline.supervisor import Labeller, borrowed_labeller
from mas_labels.plan.heartbeat import Heartbeat
from mas_labels.plan.plan import ShardPlan
from mas_labels.shards.header import read_header
from mas_labels.shards.writer import ShardWriter
from mas_labels.system.signals import signals_deferred
from mas_labels.video.reader import MACHINE_CODES, VideoFacts

PROCESS_ERRORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
"""Errors of a worker that lacks resources: others may still work."""


@dataclass(frozen=True)
class RunContext:
    """Settings that all shards of a run share; small, since they are sent to the workers with each shard.

    Attributes
    ----------
    name
        Name of the run, for its heartbeats.
    config, options
        All options.
    root, out
        Folders of the videos and of the shards, absolute.
    versions
        Versions of this package and its dependencies where the run was started; workers elsewhere must have
        the same.
    """

    name: str
    config: LabelConfig
    options: RunOptions
    root: Path
    out: Path
    versions: dict[str, str]


def make_shard(plan: ShardPlan, run: RunContext) -> ShardResult:
    """Make one shard.

    An error that concerns this shard alone is part of the result, so that the others are still made.

    Raises
    ------
    StorageError
        If nothing more can be written: no other shard could be made either.
    """
    path = run.out / plan.name
    try:
        if not run.out.is_dir():
            raise ConfigError(f"this worker does not see the folder {run.out}: share it with all machines")
        with signals_deferred(), Heartbeat(run.out, plan.name, len(plan.videos), run.name) as beat:
            if run.options.retry_failed or not path.exists():  # else another worker was faster
                _write_shard(path, plan, run, beat)
            header = read_header(path)
            check_same_run(header, plan, run.config)
            return shard_result(header, plan)
    except StorageError:
        raise
    except MasError as error:
        return ShardResult(plan.name, len(plan.videos), error=str(error))
    except Exception as error:
        number = system_error(error)
        if number in PROCESS_ERRORS:
            return ShardResult(plan.name, len(plan.videos), error=str(unavailable(None, error)))
        if number is not None:  # errors of reading are reported as unavailable
            raise storage_error(path, error) from error
        return ShardResult(plan.name, len(plan.videos), error=traceback.format_exc())


def _write_shard(path: Path, plan: ShardPlan, run: RunContext, beat: Heartbeat) -> None:
    """Label the videos of a shard one after another, and publish it when all are done."""
    views, timeout_seconds = views_of(run.config), run.options.video_timeout_seconds
    with borrowed_labeller(beat.touch) as labeller:
        _check_versions(labeller, run)
        with ShardWriter(
            path, run.config, plan.as_dict(), views, plan.classes, run.versions, run.options.retry_failed
        ) as writer:
            outcomes = [
                add_video(writer, record, run.root, labeller, timeout_seconds, on_count=beat.count)
                for record in plan.videos
            ]
            _require_a_readable_video(outcomes, run.root)


def _require_a_readable_video(outcomes: Sequence[VideoOutcome], root: Path) -> None:
    """Refuse a shard that holds only failures of the machine, such as a disk that is not mounted.

    Raises
    ------
    UnavailableError
        If there is more than one video, and none could be read.
    """
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if len(outcomes) > 1 and len(errors) == len(outcomes) and all(e.code in MACHINE_CODES for e in errors):
        raise UnavailableError(
            f"none of its {len(errors)} videos in {root} could be read: {errors[0].message}"
        )


def _check_versions(labeller: Labeller, run: RunContext) -> None:
    if labeller.versions != run.versions:
        raise ConfigError(
            f"this worker labels with {labeller.versions}, the run was started with {run.versions}: install "
            "the same versions everywhere"
        )


@dataclass(frozen=True)
class VideoOutcome:
    """Outcome of one video: number of clips, facts of its file, and the error if it failed."""

    clips: int
    facts: VideoFacts
    error: VideoError | None


def add_video(
    writer: ShardWriter,
    record: VideoRecord,
    root: Path,
    labeller: Labeller,
    timeout_seconds: float,
    clip_numbers: Sequence[int] = ALL_CLIP_NUMBERS,
    on_count: Callable[..., None] = lambda **_: None,
) -> VideoOutcome:
    """Label a video's clips and add them to a shard; add a failure if it has one. Complete clips are kept.

    Parameters
    ----------
    writer
        The shard.
    record, root
        The video, and the data set's folder.
    labeller
        The process that labels it.
    timeout_seconds
        Longest time without a decoded frame or a finished clip.
    clip_numbers
        Numbers of the clips to label; see `mas_labels.pipeline.supervisor.Labeller.label`.
    on_count
        Called with the clips, failures and videos that were added, such as
        `mas_labels.plan.heartbeat.Heartbeat.count`.
    """
    clips, facts, failure = 0, VideoFacts(), None
    try:
        for item in labeller.label(root / record.path, writer.config, timeout_seconds, clip_numbers):
            if isinstance(item, LabelledClip):
                writer.add_clip(item.start_frame, item.frames, item.statistics, item.flow)
                clips, facts = clips + 1, item.facts
                on_count(clips=1)
            else:
                facts = item
    except VideoError as error:
        writer.add_failure(record.path, error)
        failure = error.with_traceback(None)  # its frames would keep a clip in memory
        on_count(failures=1)
    if clips:
        writer.add_video(record, facts, clips)
    on_count(videos=1)
    return VideoOutcome(clips, facts, failure)
