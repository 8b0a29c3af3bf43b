"""The task of a labelling run: make one shard, video by video, and publish it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mas_labels.config import LabelConfig, RunOptions
from mas_labels.datasets.listing import VideoRecord
from mas_labels.errors import UnavailableError, VideoError
from mas_labels.pipeline.label_video import ALL_CLIP_NUMBERS, LabelJob, LabelledClip, SkippedClip, views_of
from mas_labels.pipeline.resume import ShardResult, check_same_run, shard_result
from mas_labels.pipeline.supervisor import VideoProcess, borrowed_process
from mas_labels.pipeline.task import Run
from mas_labels.plan.heartbeat import Heartbeat
from mas_labels.plan.plan import ShardPlan
from mas_labels.shards.header import read_header
from mas_labels.shards.writer import ShardWriter
from mas_labels.video.reader import MACHINE_CODES, VideoFacts


@dataclass(frozen=True)
class LabelRun(Run[ShardPlan, ShardResult]):
    """A labelling run, whose tasks are shards.

    Attributes
    ----------
    config, options
        All options.
    root
        Folder of the videos, absolute.
    """

    config: LabelConfig
    options: RunOptions
    root: Path
    unit: ClassVar[str] = "shard"
    noun: ClassVar[str] = "clips"

    @property
    def scheduler(self) -> str | None:
        """Address of the dask scheduler, if there is one (`Run.scheduler`)."""
        return self.options.scheduler

    def do(self, task: ShardPlan, beat: Heartbeat) -> ShardResult:
        """Make one shard, unless another worker was faster (`Run.do`)."""
        path = self.out / task.name
        if self.options.retry_failed or not path.exists():
            self._write_shard(path, task, beat)
        header = read_header(path)
        check_same_run(header, task, self.config)
        return shard_result(header, task)

    def give_up(self, task: ShardPlan, error: str) -> ShardResult:
        """Return the result of a shard that was not made (`Run.give_up`)."""
        return ShardResult(task.name, task.planned, error=error)

    def _write_shard(self, path: Path, plan: ShardPlan, beat: Heartbeat) -> None:
        """Label the videos of a shard one after another, and publish it when all are done."""
        with borrowed_process(beat.touch) as process:
            self.check_versions(process.versions)
            stored = self.config, plan.as_dict(), views_of(self.config), plan.classes, self.versions
            with ShardWriter(path, *stored, self.options.retry_failed) as writer:
                outcomes = [
                    add_video(writer, record, self.root, process, self.options, on_count=beat.count)
                    for record in plan.videos
                ]
                _require_a_readable_video(outcomes, self.root)


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
    process: VideoProcess,
    options: RunOptions,
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
    process
        The process that labels it.
    options
        Those of the run: the time limit of a video, the folder of stored flow.
    clip_numbers
        Numbers of the clips to label; see `mas_labels.pipeline.label_video.LabelJob`.
    on_count
        Called with the clips, failures and videos that were added, such as
        `mas_labels.plan.heartbeat.Heartbeat.count`.
    """
    clips, skipped, facts, failure = 0, 0, VideoFacts(), None
    path, folder = root / record.path, options.flow_from
    job = LabelJob(path, writer.config, clip_numbers, flow_from=folder, name=record.path)
    try:
        for item in process.do(job, options.video_timeout_seconds):
            if isinstance(item, LabelledClip):
                writer.add_clip(item.start_frame, item.frames, item.statistics, item.flow)
                clips, facts = clips + 1, item.facts
                on_count(clips=1)
            elif isinstance(item, SkippedClip):
                skipped += 1
            else:
                facts = item
        if skipped and not clips:
            raise VideoError("clips", "only_cuts", f"each of its {skipped} clips lies across a shot cut")
    except VideoError as error:
        writer.add_failure(record.path, error)
        failure = error.with_traceback(None)  # its frames would keep a clip in memory
        on_count(failures=1)
    if clips:
        writer.add_video(record, facts, clips, skipped)
    on_count(videos=1)
    return VideoOutcome(clips, facts, failure)
