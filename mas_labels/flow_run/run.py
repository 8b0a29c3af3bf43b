"""The run of flow: find the finished videos, compute the others, write down those that failed.

A video is the unit of work and of resuming. Its files depend only on the video and the options, so they are
the same with one worker or many, on one machine or many, interrupted or not.
"""

from __future__ import annotations

import hashlib
import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from mas_labels.config import RunOptions
from mas_labels.errors import ConfigError, StorageError, VideoError
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.output import FlowOutput, remove_unfinished
from mas_labels.flow.places import FlowTarget, claim_folder, flow_targets
from mas_labels.flow.tvl1 import isa as tvl1_isa
from mas_labels.flow.video_flow import FlowPart
from mas_labels.flow_run.failures import FlowFailure, failures_path, remove_rank_tables, write_failures
from mas_labels.names import printable
from mas_labels.pipeline.flow_video import FlowJob
from mas_labels.pipeline.supervisor import VideoProcess, borrowed_process
from mas_labels.pipeline.task import Run
from mas_labels.pipeline.work import exclusive_folder, work_through
from mas_labels.plan.file_names import heartbeat_path
from mas_labels.plan.heartbeat import Heartbeat, read_beats
from mas_labels.system.files import lock_file
from mas_labels.version import versions


@dataclass(frozen=True)
class FlowTask:
    """A video whose flow is to be computed.

    Attributes
    ----------
    video
        Name of the video, `/` between folders.
    path
        The video, as it was named.
    target
        Places of its flow, absolute: workers may have another working directory.
    source
        The video, absolute.
    """

    video: str
    path: Path
    target: FlowTarget
    source: Path = field(init=False)
    planned: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Raise `ConfigError` if the flow would be where the video is."""
        object.__setattr__(self, "source", self.path.absolute())
        video, *places = (os.path.normpath(path.absolute()) for path in (self.source, *self.target.places))
        if video in places:
            raise ConfigError(
                f"{printable(str(self.path))}: its flow would be in the folder of its frames: choose another "
                "--out"
            )

    @property
    def name(self) -> str:
        """Name of its heartbeat: short, whatever the video is called, and the same on every machine."""
        return f"flow-{hashlib.sha256(os.fsencode(self.video)).hexdigest()[:32]}"


@dataclass(frozen=True)
class FlowResult:
    """Outcome of one video.

    Attributes
    ----------
    name, path
        Name of its task, and the video.
    clips, vectors, clipped
        Numbers of pairs of frames, of their vectors, and of those beyond the bound of the pictures; 0 if it
        failed or was finished before.
    failure
        The row about it if it cannot be used.
    error
        Why it was not done, if that is not due to the video.
    """

    name: str
    path: Path
    clips: int = 0
    vectors: int = 0
    clipped: int = 0
    failure: FlowFailure | None = None
    error: str | None = None
    planned: ClassVar[int] = 1

    @property
    def failures(self) -> int:
        """Return 1 if the video failed."""
        return int(self.failure is not None)


@dataclass(frozen=True)
class FlowRun(Run[FlowTask, FlowResult]):
    """A run of flow, whose tasks are videos.

    Attributes
    ----------
    options
        Options that decide the content of the files.
    timeout_seconds
        Longest time without a decoded frame or a result.
    """

    options: FlowOptions
    timeout_seconds: float
    unit: ClassVar[str] = "video"
    noun: ClassVar[str] = "pairs"

    def do(self, task: FlowTask, beat: Heartbeat) -> FlowResult:
        """Write the flow of one video, unless another worker was faster (`Run.do`)."""
        if task.target.is_complete():
            return FlowResult(task.name, task.path)
        with borrowed_process(beat.touch) as process:
            self.check_versions(process.versions)
            try:
                return write_flow(process, task, self.options, self.timeout_seconds, beat.count)
            except VideoError as error:
                beat.count(failures=1)
                failure = FlowFailure(str(task.path), error.stage, error.code, error.message)
                return FlowResult(task.name, task.path, failure=failure)

    def give_up(self, task: FlowTask, error: str) -> FlowResult:
        """Return the result of a video that was not done (`Run.give_up`)."""
        return FlowResult(task.name, task.path, error=error)


def write_flow(
    process: VideoProcess,
    task: FlowTask,
    options: FlowOptions,
    timeout_seconds: float,
    on_count: Callable[..., None] = lambda **_: None,
) -> FlowResult:
    """Compute the flow of one video in a supervised process, and publish its files when they are complete.

    Raises
    ------
    VideoError
        If the video cannot be used; then nothing is left of it.
    StorageError
        If the files cannot be written.
    """
    pairs = vectors = clipped = 0
    with FlowOutput(task.target, options) as output:
        for message in process.do(FlowJob(task.source, options), timeout_seconds):
            if isinstance(message, FlowPart):
                output.add(message)
                pairs, vectors = pairs + message.pairs, vectors + message.vectors
                clipped += message.clipped
                on_count(clips=message.pairs)
        output.publish(on_count)
    return FlowResult(task.name, task.path, pairs, vectors, clipped)


def plan_flow(videos: Mapping[str, Path], out: Path, options: FlowOptions) -> list[FlowTask]:
    """Return the videos as tasks, sorted by name; raises as `mas_labels.flow.places.flow_targets` does."""
    targets = flow_targets(out.absolute(), sorted(videos), options)
    return [FlowTask(name, videos[name], target) for name, target in targets.items()]


def run_flow(
    tasks: list[FlowTask], options: FlowOptions, out: Path, workers: int, run_options: RunOptions
) -> list[FlowResult]:
    """Write the flow of this rank's share of the videos that is not there yet.

    Parameters
    ----------
    tasks
        All videos, the same on every rank (`plan_flow`).
    options
        Options that decide the content of the files.
    out
        The output folder; created if missing. Several ranks may fill it at the same time.
    workers
        Number of processes on this machine.
    run_options
        Time limit of a video, failures that are allowed, rank and number of ranks.

    Returns
    -------
    list of FlowResult
        One for each video of this rank's share, those finished before included.

    Raises
    ------
    ConfigError, OptionsDifferError
        If the folder cannot be written, another run is writing it, or it holds flow of other options; before
        any work.
    FailureRateError, StorageError, WorkerError
        As a labelling run raises them (`mas_labels.pipeline.run.run`).
    """
    if options.flow == "tvl1":  # fails before any work if the compiled extension is missing
        tvl1_isa()
    share = tasks[run_options.rank :: run_options.world_size]
    with exclusive_folder(out, run_options, FlowRun.unit):
        claim_folder(out, {task.video: task.target for task in tasks}, options)
        finished = [task for task in share if task.target.is_complete()]
        if finished:
            print(
                f"{len(finished)} of {len(share)} videos were finished before and are kept", file=sys.stderr
            )
        results = {task.name: FlowResult(task.name, task.path) for task in finished}
        todo = [task for task in share if task.name not in results]
        run = FlowRun(
            uuid.uuid4().hex, out.absolute(), versions(), options, run_options.video_timeout_seconds
        )
        table = failures_path(out, run_options.rank, run_options.world_size)
        try:
            work_through(todo, run, workers, results, len(share), run_options.max_failure_rate)
        except BaseException:
            with suppress(StorageError):  # the first error is to be seen
                write_failures(table, _rows(results))
            _remove_unfinished(todo, run)
            raise
        write_failures(table, _rows(results))
        if run_options.world_size == 1:
            remove_rank_tables(out)
    return [results[task.name] for task in share]


def _rows(results: Mapping[str, FlowResult]) -> list[FlowFailure]:
    return [result.failure for result in results.values() if result.failure is not None]


def _remove_unfinished(todo: Sequence[FlowTask], run: FlowRun) -> None:
    """Remove what the killed workers of a run that was stopped left half written."""
    tasks = {task.name: task for task in todo}
    for beat in read_beats(run.out):
        if beat.run == run.name and beat.name in tasks:
            with suppress(ConfigError, OSError):  # it does not end: the next run removes it
                descriptor = lock_file(heartbeat_path(run.out / beat.name), "it is at work")
                remove_unfinished(tasks[beat.name].target)
                os.close(descriptor)
