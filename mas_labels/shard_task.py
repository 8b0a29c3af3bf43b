"""Making one shard: the work of one worker."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mas_labels import interruption
from mas_labels.config import LabelConfig, RunOptions
from mas_labels.errors import ConfigError, MasError, StorageError, VideoError
from mas_labels.heartbeat import Heartbeat
from mas_labels.labeller import Labeller, borrowed_labeller
from mas_labels.labelling import ALL_CLIPS, LabelledClip, views_of
from mas_labels.manifest import VideoRecord
from mas_labels.plan import ShardPlan, ShardResult, check_same_run, shard_result
from mas_labels.shard_header import read_header
from mas_labels.shard_writer import ShardWriter
from mas_labels.video import VideoFacts


@dataclass(frozen=True)
class RunContext:
    """What all shards of a run share; small, since it travels to the workers with each of them.

    Attributes
    ----------
    name
        Name of the run, for its heartbeats.
    config, how
        All options.
    root, out
        Folders of the videos and of the shards, absolute.
    versions
        Of what labels where the run was started; workers elsewhere must have the same.
    """

    name: str
    config: LabelConfig
    how: RunOptions
    root: Path
    out: Path
    versions: dict[str, str]


def make_shard_in_worker(plan: ShardPlan, run: RunContext) -> ShardResult:
    """Make one shard, in a process that was started for that and ends with its parent."""
    interruption.live_with_parent()
    return make_shard(plan, run)


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
        with interruption.deferred(), Heartbeat(run.out, plan.name, len(plan.videos), run.name) as beat:
            if run.how.retry_failed or not path.exists():  # else somebody else was faster
                _write_shard(path, plan, run, beat)
            header = read_header(path)
            check_same_run(header, plan, run.config)
            return shard_result(header, plan)
    except StorageError:
        raise
    except MasError as error:
        return ShardResult(plan.name, len(plan.videos), error=str(error))
    except Exception:
        return ShardResult(plan.name, len(plan.videos), error=traceback.format_exc())


def _write_shard(path: Path, plan: ShardPlan, run: RunContext, beat: Heartbeat) -> None:
    views = views_of(run.config)
    with borrowed_labeller(beat.touch) as labeller:
        _check_versions(labeller, run)
        with ShardWriter(
            path, run.config, plan.as_dict(), views, plan.classes, run.versions, run.how.retry_failed
        ) as writer:
            for record in plan.videos:
                add_video(writer, record, run.root, labeller, run.how.video_timeout_seconds, count=beat.count)


def _check_versions(labeller: Labeller, run: RunContext) -> None:
    if labeller.versions != run.versions:
        raise ConfigError(
            f"this worker labels with {labeller.versions}, the run was started with {run.versions}: install "
            "the same versions everywhere"
        )


@dataclass(frozen=True)
class VideoOutcome:
    """What became of a video: its clips, what was known of it, and whether it is a failure, too."""

    clips: int
    facts: VideoFacts
    failed: bool


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
        Numbers of the clips to label; see `mas_labels.labeller.Labeller.label`.
    count
        Told of clips, failures and videos as they come, as `mas_labels.heartbeat.Heartbeat.count` is.
    """
    clips, facts, failed = 0, VideoFacts(), False
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
        failed = True
        count(failures=1)
    if clips:
        writer.add_video(record, facts, clips)
    count(videos=1)
    return VideoOutcome(clips, facts, failed)
