"""Making one shard: the work of one worker."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
from mas_labels.pipeline.label_video import ALL_CLIPS, LabelledClip, views_of
from mas_labels.pipeline.resume import ShardResult, check_same_run, shard_result
from mas_labels.pipeline.supervisor import Labeller, borrowed_labeller
from mas_labels.plan.heartbeat import Heartbeat
from mas_labels.plan.plan import ShardPlan
from mas_labels.shards.header import read_header
from mas_labels.shards.writer import ShardWriter
from mas_labels.system.signals import signals_deferred
from mas_labels.video.reader import MACHINE_CODES, VideoFacts

PROCESS_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
"""Of a worker that lacks something itself: others may do better."""


@dataclass(frozen=True)
class RunContext:
    """What all shards of a run share; small, since it travels to the workers with each of them.

    Attributes
    ----------
    name
        Name of the run, for its heartbeats.
    config, options
        All options.
    root, out
        Folders of the videos and of the shards, absolute.
    versions
        Of what labels where the run was started; workers elsewhere must have the same.
    """

    name: str
    config: LabelConfig
    options: RunOptions
    root: Path
    out: Path
    versions: dict[str, str]


def make_shard(plan: ShardPlan, run: RunContext) -> ShardResult:
    """Make one shard.

    What goes wrong with this shard alone is in the result, so that others go on.

    Raises
    ------
    StorageError
        If nothing more can be written; the run had better end.
    """
    path = run.out / plan.name
    try:
        if not run.out.is_dir():
            raise ConfigError(f"this worker does not see the folder {run.out}: share it with all machines")
        with signals_deferred(), Heartbeat(run.out, plan.name, len(plan.videos), run.name) as beat:
            if run.options.retry_failed or not path.exists():  # else somebody else was faster
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
        if number is not None:  # every later error of reading is reported as unavailable
            raise storage_error(path, error) from error
        return ShardResult(plan.name, len(plan.videos), error=traceback.format_exc())


def _write_shard(path: Path, plan: ShardPlan, run: RunContext, beat: Heartbeat) -> None:
    views, timeout_seconds = views_of(run.config), run.options.video_timeout_seconds
    with borrowed_labeller(beat.touch) as labeller:
        _check_versions(labeller, run)
        with ShardWriter(
            path, run.config, plan.as_dict(), views, plan.classes, run.versions, run.options.retry_failed
        ) as writer:
            outcomes = [
                add_video(writer, record, run.root, labeller, timeout_seconds, count=beat.count)
                for record in plan.videos
            ]
            _require_a_readable_video(outcomes, run.root)


def _require_a_readable_video(outcomes: Sequence[VideoOutcome], root: Path) -> None:
    """Keep no shard of nothing but the machine's trouble, such as a disk that is away.

    Raises
    ------
    UnavailableError
        If there are videos, more than one, and none could be read.
    """
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if len(outcomes) > 1 and len(errors) == len(outcomes) and all(e.code in MACHINE_CODES for e in errors):
        raise UnavailableError(f"none of its {len(errors)} videos in {root}: {errors[0].message}")


def _check_versions(labeller: Labeller, run: RunContext) -> None:
    if labeller.versions != run.versions:
        raise ConfigError(
            f"this worker labels with {labeller.versions}, the run was started with {run.versions}: install "
            "the same versions everywhere"
        )


@dataclass(frozen=True)
class VideoOutcome:
    """Outcome of a video: its clips, the facts known of it, and the reason if it is a failure, too."""

    clips: int
    facts: VideoFacts
    error: VideoError | None


def add_video(
    writer: ShardWriter,
    record: VideoRecord,
    root: Path,
    labeller: Labeller,
    timeout_seconds: float,
    wanted: Sequence[int] = ALL_CLIPS,
    count: Callable[..., None] = lambda **_: None,
) -> VideoOutcome:
    """Label a video's clips and add them to a shard, or add a failure; complete clips are kept either way.

    Parameters
    ----------
    writer
        The shard.
    record, root
        The video, and the data set's folder.
    labeller
        The process that labels it.
    timeout_seconds
        Longest time without a sign of life.
    wanted
        Numbers of the clips to label; see `mas_labels.pipeline.supervisor.Labeller.label`.
    count
        Told of clips, failures and videos as they come, as `mas_labels.plan.heartbeat.Heartbeat.count` is.
    """
    clips, facts, failure = 0, VideoFacts(), None
    try:
        for item in labeller.label(root / record.path, writer.config, timeout_seconds, wanted):
            if isinstance(item, LabelledClip):
                writer.add_clip(item.start_frame, item.frames, item.statistics, item.flow)
                clips, facts = clips + 1, item.facts
                count(clips=1)
            else:
                facts = item
    except VideoError as error:
        writer.add_failure(record.path, error)
        failure = error.with_traceback(None)  # whose frames hold a clip
        count(failures=1)
    if clips:
        writer.add_video(record, facts, clips)
    count(videos=1)
    return VideoOutcome(clips, facts, failure)
