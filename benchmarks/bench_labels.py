"""Measures labelling end to end, from videos to finished shards, and the time and bytes of each stage.

    python benchmarks/bench_labels.py --videos DIR [--count 80] [--opencv-count 2] [--out benchmarks]

prints the tables and writes them to ``OUT/labels.md``. Videos are copied to a temporary folder and labelled
by `mas-labels make` in its default configuration (50 views per clip, JPEG frames, Mu and Mv): by one worker,
by two, by two commands of one worker at once, and a few of them with OpenCV's TV-L1 for comparison. Times are
wall-clock seconds and include the start of the command and its processes: run it on an idle machine.
"""

from __future__ import annotations

import os
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
from losses import cpu_table, flow_rates, loss_table
from process_watch import ProcessWatch

import mas_labels
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.labels.views import view_table

UCF101_FRAMES = 2.5e6


@dataclass
class Run:
    """One run of `mas-labels make`, or several at once; `foreign` is the CPU time of all other processes."""

    name: str
    clips: int
    seconds: float
    watches: list[ProcessWatch]
    foreign_seconds: float

    @property
    def rate(self) -> float:
        return self.clips / self.seconds


def make(name: str, *parts: list[Path], workers: int = 1, flow: str = "tvl1") -> Run:
    """Label copies of videos in a temporary folder; those of several parts by commands that run at once."""
    with tempfile.TemporaryDirectory() as folder:
        roots = [Path(folder) / f"videos{number}" for number in range(len(parts))]
        for root, videos in zip(roots, parts, strict=True):
            root.mkdir()
            for video in videos:
                shutil.copy(video, root / video.name)
        busy, begin = _busy_seconds(), time.perf_counter()
        watches = [_start(root, workers, flow) for root in roots]
        for watch in watches:
            if status := watch.process.wait():
                raise SystemExit(f"error: mas-labels make ended with status {status}")
            watch.finish()
        seconds, busy = time.perf_counter() - begin, _busy_seconds() - busy
        clips = sum(len(mas_labels.open_shards(watch.out)) for watch in watches)
    own = sum(one.cpu_seconds[-1] for watch in watches for one in watch.processes.values())
    print(f"{name}: {clips} clips in {seconds:.1f} s", flush=True)
    return Run(name, clips, seconds, watches, max(0.0, busy - own))


def _start(root: Path, workers: int, flow: str) -> ProcessWatch:
    out = root.with_name(f"{root.name}-labels")
    command = [sys.executable, "-m", "mas_labels", "make", "--manifest", "folder", "--root", root]
    command += ["--out", out, "--workers", str(workers), "--flow", flow]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watch = ProcessWatch(process, out)
    watch.start()
    return watch


def _busy_seconds() -> float:
    """Return the CPU time of the whole machine since its start: all but idle time and waiting for disks."""
    times = [int(word) for word in Path("/proc/stat").read_text().split()[1:9]]
    return (sum(times) - times[3] - times[4]) / os.sysconf("SC_CLK_TCK")


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
            f"- The same command with OpenCV's TV-L1 takes {ours.rate / opencv.rate:.1f} times as long "
            "(the same videos, start-up included).",
            f"- All of UCF101, 2.5 million frames, at the rate of two workers: {hours:.1f} hours. This is "
            "extrapolated: not all of UCF101 was labelled.",
        ]
    )


def two_workers_text(one: Run, two: Run, halves: Run, flow: tuple[float, float]) -> str:
    """Format what two workers reach, what they could reach at most, and what they lose by cause."""
    foreign = ", ".join(f"{run.foreign_seconds:.1f} s in {run.seconds:.1f} s" for run in (one, two, halves))
    return "\n".join(
        [
            f"- Two workers have **{two.rate / one.rate:.2f} times** the throughput of one.",
            f"- The ceiling: {halves.rate / one.rate:.2f} times, two commands at once that share only the "
            "machine, each with one worker and half of the videos.",
            f"- TV-L1 flow alone: {flow[0]:.2f} clips/s in one process, {flow[1]:.2f} in two at once, "
            f"{flow[1] / flow[0]:.2f} times. The rest is what two kernels take from each other.",
            f"- CPU time that all other programs took meanwhile: {foreign} (one worker, two, two commands).",
            f"\n{loss_table(one.watches[0], two.watches[0])}\n",
            cpu_table(one.watches[0], two.watches[0], one.clips),
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
        totals = run.watches[0].total_megabytes()
        quarter = len(totals) // 4
        largest = ", ".join(f"{size:.0f}" for size in run.watches[0].peak_megabytes()[:4])
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
    parser.add_argument("--count", type=int, default=80, help="number of videos, spread evenly")
    parser.add_argument("--opencv-count", type=int, default=2, help="number labelled with OpenCV's flow, too")
    parser.add_argument("--stage-count", type=int, default=6, help="number measured stage by stage")
    options = parser.parse_args()
    videos = choose_videos(options.videos, options.count)
    few = videos[:: max(1, len(videos) // options.opencv_count)][: options.opencv_count]
    one, two = make("one worker", videos), make("two workers", videos, workers=2)
    halves = make("two commands, one worker each", videos[::2], videos[1::2])
    flow = flow_rates(options.videos)
    ours, opencv = make("few videos", few), make("few videos, `--flow tvl1-opencv`", few, flow="tvl1-opencv")
    times = stages.measure(videos[:: max(1, len(videos) // options.stage_count)])
    text = "\n\n".join(
        [
            f"{len(videos)} videos of `{options.videos.name}`; {machine()}.",
            f"`python benchmarks/bench_labels.py --videos {options.videos.name} --count {options.count} "
            f"--opencv-count {options.opencv_count} --stage-count {options.stage_count}`",
            f"## Videos to finished shards\n\n{rate_table([one, two, halves, ours, opencv])}",
            conclusions(one, two, ours, opencv),
            f"## Two workers\n\n{two_workers_text(one, two, halves, flow)}",
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
