"""Measures labelling end to end, from videos to finished shards, and the time and bytes of each stage.

    python benchmarks/bench_labels.py --videos DIR [--count 24] [--opencv-count 2] [--out benchmarks]

prints the tables and writes them to ``OUT/labels.md``. Videos are copied to a temporary folder and labelled
by `mas-labels make` in its default configuration (50 views per clip, JPEG frames, Mu and Mv): by one worker,
by two, and a few of them with OpenCV's TV-L1 for comparison. Times are wall-clock seconds and include the
start of the command and its processes: run it on an idle machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stages
from common import choose_videos, machine, table_parser, write_table
from memory import MemoryWatch

import mas_labels
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.labels.views import view_table

UCF101_FRAMES = 2.5e6


@dataclass
class Run:
    """One run of `mas-labels make`."""

    name: str
    clips: int
    seconds: float
    memory: MemoryWatch

    @property
    def rate(self) -> float:
        return self.clips / self.seconds


def make(name: str, videos: list[Path], workers: int = 1, flow: str = "tvl1") -> Run:
    """Label copies of some videos in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder) / "videos", Path(folder) / "labels"
        root.mkdir()
        for video in videos:
            shutil.copy(video, root / video.name)
        command = [sys.executable, "-m", "mas_labels", "make", "--manifest", "folder", "--root", root]
        command += ["--out", out, "--workers", str(workers), "--flow", flow, "--videos-per-shard", "2"]
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        memory = MemoryWatch(process)
        memory.start()
        status = process.wait()
        seconds = time.perf_counter() - begin
        if status:
            raise SystemExit(f"error: mas-labels make ended with status {status}")
        run = Run(name, len(mas_labels.open_shards(out)), seconds, memory)
    print(f"{name}: {run.clips} clips in {seconds:.1f} s", flush=True)
    return run


def rate_table(runs: list[Run]) -> str:
    """Format the clips per second of each run."""
    lines = ["| run | clips | seconds | clips per second |", "|---|---|---|---|"]
    lines += [f"| {run.name} | {run.clips} | {run.seconds:.1f} | {run.rate:.2f} |" for run in runs]
    return "\n".join(lines)


def conclusions(one: Run, two: Run, ours: Run, opencv: Run) -> str:
    """Compare the runs in sentences."""
    hours = UCF101_FRAMES / DEFAULT_GEOMETRY.clip_frames / two.rate / 3600
    return "\n".join(
        [
            f"- Two workers have {two.rate / one.rate:.2f} times the throughput of one.",
            f"- The same command with OpenCV's TV-L1 takes {ours.rate / opencv.rate:.1f} times as long "
            "(the same videos, start-up included).",
            f"- All of UCF101, 2.5 million frames, at the rate of two workers: {hours:.1f} hours. This is "
            "extrapolated: not all of UCF101 was labelled.",
        ]
    )


def memory_text(runs: list[Run]) -> str:
    """Format the peak and the steady resident memory of the workers."""
    lines = [
        "| run | largest processes, MB | total, mean over the second quarter of the run, MB "
        "| over the last quarter, MB |",
        "|---|---|---|---|",
    ]
    for run in runs:
        totals = run.memory.totals()
        quarter = len(totals) // 4
        largest = ", ".join(f"{size:.0f}" for size in run.memory.largest_processes()[:4])
        early, late = np.mean(totals[quarter : 2 * quarter]), np.mean(totals[3 * quarter : -2])
        lines.append(f"| {run.name} | {largest} | {early:.0f} | {late:.0f} |")
    return "\n".join(lines)


def stage_table(times: stages.StageTimes) -> str:
    """Format the time per clip of each stage."""
    total = sum(times.milliseconds(stage) for stage in stages.STAGES)
    lines = ["| stage | ms per clip | share |", "|---|---|---|"]
    for stage in stages.STAGES:
        spent = times.milliseconds(stage)
        lines.append(f"| {stage} | {spent:.1f} | {100 * spent / total:.1f} % |")
    other = total - times.milliseconds(stages.FLOW) - times.milliseconds(stages.LABELS)
    lines += [
        f"| all | {total:.1f} | 100 % |",
        f"| all but flow and labels | {other:.1f} | {100 * other / total:.1f} % |",
    ]
    return "\n".join(lines)


def bytes_table(times: stages.StageTimes) -> str:
    """Format the bytes per clip of each part of a shard."""
    lines = ["| part | kB per clip |", "|---|---|"]
    lines += [f"| {part} | {size / 1e3:.1f} |" for part, size in times.bytes.items()]
    return "\n".join(lines)


def dense_text(times: stages.StageTimes) -> str:
    """Format the cost of other tables of views and of the other convention."""
    views, few = len(view_table(1)), len(view_table(8))
    return "\n".join(
        [
            "| labels | ms per clip | kB per clip |",
            "|---|---|---|",
            f"| {few} views (`--view-stride 8`, the default) | {times.milliseconds(stages.LABELS):.1f} "
            f"| {times.bytes['labels'] / 1e3:.1f} |",
            f"| {views} views (`--view-stride 1`): every crop and its mirror image "
            f"| {times.milliseconds(stages.DENSE):.1f} | {times.dense_label_bytes / 1e3:.1f} |",
            f"| {few} views, `--convention authors` | {times.milliseconds(stages.AUTHORS):.1f} | as above |",
        ]
    )


def main() -> None:
    """Parse the options, measure, print and write."""
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos, searched recursively")
    parser.add_argument("--count", type=int, default=24, help="number of videos, spread evenly")
    parser.add_argument("--opencv-count", type=int, default=2, help="number labelled with OpenCV's flow, too")
    parser.add_argument("--stage-count", type=int, default=6, help="number measured stage by stage")
    options = parser.parse_args()
    videos = choose_videos(options.videos, options.count)
    few = videos[:: max(1, len(videos) // options.opencv_count)][: options.opencv_count]
    one, two = make("one worker", videos), make("two workers", videos, workers=2)
    ours, opencv = make("few videos", few), make("few videos, `--flow tvl1-opencv`", few, flow="tvl1-opencv")
    times = stages.measure(videos[:: max(1, len(videos) // options.stage_count)])
    text = "\n\n".join(
        [
            f"{len(videos)} videos of `{options.videos.name}`; {machine()}.",
            f"`python benchmarks/bench_labels.py --videos {options.videos.name} --count {options.count} "
            f"--opencv-count {options.opencv_count} --stage-count {options.stage_count}`",
            f"## Videos to finished shards\n\n{rate_table([one, two, ours, opencv])}",
            conclusions(one, two, ours, opencv),
            f"## Time of each stage\n\n{stage_table(times)}",
            f"One process, {times.clips} clips; each stage is timed separately.",
            f"## Bytes of each part\n\n{bytes_table(times)}",
            f"## Views\n\n{dense_text(times)}",
            f"## Resident memory\n\n{memory_text([one, two])}\n",
        ]
    )
    write_table(options.out / "labels.md", text)


if __name__ == "__main__":
    main()
