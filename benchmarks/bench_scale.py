"""Measures what grows with a data set: planning, status, resuming, checking and opening of very many shards.

The videos are empty files, and the project's writer makes their shards of random clips of 2 x 16 x 16 pixels.
Each row is a process of its own. Where strace is installed, a second run counts the calls that name a file of
the videos or shards.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from common import machine, table_parser, write_table

from mas_labels.config import LabelConfig, RunOptions
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.labels.compute import ClipStatistics
from mas_labels.pipeline.batches import settle_plan
from mas_labels.pipeline.label_video import views_of
from mas_labels.plan.plan import ShardPlan, plan_shards
from mas_labels.shards.writer import ShardWriter
from mas_labels.version import versions
from mas_labels.video.reader import VideoFacts

CLASSES: Final = 400
CLIPS: Final = 2
"""Clips of a video."""
VIDEOS_PER_SHARD: Final = 50
MANIFEST: Final = "folder"
CONFIG: Final = LabelConfig(
    clip_frames=2,
    frame_rows=16,
    frame_cols=16,
    view_size=8,
    frames="raw",
    store_boundaries=False,
    skip_cuts=True,
)
OPTIONS: Final = (
    *("--clip-frames", "2", "--size", "16", "16", "--view-size", "8", "--frames", "raw"),
    *("--no-store-boundaries", "--skip-cuts", "--videos-per-shard", str(VIDEOS_PER_SHARD)),
)


class Row(NamedTuple):
    """Time and memory of a process, and its calls that name a file of the videos or shards."""

    name: str
    seconds: float
    cpu_seconds: float
    peak_mib: float
    file_calls: int | None
    reads: int | None


def make_videos(root: Path, count: int) -> None:
    """Create empty files as videos, evenly over the folders of the classes."""
    for number in range(CLASSES):
        folder = root / f"class{number:03d}"
        folder.mkdir(parents=True)
        for video in range(number, count, CLASSES):
            (folder / f"v_{video:06d}.mp4").touch()


def make_shards(root: Path, out: Path) -> None:
    """Write the plan of a folder, and all its shards."""
    out.mkdir()
    plan = plan_shards(find_videos(load_manifest(MANIFEST), root), "all", VIDEOS_PER_SHARD)
    settle_plan(plan, CONFIG, root, out, RunOptions())
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_make_shard, out), plan, chunksize=20))


def _make_shard(out: Path, plan: ShardPlan) -> None:
    """Write a shard of made-up clips."""
    draw, views, geometry = np.random.default_rng(plan.index), views_of(CONFIG), CONFIG.geometry
    with ShardWriter(out / plan.name, CONFIG, plan.as_dict(), views, plan.classes, versions()) as writer:
        for record in plan.videos:
            for clip in range(CLIPS):
                statistics = ClipStatistics(
                    labels=np.tile(np.array(geometry.label_max, np.uint8), (len(views), 1)),
                    mu=np.zeros((16, 16, 2), np.float32),
                    mv=np.zeros((16, 16, 2), np.float32),
                    motion=draw.random((geometry.clip_frames - 1, 2), np.float32),
                )
                frames = draw.integers(0, 256, geometry.clip_shape, np.uint8)
                writer.add_clip(2 * clip, frames, statistics)
            writer.add_video(record, VideoFacts(frames=2 * CLIPS, rows=16, cols=16, fps=25.0), CLIPS)


OPEN: Final = "from mas_labels.shards import open_shards; shards = open_shards(sys.argv[1])"
CHOOSE: Final = f"{OPEN}; print(len(shards.where(class_name='class00*', min_motion=0.5)))"
TRAIN: Final = """
from mas_train.data.clips import ClipDataset, epoch_order
from mas_train.data.holdout import hold_out
from mas_train.data.training_shards import open_training_shards
training, _ = hold_out(open_training_shards([sys.argv[1]], False), 0.01, 0)
ClipDataset(training)
print(epoch_order(0, 0, training.lengths, 16)[:4])
"""


def commands(root: Path, out: Path) -> dict[str, list[str]]:
    """Return what is measured, by the name of its row; the order matters, since some of it is cached."""
    labels = [sys.executable, "-m", "mas_labels"]
    make = [*labels, "make", "--manifest", MANIFEST, "--root", str(root), *OPTIONS, "--out"]
    python = [sys.executable, "-c"]
    return {
        "nothing: `mas-labels --version`": [*labels, "--version"],
        "`make --dry-run`, empty folder": [*make, str(out.with_name("new")), "--dry-run"],
        "`make`, all is finished": [*make, str(out)],
        "`status`": [*labels, "status", str(out)],
        "`open_shards`, the first time": [*python, f"import sys; {OPEN}", str(out)],
        "`open_shards`": [*python, f"import sys; {OPEN}", str(out)],
        "`open_shards` and `where`, the first time": [*python, f"import sys; {CHOOSE}", str(out)],
        "`open_shards` and `where`": [*python, f"import sys; {CHOOSE}", str(out)],
        "a trainer's opening and its first order": [*python, f"import sys{TRAIN}", str(out)],
        "`verify`": [*labels, "verify", str(out)],
    }


LAUNCH: Final = """
import os, sys, time
start, process = time.monotonic(), os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
status, usage = os.wait4(process, 0)[1:]
print(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Starts a command from a small process: the peak memory of a process counts that of the one it came from."""


def measure(name: str, command: list[str], base: Path) -> Row:
    """Run a command, and again under strace if that is installed and nothing is cached the first time."""
    environment = {**os.environ, "MAS_CACHE": str(base / "cache")}
    launch = [sys.executable, "-S", "-c", LAUNCH, *command]
    ended = subprocess.run(launch, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"error: {' '.join(command)}: {ended.stderr}")
    seconds, cpu, peak = map(float, ended.stderr.split()[-3:])
    calls = None, None
    if shutil.which("strace") and "first" not in name:
        calls = count_calls(command, environment, base)
    return Row(name, seconds, cpu, peak, *calls)


def count_calls(command: list[str], environment: dict[str, str], base: Path) -> tuple[int, int]:
    """Return how many calls name a file below a folder, and how many read from one."""
    log = base / "strace"
    strace = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=%file,read,pread64,getdents64"]
    subprocess.run([*strace, *command], env=environment, capture_output=True, check=True)
    file_calls = reads = 0
    with log.open(errors="replace") as lines:
        for line in lines:
            if str(base / "videos") in line or str(base / "labels") in line:
                is_read = re.match(r"\d+ +(read|pread64|getdents64)\(", line) is not None
                reads, file_calls = reads + is_read, file_calls + (not is_read)
    log.unlink()
    return file_calls, reads


CLUSTER_OPTIONS: Final = (
    *("--flow", "dis", "--size", "32", "32", "--view-size", "16", "--frames", "raw", "--no-store-boundaries"),
    *("--videos-per-shard", "16"),
)


def measure_cluster(base: Path, count: int) -> list[str]:
    """Label tiny videos with two processes and with two dask workers, twice each; return lines of a table."""
    root, first = base / "tiny", base / "tiny.avi"
    video = cv2.VideoWriter(str(first), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 96, 3), np.uint8), (0, 0), 3)
    for frame in range(16):
        video.write(picture[:, frame : frame + 64])
    video.release()
    for number in range(count):
        path = root / f"class{number % 10}" / f"{number:05d}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first, path)
    make = [sys.executable, "-m", "mas_labels", "make", "--manifest", MANIFEST, "--root", str(root)]
    times: dict[str, list[float]] = {"two processes": [], "two dask workers": []}
    with dask_cluster(workers=2) as address:
        ways = {
            "two processes": ["--workers", "2"],
            "two dask workers": ["--backend", "dask", "--scheduler", address],
        }
        for _ in range(2):
            for way, options in ways.items():
                out, start = base / "tiny_labels", time.monotonic()
                subprocess.run(
                    [*make, *CLUSTER_OPTIONS, "--out", str(out), *options], capture_output=True, check=True
                )
                times[way].append(time.monotonic() - start)
                shutil.rmtree(out)
    return [f"| {way} | {' '.join(f'{seconds:.1f}' for seconds in found)} |" for way, found in times.items()]


@contextmanager
def dask_cluster(workers: int) -> Iterator[str]:
    """Start a dask scheduler and workers on this machine; yield its address."""
    dask, local = [sys.executable, "-m", "dask"], ["--host", "127.0.0.1", "--no-dashboard"]
    with ExitStack() as stack, tempfile.TemporaryFile("w+") as log:
        scheduler = subprocess.Popen([*dask, "scheduler", *local, "--port", "0"], stderr=log)
        stack.callback(scheduler.terminate)
        address = None
        while address is None:
            time.sleep(0.1)
            log.seek(0)
            address = re.search(r"Scheduler at:\s+(tcp://\S+)", log.read())
        for _ in range(workers):
            command = [*dask, "worker", address[1], *local, "--nthreads", "1", "--memory-limit", "0"]
            stack.callback(subprocess.Popen(command, stderr=subprocess.DEVNULL).terminate)
        time.sleep(5)  # their start is not measured
        yield address[1]


def describe(rows: Iterable[Row], videos: int) -> list[str]:
    """Return the lines of the table of rows."""
    shards = -(-videos // VIDEOS_PER_SHARD)
    lines = [
        f"{videos:,} videos in {shards:,} shards, {CLIPS * videos:,} clips",
        "",
        "| | seconds | CPU seconds | peak MiB | opens and stats | reads |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        calls = " | ".join("" if count is None else f"{count:,}" for count in (row.file_calls, row.reads))
        lines.append(
            f"| {row.name} | {row.seconds:.1f} | {row.cpu_seconds:.1f} | {row.peak_mib:.0f} | {calls} |"
        )
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=int, default=15_000, help="number of made-up videos")
    parser.add_argument("--keep", type=Path, help="folder for videos and shards; made if missing, and kept")
    parser.add_argument("--only", default="", help="pattern of the rows to measure")
    parser.add_argument("--cluster-videos", type=int, default=200, help="tiny videos to label; 0: no cluster")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mas-scale-") as temporary:
        base = arguments.keep or Path(temporary)
        if not (base / "labels").is_dir():
            make_videos(base / "videos", arguments.videos)
            make_shards(base / "videos", base / "labels")
        shutil.rmtree(base / "cache", ignore_errors=True)
        chosen = commands(base / "videos", base / "labels").items()
        rows = [(name, command) for name, command in chosen if re.search(arguments.only, name)]
        lines = describe((measure(name, command, base) for name, command in rows), arguments.videos)
        if arguments.cluster_videos:
            lines += [
                "",
                f"{arguments.cluster_videos:,} tiny videos, seconds of each run",
                "",
                "| | seconds |",
                "|---|---:|",
            ]
            lines += measure_cluster(Path(temporary), arguments.cluster_videos)
    command = f'make bench-scale ARGS="{" ".join(sys.argv[1:])}"'
    head = f"# Very many videos\n\n{machine()}\n\n    {command}\n\n"
    write_table(arguments.out / "scale.md", head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
