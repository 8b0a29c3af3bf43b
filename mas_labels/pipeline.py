"""The labelling run: plan, workers, resume, progress, failures.

The plan follows from the manifest alone: which shards there will be and which videos each holds. A shard is
the unit of work and of resuming; it depends on nothing but its videos and the options, so that its bytes are
the same with one worker or many, interrupted or not.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import joblib
import numpy as np
from threadpoolctl import threadpool_limits

import mas_labels
from mas_labels import interruption
from mas_labels.clips import cut_clips
from mas_labels.config import LabelConfig, json_hash
from mas_labels.errors import ConfigError, InputError, OptionsDifferError, VideoError, WorkerError
from mas_labels.flow import compute_flow
from mas_labels.labels import clip_statistics
from mas_labels.manifest import Listing, VideoRecord
from mas_labels.progress import Heartbeat, ProgressBar
from mas_labels.schema import CLIP_FRAMES
from mas_labels.shard_reader import Shard
from mas_labels.shard_writer import ShardWriter
from mas_labels.tvl1 import isa as tvl1_isa
from mas_labels.video import VideoReader
from mas_labels.views import view_table


@dataclass(frozen=True)
class ShardPlan:
    """One shard of a plan.

    Attributes
    ----------
    manifest, split
        What the plan is of.
    index, count
        Number of this shard from 0, and how many there are.
    videos
        Its videos.
    classes
        Names of all classes of the data set.
    """

    manifest: str
    split: str
    index: int
    count: int
    videos: tuple[VideoRecord, ...]
    classes: tuple[str, ...]

    @property
    def name(self) -> str:
        """File name of the shard."""
        return f"{self.manifest}-{self.split}-{self.index:05d}-of-{self.count:05d}.h5"

    def as_dict(self) -> dict[str, Any]:
        """Return what is stored in the shard: enough to know it again."""
        records = json_hash([asdict(video) for video in self.videos])
        return {
            "manifest": self.manifest,
            "split": self.split,
            "index": self.index,
            "count": self.count,
            "videos_hash": records,
        }


def make_plan(listing: Listing, split: str, videos_per_shard: int) -> list[ShardPlan]:
    """Distribute the videos of a split over shards.

    Videos are dealt out like cards, so that each shard holds videos of many classes.

    Raises
    ------
    ConfigError, DatasetError
        If there is no such split, or it is empty.
    """
    videos = listing.select(split)
    count = -(-len(videos) // videos_per_shard)
    return [
        ShardPlan(listing.manifest_name, split, index, count, tuple(videos[index::count]), listing.classes)
        for index in range(count)
    ]


def versions() -> dict[str, str]:
    """Return the versions that decide a shard's bytes."""
    build = cv2.getBuildInformation()
    ffmpeg = [line.split("(")[-1].rstrip(") ") for line in build.splitlines() if "avcodec:" in line]
    return {
        "mas_labels": mas_labels.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "avcodec": ffmpeg[0] if ffmpeg else "none",
    }


@dataclass(frozen=True)
class ShardResult:
    """What became of one shard.

    Attributes
    ----------
    name
        Its file name.
    videos, clips, failures
        What it holds: videos with clips, clips, videos that could not be used.
    error
        None, or the traceback of what kept it from being written.
    """

    name: str
    videos: int = 0
    clips: int = 0
    failures: int = 0
    error: str | None = None


def finished_shards(out: Path, plan: Sequence[ShardPlan], config: LabelConfig) -> list[ShardResult]:
    """Find the shards of the plan that are already in the folder.

    Raises
    ------
    OptionsDifferError
        If the folder holds a shard of another plan, of other options, or by other versions.
    ShardError
        If a shard there is damaged.
    """
    expected = {shard.name: shard for shard in plan}
    finished = []
    for path in sorted(out.glob("*.h5")):
        if path.name not in expected:
            raise OptionsDifferError(
                f"{path} is not part of this run, which writes {plan[0].name} and so on: a folder holds one "
                "split of one data set, choose another --out"
            )
        with Shard(path) as shard:
            _check_same_run(shard, expected[path.name], config)
            finished.append(_shard_result(shard))
    return finished


def _shard_result(shard: Shard) -> ShardResult:
    videos, failures = len(shard.read("videos/frames")), len(shard.read_texts("failures/code"))
    return ShardResult(shard.path.name, videos, len(shard), failures)


def _check_same_run(shard: Shard, plan: ShardPlan, config: LabelConfig) -> None:
    """Refuse a shard that this run would make otherwise, naming what differs."""
    ours = {**config.as_dict(), **plan.as_dict(), **versions()}
    theirs = {**shard.config, **shard.plan, **shard.versions}
    differing = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if differing:
        found = ", ".join(f"{name} was {theirs.get(name)!r}, is now {ours.get(name)!r}" for name in differing)
        raise OptionsDifferError(
            f"{shard.path} was made with other options: {found}. Use the same options, or another --out"
        )


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
            flow = compute_flow(frames, config.flow)
            statistics = clip_statistics(frames, flow, writer.views, config.convention)
            writer.add_clip(start_frame, frames, statistics, flow)
            clips += 1
            beat.count(clips=1)
    except (cv2.error, InputError) as error:
        raise VideoError("labels", "not_labelled", f"clip {clips} could not be labelled: {error}") from error
    finally:
        if clips:
            writer.add_video(record, reader, clips)
    if clips == 0:
        message = f"{reader.decoded_frames} frames decoded, a clip needs {CLIP_FRAMES}"
        raise VideoError("clips", "too_short", message)


def label_shard(plan: ShardPlan, config: LabelConfig, root: Path, out: Path, in_worker: bool) -> ShardResult:
    """Make one shard: the work of one worker. Whatever goes wrong is in the result, so that others go on."""
    if in_worker:
        interruption.leave_to_parent()
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # broken videos are told of by their rows of failures
    views = view_table(config.view_stride_pixels, config.view_mirrored)
    try:
        with interruption.deferred(), threadpool_limits(1), Heartbeat(out, plan.name) as beat:
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
                return _shard_result(shard)
    except Exception:
        return ShardResult(plan.name, error=traceback.format_exc())


def run(
    plan: Sequence[ShardPlan], config: LabelConfig, root: Path, out: Path, workers: int = 1
) -> list[ShardResult]:
    """Make all shards of a plan that are not there yet.

    Parameters
    ----------
    plan
        From `make_plan`.
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
        If the folder cannot be written or holds shards that differ; nothing has been done then.
    WorkerError
        If a worker process dies.
    """
    _make_writable(out)
    if config.flow == "tvl1":
        tvl1_isa()  # not built: says so before any work
    results = {result.name: result for result in finished_shards(out, plan, config)}
    todo = [shard for shard in plan if shard.name not in results]
    if results:
        print(f"{len(results)} of {len(plan)} shards were finished before and are kept", file=sys.stderr)
    bar = ProgressBar(out, sum(len(shard.videos) for shard in plan), results.values())
    jobs = max(1, min(workers, len(todo)))
    with bar, joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        try:
            tasks = (joblib.delayed(label_shard)(shard, config, root, out, jobs > 1) for shard in todo)
            for result in parallel(tasks):
                results[result.name] = result
                bar.add(result)
        except BrokenProcessPool as error:
            raise WorkerError(
                "a worker process died, killed or out of memory; finished shards are kept: run the same "
                "command again, with fewer --workers if memory is short"
            ) from error
    return [results[shard.name] for shard in plan]


def _make_writable(out: Path) -> None:
    """Make the folder and try to write there, before any work is done."""
    probe = out / ".writable"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"cannot write shards to {out}: {error.strerror}. Choose another --out") from error
