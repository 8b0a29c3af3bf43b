"""Compares flow estimators on real clips: time, distance from OpenCV's TV-L1, agreement of the labels.

    python benchmarks/bench_flow.py --videos DIR [--size 128x171 240x320] [--clips 10 4] [--out benchmarks]

prints a table of each size and writes it to ``OUT/flow_ROWSxCOLS.md``. Every estimator, and every instruction
set of the processor, sees the same clips in the same process, one after another, on one thread. Times are CPU
seconds of that thread: they do not include other processes on the core, which may still slow it down through
shared caches and execution units.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import iterations
import numpy as np
from common import Clip, choose_clips, machine, table_parser, write_table
from numpy.typing import NDArray

import mas_labels
from mas_labels.flow import tvl1
from mas_labels.flow.estimators import ESTIMATORS
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.schema import LABEL_NAMES, MOTION_NAMES, PATTERNS

REFERENCE = "tvl1-opencv"
FLOOR = "tvl1-opencv, input + 1e-4"
FLOOR_SHIFT = 1e-4  # grey levels
CLEAR_LEAD = 1.1
LOCATIONS = [f"{pattern}_{name}" for pattern in PATTERNS for name in ("ul", "vl")]

Flow = NDArray[np.float32]


@dataclass
class Scores:
    """Measurements of one estimator, clip by clip."""

    seconds_per_pair: list[float] = field(default_factory=list)
    endpoint_difference: list[float] = field(default_factory=list)
    same: list[NDArray[np.bool_]] = field(default_factory=list)
    clear: list[NDArray[np.bool_]] = field(default_factory=list)


def on_isa(isa: str) -> Callable[[Clip], Flow]:
    """Return TV-L1 of a clip on one instruction set."""

    def estimate(grey: Clip) -> Flow:
        with iterations.forced_isa(isa):
            return tvl1.tvl1_flow(grey)

    return estimate


def opencv_brighter(grey: Clip) -> Flow:
    """Compute OpenCV's TV-L1 of frames 1e-4 grey levels brighter: its response to a meaningless change."""
    brighter = ((grey + np.float32(FLOOR_SHIFT)) / np.float32(255)).astype(np.float32)
    estimator = cv2.optflow.DualTVL1OpticalFlow_create()
    return np.stack([estimator.calc(brighter[t], brighter[t + 1], None) for t in range(len(brighter) - 1)])


def make_methods() -> dict[str, Callable[[Clip], Flow]]:
    """Return the estimators by the names of the table's rows, the reference first."""
    ours = {f"tvl1, {isa}": on_isa(isa) for isa in iterations.fast_isas()}
    others = {name: ESTIMATORS[name] for name in ESTIMATORS if name not in ("tvl1", REFERENCE)}
    return {REFERENCE: ESTIMATORS[REFERENCE], **ours, FLOOR: opencv_brighter, **others}


def block_means(boundaries: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Return the mean magnitude in each block of each pattern, in the centre view."""
    size = DEFAULT_GEOMETRY.view_size
    top, left = ((side - size) // 2 for side in boundaries.shape[:2])
    length = np.hypot(*np.moveaxis(boundaries[top : top + size, left : left + size], -1, 0))
    maps = mas_labels.block_maps()
    return [
        np.bincount(maps[name].ravel(), length.ravel())[1:] / np.bincount(maps[name].ravel())[1:]
        for name in PATTERNS
    ]


def clear_leads(flow: Flow) -> NDArray[np.bool_]:
    """Return for each of `LOCATIONS` whether the best block leads the second by a tenth."""
    mu_blocks, mv_blocks = (block_means(boundaries) for boundaries in mas_labels.motion_boundaries(flow))
    ordered = [np.sort(means) for pair in zip(mu_blocks, mv_blocks, strict=True) for means in pair]
    return np.array([means[-1] > CLEAR_LEAD * means[-2] for means in ordered])


def run(clips: list[tuple[str, Clip]]) -> dict[str, Scores]:
    """Measure every estimator on every clip."""
    scores: dict[str, Scores] = {name: Scores() for name in make_methods()}
    for number, (name, clip) in enumerate(clips, 1):
        grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip])
        reference: Flow | None = None
        for method, estimate in make_methods().items():
            begin = time.thread_time()
            flow = estimate(grey)
            scores[method].seconds_per_pair.append((time.thread_time() - begin) / len(flow))
            reference = flow if reference is None else reference
            compare(scores[method], clip, flow, reference)
        print(f"{number}/{len(clips)} {name}", flush=True)
    return scores


def compare(scores: Scores, clip: Clip, flow: Flow, reference: Flow) -> None:
    """Add the distances of `flow` and its labels from the reference's."""
    scores.endpoint_difference.append(float(np.hypot(*np.moveaxis(flow - reference, -1, 0)).mean()))
    if min(clip.shape[1:3]) < DEFAULT_GEOMETRY.view_size:
        return
    scores.same.append(
        (mas_labels.compute_labels(clip, flow) == mas_labels.compute_labels(clip, reference))[0]
    )
    scores.clear.append(clear_leads(reference))


def portable_row(grey: Clip) -> tuple[float, bool]:
    """Return the seconds of one pair in plain C++, and whether the default gives the same bits."""
    begin = time.thread_time()
    flow = on_isa("portable")(grey[:2])
    return time.thread_time() - begin, np.array_equal(flow, tvl1.tvl1_flow(grey[:2]))


def wall_seconds(grey: Clip, repeats: int) -> float:
    """Return the wall-clock seconds of `repeats` clips."""
    begin = time.perf_counter()
    for _ in range(repeats):
        tvl1.tvl1_flow(grey)
    return time.perf_counter() - begin


def two_processes(grey: Clip, rounds: int = 5) -> float:
    """Return the throughput of two processes relative to one, the median of some rounds."""
    repeats = max(1, round(1 / wall_seconds(grey, 1)))
    gains = []
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        tasks = [(grey, repeats)] * 2
        pool.starmap(wall_seconds, tasks, chunksize=1)  # both have started and imported
        for _ in range(rounds):
            alone = pool.apply(wall_seconds, tasks[0])
            gains.append(2 * alone / max(pool.starmap(wall_seconds, tasks, chunksize=1)))
    return float(np.median(gains))


def agreement(scores: Scores) -> tuple[str, str, str]:
    """Return the shares of equal locations, equal motion labels, and equal locations with a clear lead."""
    if not scores.same:
        return "-", "-", "-"
    same = np.array(scores.same)
    locations = same[:, [LABEL_NAMES.index(name) for name in LOCATIONS]]
    motion = same[:, [LABEL_NAMES.index(name) for name in MOTION_NAMES]]
    clear = np.array(scores.clear)
    return (
        f"{locations.mean():.3f}",
        f"{motion.mean():.3f}",
        f"{locations[clear].mean():.3f} of {clear.sum()}",
    )


def table(scores: dict[str, Scores], portable: tuple[float, bool], gain: float) -> str:
    """Format the results as Markdown."""
    base = float(np.mean(scores[REFERENCE].seconds_per_pair))
    lines = [
        "| estimator | ms per pair | spread | times OpenCV's speed | endpoint difference, px | block labels "
        "| all motion labels | blocks with a 10 % lead |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, score in scores.items():
        milliseconds = np.array(score.seconds_per_pair) * 1e3
        spread = f"{milliseconds.min():.2f} to {milliseconds.max():.2f}"
        row = [name, f"{milliseconds.mean():.2f}", spread, f"{base / milliseconds.mean() * 1e3:.1f}"]
        row += [f"{np.mean(score.endpoint_difference):.4f}", *agreement(score)]
        lines.append(f"| {' | '.join(row)} |")
    same = "the same bits" if portable[1] else "DIFFERENT BITS"
    note = f"Plain C++ (`portable`), one pair: {portable[0] * 1e3:.0f} ms, {same} as `{tvl1.isa()}`."
    parallel = f"Two parallel processes have {gain:.2f} times the throughput of one."
    return "\n".join([*lines, "", note, parallel])


def write_page(videos: Path, size: str, count: int, folder: Path) -> None:
    """Measure `count` clips of one size, print and write the page."""
    rows, cols = (int(side) for side in size.split("x"))
    clips = choose_clips(videos, count, rows, cols)
    description = (
        f"{len(clips)} clips of {DEFAULT_GEOMETRY.clip_frames} frames at {size} from `{videos.name}`; one "
        f"thread of {machine()}.\n\n`python benchmarks/bench_flow.py --videos {videos.name} --size {size} "
        f"--clips {count}`"
    )
    scores = run(clips)
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clips[0][1]])
    estimators = table(scores, portable_row(grey), two_processes(grey))
    text = f"{description}\n\n{estimators}\n\n{iterations.section(clips)}\n"
    write_table(folder / f"flow_{rows}x{cols}.md", text)


def main() -> None:
    """Parse the options, and measure each size."""
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos, searched recursively")
    parser.add_argument(
        "--size", nargs="+", default=["128x171", "240x320"], help="rows x columns to which frames are resized"
    )
    parser.add_argument(
        "--clips", nargs="+", type=int, default=[10, 4],
        help="number of clips of each size, one per video, spread evenly over the folder",
    )  # fmt: skip
    options = parser.parse_args()
    cv2.setNumThreads(1)
    for size, count in zip(options.size, options.clips, strict=True):
        write_page(options.videos, size, count, options.out)


if __name__ == "__main__":
    main()
