"""Estimate of the time and the disk space of a run, measured on a sample, which is not kept."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from mas_labels.config import LabelConfig, RunOptions
from mas_labels.errors import StorageError, VideoError, reason_of
from mas_labels.pipeline.label_video import views_of
from mas_labels.pipeline.make_shard import add_video
from mas_labels.pipeline.supervisor import VideoProcess
from mas_labels.plan.plan import ShardPlan
from mas_labels.shards.writer import ShardWriter
from mas_labels.system.amounts import format_bytes, format_time
from mas_labels.version import versions

Video = TypeVar("Video")

SAMPLED_VIDEOS: Final = 12
CLIPS_PER_VIDEO: Final = 2
"""Number of clips that are labelled of each sampled video."""


@dataclass
class Estimate:
    """Measurements on a sample of a plan's videos, and their extrapolation.

    Attributes
    ----------
    videos
        Number of videos of the plan.
    noun
        Word for what is counted as clips: "clip", or "pair" of frames whose flow is computed.
    sampled_videos, failed_videos
        Number of sampled videos, and of those that could not be used.
    first_failure
        The reason of the first of these.
    sampled_clips
        Number of clips that were made.
    seconds
        Time that they took one process, from opening the video to the files.
    bytes
        Size of the files that hold them.
    promised_clips
        Number of clips of the usable sampled videos, by the frame counts in their headers.
    """

    videos: int
    noun: str = "clip"
    sampled_videos: int = 0
    failed_videos: int = 0
    first_failure: str = ""
    sampled_clips: int = 0
    seconds: float = 0.0
    bytes: int = 0
    promised_clips: int = 0

    @property
    def clips(self) -> float:
        """Expected number of clips of all videos."""
        return self.promised_clips * self.videos / max(1, self.sampled_videos)

    def add(self, clips: int, promised_clips: int, error: VideoError | None) -> None:
        """Count a sampled video; its header states how many clips it has beyond those made."""
        self.sampled_videos += 1
        if error is not None:
            self.failed_videos += 1
            self.first_failure = self.first_failure or f" ({error.code}: {error})"
        self.sampled_clips += clips
        if clips:
            self.promised_clips += max(clips, promised_clips)

    def describe(self, workers: int) -> str:
        """Return the estimate as text, for workers that are equally fast."""
        if self.sampled_clips == 0:
            none = f"none of {self.sampled_videos} sampled videos gave a {self.noun}"
            return f"{none}{self.first_failure}: no estimate"
        seconds, size = self.seconds / self.sampled_clips, self.bytes / self.sampled_clips
        return (
            f"measured on {self.sampled_clips} {self.noun}s of {self.sampled_videos} videos "
            f"({self.failed_videos} failed): {1000 * seconds:.0f} ms and {format_bytes(size)} per "
            f"{self.noun}\n"
            f"expected: about {self.clips:.0f} {self.noun}s (by the frame counts in the videos' headers), "
            f"{format_time(self.clips * seconds / workers)} with {workers} workers, "
            f"{format_bytes(self.clips * size)}"
        )


def spread_sample(videos: Sequence[Video]) -> Sequence[Video]:
    """Return at most `SAMPLED_VIDEOS` of some videos, from the first to the last."""
    return videos[:: max(1, len(videos) // SAMPLED_VIDEOS)][:SAMPLED_VIDEOS]


@contextmanager
def measured_sample(estimate: Estimate) -> Iterator[tuple[Path, VideoProcess]]:
    """Yield a temporary folder and a supervised process; then set time and bytes of the block.

    A `StorageError` of the block is raised as one of the temporary folder.
    """
    with closing(VideoProcess()) as process, tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        try:
            yield Path(folder), process
        except StorageError as error:
            raise StorageError(
                f"cannot write to the temporary folder {folder}: {reason_of(error.__cause__ or error)}. Make "
                "room, or set TMPDIR to another folder"
            ) from error
        estimate.seconds = time.perf_counter() - start
        estimate.bytes = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def estimate_run(plan: Sequence[ShardPlan], config: LabelConfig, root: Path, options: RunOptions) -> Estimate:
    """Label a few clips of videos spread over the plan into a temporary folder.

    Raises
    ------
    WorkerError, StorageError
        As a run raises them.
    """
    videos = [video for shard in plan for video in shard.videos]
    estimate = Estimate(len(videos))
    stored = config, plan[0].as_dict(), views_of(config), plan[-1].classes, versions()
    with measured_sample(estimate) as (folder, process), ShardWriter(folder / "sample.h5", *stored) as writer:
        for video in spread_sample(videos):
            outcome = add_video(writer, video, root, process, options, range(CLIPS_PER_VIDEO))
            beyond_first = outcome.facts.promised_frames - config.geometry.extent
            whole = 1 + beyond_first // config.clip_stride_frames
            estimate.add(outcome.clips, whole, outcome.error)
    return estimate
