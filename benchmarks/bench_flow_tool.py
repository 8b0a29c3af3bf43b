"""Compares whole tools for the flow of a folder of videos, and measures the cost of writing it.

    python benchmarks/bench_flow_tool.py --videos DIR [--count 4] [--frames 25] [--rounds 3]

prints two tables and writes them to ``OUT/flow_tool.md``. The tools get the same excerpts, the first frames
of some videos at their own size, and write JPEG pictures: `mas-labels flow`, the usual Python loop around
OpenCV's TV-L1 (``opencv_flow.py``), and the latter as denseflow's scripts work, one process a video
(denseflow itself needs CUDA). The second table is of `mas-labels flow` alone, on the whole videos. Times are
wall-clock seconds, medians over rounds in alternating order: run it on an idle machine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from common import choose_videos, machine, table_parser, write_table

OURS = "`mas-labels flow`"
LOOP = "OpenCV's TV-L1 in a Python loop"
PER_VIDEO = "the same, one process a video"
COMPUTED = "computed, not written"
FORMATS = {
    "jpg pictures": ["--format", "tsn"],
    "png pictures": ["--format", "tsn", "--picture", "png"],
    "npz, float16": ["--format", "npz"],
    "h5, float16": ["--format", "h5"],
}
COMPUTE = """
import sys
from mas_labels.flow.video_flow import video_flow
for path in sys.argv[1:]:
    for flow in video_flow(path):
        pass
"""


@dataclass(frozen=True)
class Way:
    """One way to get the flow of some videos."""

    name: str
    workers: int = 1
    arguments: tuple[str, ...] = ()

    def run(self, videos: Sequence[Path]) -> tuple[float, int]:
        """Return the wall-clock seconds, and the bytes of the files written."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "flow"
            begin = time.perf_counter()
            with ThreadPoolExecutor(self.workers) as pool:
                list(pool.map(call, self.commands(videos, out)))
            seconds = time.perf_counter() - begin
            return seconds, sum(path.stat().st_size for path in out.rglob("*") if path.is_file())

    def commands(self, videos: Sequence[Path], out: Path) -> list[list[str]]:
        """Return the command lines, `workers` of which may run at a time."""
        paths = [str(video) for video in videos]
        script = [sys.executable, str(Path(__file__).with_name("opencv_flow.py")), str(out)]
        if self.name == LOOP:
            return [[*script, *paths]]
        if self.name == PER_VIDEO:
            return [[*script, path] for path in paths]
        if self.name == COMPUTED:
            return [[sys.executable, "-c", COMPUTE, *paths]]
        ours = [sys.executable, "-m", "mas_labels", "flow", *paths, "--out", str(out)]
        return [[*ours, "--workers", str(self.workers), *self.arguments]]


def call(command: list[str]) -> None:
    """Run a command; stop the benchmark if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)} ended with status {done.returncode}: {done.stderr}")


@dataclass
class Results:
    """Seconds of each round by way of working, and the bytes of its last one."""

    seconds: dict[Way, list[float]] = field(default_factory=dict)
    bytes: dict[Way, int] = field(default_factory=dict)

    def median(self, way: Way) -> float:
        return float(np.median(self.seconds[way]))


def measure(ways: Sequence[Way], videos: Sequence[Path], rounds: int) -> Results:
    """Run all ways in each round, every other round in reverse order."""
    results = Results()
    for round_ in range(rounds):
        for way in ways if round_ % 2 == 0 else reversed(ways):
            seconds, results.bytes[way] = way.run(videos)
            results.seconds.setdefault(way, []).append(seconds)
            print(f"round {round_ + 1}: {way.name}, {way.workers} worker(s): {seconds:.2f} s", flush=True)
    return results


def write_excerpt(video: Path, frames: int, folder: Path) -> Path:
    """Write the first frames of a video as Motion JPEG; all tools read this file."""
    path = folder / f"{video.stem}.avi"
    capture = cv2.VideoCapture(str(video))
    success, frame = capture.read()
    size = (frame.shape[1], frame.shape[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, size)
    for _ in range(frames):
        if not success:
            raise SystemExit(f"error: {video} has fewer than {frames} frames: lower --frames")
        writer.write(frame)
        success, frame = capture.read()
    writer.release()
    return path


def count_pairs(videos: Sequence[Path]) -> int:
    """Return the number of pairs of consecutive frames."""
    pairs = 0
    for video in videos:
        capture = cv2.VideoCapture(str(video))
        while capture.grab():
            pairs += 1
    return pairs - len(videos)


def compare_tools(videos: Sequence[Path], frames: int, rounds: int) -> str:
    """Measure the tools on long and on short excerpts, and return a table of their rates."""
    ways = [Way(OURS), Way(OURS, 2), Way(LOOP), Way(PER_VIDEO), Way(PER_VIDEO, 2)]
    with tempfile.TemporaryDirectory() as long, tempfile.TemporaryDirectory() as short:
        pairs = [write_excerpt(video, 2, Path(short)) for video in videos]
        excerpts = [write_excerpt(video, frames, Path(long)) for video in videos]
        begins, wholes = measure(ways, pairs, rounds), measure(ways, excerpts, rounds)
    more = (frames - 2) * len(videos)

    def rate(way: Way) -> float:
        return more / (wholes.median(way) - begins.median(way))

    lines = [
        "| tool | workers | seconds, one pair a video | pairs/s after that | per worker | times the loop |",
        "|---|---|---|---|---|---|",
    ]
    for way in ways:
        per_worker = rate(way) / way.workers
        lines.append(
            f"| {way.name} | {way.workers} | {begins.median(way):.2f} | {rate(way):.2f} | {per_worker:.2f} "
            f"| {per_worker / rate(Way(LOOP)):.1f} |"
        )
    return "\n".join(lines)


def compare_formats(videos: Sequence[Path], rounds: int) -> str:
    """Measure `mas-labels flow` in each format, and return a table of what writing costs."""
    computed = Way(COMPUTED)
    written = [Way(f"{OURS}, {name}", 1, tuple(options)) for name, options in FORMATS.items()]
    results, pairs = measure([computed, *written], videos, rounds), count_pairs(videos)
    lines = ["| | pairs/s | ms a pair | more than computing, ms | kB a pair |", "|---|---|---|---|---|"]
    for way in [computed, *written]:
        milliseconds = results.median(way) / pairs * 1e3
        more = milliseconds - results.median(computed) / pairs * 1e3
        lines.append(
            f"| {way.name} | {1e3 / milliseconds:.1f} | {milliseconds:.2f} | {more:.2f} "
            f"| {results.bytes[way] / pairs / 1e3:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the options, measure, print and write."""
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos, searched recursively")
    parser.add_argument("--count", type=int, default=4, help="number of videos, spread evenly")
    parser.add_argument("--frames", type=int, default=25, help="frames of each for the comparison of tools")
    parser.add_argument("--rounds", type=int, default=3, help="runs of everything")
    options = parser.parse_args()
    videos = choose_videos(options.videos, options.count)
    command = f"--videos {options.videos.name} --count {options.count} --frames {options.frames}"
    text = "\n\n".join(
        [
            f"{len(videos)} videos of `{options.videos.name}` at their own size; {machine()}.",
            f"`python benchmarks/bench_flow_tool.py {command} --rounds {options.rounds}`",
            "## Tools",
            f"The first {options.frames} frames of each video; pictures as JPEG; OpenCV with one thread.",
            compare_tools(videos, options.frames, options.rounds),
            "## What writing costs",
            f"The whole videos, {count_pairs(videos)} pairs; one worker; starting the program is included.",
            f"{compare_formats(videos, options.rounds)}\n",
        ]
    )
    write_table(options.out / "flow_tool.md", text)


if __name__ == "__main__":
    main()
