"""The labelling run: workers, resume, progress, failures.

A shard is the unit of work and of resuming; it depends on nothing but its videos and the options, so that its
bytes are the same with one worker or many, interrupted or not.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import cv2
import joblib
from threadpoolctl import threadpool_limits

from mas_labels import interruption
from mas_labels.clips import cut_clips
from mas_labels.config import LabelConfig
from mas_labels.errors import ConfigError, InputError, MasError, StorageError, VideoError, WorkerError
from mas_labels.flow import compute_flow
from mas_labels.labels import clip_statistics
from mas_labels.locking import lock_file
from mas_labels.manifest import VideoRecord
from mas_labels.plan import ShardPlan, ShardResult, finished_shards, shard_result, versions
from mas_labels.progress import Heartbeat, ProgressBar
from mas_labels.schema import CLIP_FRAMES
from mas_labels.shard_reader import Shard
from mas_labels.shard_writer import ShardWriter
from mas_labels.tvl1 import isa as tvl1_isa
from mas_labels.video import VideoReader
from mas_labels.views import NO_VIEWS, view_table


def label_video(
    record: VideoRecord, root: Path, config: LabelConfig, writer: ShardWriter, beat: Heartbeat
) -> None:
    """Label a video's clips and add them to a shard.

    Raises
    ------
    VideoError
        If the video gives no clip, or breaks after some; complete clips before the break are kept.
    """
    reader = VideoReader(root / record.path)
    clips = 0
    try:
        for start_frame, frames in cut_clips(reader, config.clip_stride_frames):
            if config.frames_only:
                writer.add_clip(start_frame, frames)
            else:
                flow = compute_flow(frames, config.flow)
                statistics = clip_statistics(frames, flow, writer.views, config.convention)
                writer.add_clip(start_frame, frames, statistics, flow)
            clips += 1
            beat.count(clips=1)
    except (cv2.error, InputError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise VideoError("labels", "not_labelled", f"clip {clips} could not be labelled: {reason}") from error
    finally:
        if clips:
            writer.add_video(record, reader, clips)
    if clips == 0:
        message = f"{reader.decoded_frames} frames decoded, a clip needs {CLIP_FRAMES}"
        raise VideoError("clips", "too_short", message)


def label_shard(plan: ShardPlan, config: LabelConfig, root: Path, out: Path, in_worker: bool) -> ShardResult:
    """Make one shard: the work of one worker.

    What goes wrong with this shard alone is in the result, so that others go on.

    Raises
    ------
    StorageError
        If nothing more can be written; the run had better end.
    """
    if in_worker:
        interruption.live_with_parent()
    views = NO_VIEWS if config.frames_only else view_table(config.view_stride_pixels, config.view_mirrored)
    try:
        with interruption.deferred(), _one_quiet_thread(), Heartbeat(out, plan.name) as beat:
            with ShardWriter(
                out / plan.name, config, plan.as_dict(), views, plan.classes, versions()
            ) as writer:
                for record in plan.videos:
                    try:
                        label_video(record, root, config, writer, beat)
                    except VideoError as error:
                        writer.add_failure(record.path, error)
                        beat.count(failures=1)
                    beat.count(videos=1)
            with Shard(out / plan.name) as shard:
                return shard_result(shard, plan)
    except StorageError:
        raise
    except MasError as error:
        return ShardResult(plan.name, len(plan.videos), error=str(error))
    except Exception:
        return ShardResult(plan.name, len(plan.videos), error=traceback.format_exc())


@contextmanager
def _one_quiet_thread() -> Iterator[None]:
    """One thread for OpenCV and BLAS, since others work beside us; no word from OpenCV on broken videos."""
    log = cv2.utils.logging
    threads, level = cv2.getNumThreads(), log.getLogLevel()
    cv2.setNumThreads(1)
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(threads)
        log.setLogLevel(level)


def run(
    plan: Sequence[ShardPlan], config: LabelConfig, root: Path, out: Path, workers: int = 1
) -> list[ShardResult]:
    """Make all shards of a plan that are not there yet.

    Parameters
    ----------
    plan
        From `mas_labels.plan.make_plan`.
    config
        All options.
    root
        The data set's folder.
    out
        Folder of the shards; made if missing.
    workers
        Processes.

    Returns
    -------
    One result a shard of the plan, finished ones included, in the plan's order.

    Raises
    ------
    ConfigError, OptionsDifferError
        If the folder cannot be written, is being written, or holds shards that differ; before any work.
    StorageError
        If the disk is full.
    WorkerError
        If a worker process dies.
    """
    if config.flow == "tvl1" and not config.frames_only:
        tvl1_isa()  # not built: says so before any work
    with _alone_in(out):
        results = finished_shards(out, plan, config, root)
        if results:
            print(f"{len(results)} of {len(plan)} shards were finished before and are kept", file=sys.stderr)
        todo = [shard for shard in plan if shard.name not in results]
        with ProgressBar(out, sum(len(shard.videos) for shard in plan), results.values()) as bar:
            for result in _label_all(todo, config, root, out, workers):
                results[result.name] = result
                bar.add(result)
    return [results[shard.name] for shard in plan]


def _label_all(
    todo: Sequence[ShardPlan], config: LabelConfig, root: Path, out: Path, workers: int
) -> Iterator[ShardResult]:
    """Make shards in parallel; yield each result as it comes."""
    jobs = max(1, min(workers, len(todo)))
    tasks = (joblib.delayed(label_shard)(shard, config, root, out, jobs > 1) for shard in todo)
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        try:
            yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(tasks)
        except BrokenProcessPool as error:
            raise WorkerError(
                "a worker process died, killed or out of memory; finished shards are kept: run the same "
                "command again, with fewer --workers if memory is short"
            ) from error


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Make the folder if missing, keep other runs out of it, and remove what a killed run left."""
    lock = out / ".lock"
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = lock_file(
            lock, f"another run is writing to {out}: let it finish, or choose another --out"
        )
    except OSError as error:
        raise ConfigError(f"cannot write shards to {out}: {error.strerror}. Choose another --out") from error
    try:
        for left in [*out.glob(".*.h5.partial"), *out.glob(".*.h5.progress")]:
            left.unlink(missing_ok=True)
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
