"""Measures labelling from videos to finished shards: by one worker, by two, by two commands, in turns.

    python benchmarks/bench_workers.py --videos DIR [--count 80] [--rounds 3] [--out benchmarks]

prints the tables and writes them to ``OUT/workers.md``. In each round, the same videos are labelled by
`mas-labels make` in its default configuration by one worker, by two, and by two commands at once with one
worker and half of the videos each; every round begins with another of the three. Times are wall-clock seconds
and include the start of the command and its processes: run it on an idle machine. A round of 80 videos of
UCF101 takes three to five minutes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from common import choose_videos, machine, table_parser, write_table
from losses import cpu_table, flow_rates, loss_table
from process_watch import Run, make

from mas_labels.geometry import DEFAULT_GEOMETRY

UCF101_FRAMES = 2.5e6
ONE, TWO, HALVES = "one worker", "two workers", "two commands"
RUNS: dict[str, Callable[[list[Path]], Run]] = {
    ONE: lambda videos: make(videos),
    TWO: lambda videos: make(videos, workers=2),
    HALVES: lambda videos: make(videos[::2], videos[1::2]),
}


def measure(videos: list[Path], root: Path, rounds: int) -> tuple[dict[str, list[Run]], list[list[float]]]:
    """Return the runs of each kind, and clips per second of flow alone in one process and two, by rounds."""
    runs: dict[str, list[Run]] = {name: [] for name in RUNS}
    flow = []
    for number in range(rounds):
        first = number % len(RUNS)
        for name in [*RUNS][first:] + [*RUNS][:first]:
            runs[name].append(run := RUNS[name](videos))
            print(f"round {number + 1}, {name}: {run.clips} clips in {run.seconds:.1f} s", flush=True)
        flow.append(flow_rates(root))
    return runs, flow


def times(rates: Sequence[float], others: Sequence[float]) -> str:
    """Format how many times as high rates are as those of the same rounds: median and range."""
    ratios = np.divide(rates, others)
    return f"{np.median(ratios):.2f} times ({ratios.min():.2f} to {ratios.max():.2f})"


def rate_table(runs: dict[str, list[Run]]) -> str:
    """Format the seconds of each run, what other programs took of a core, and the median clips per second."""
    rounds = [f"round {number + 1}" for number in range(len(runs[ONE]))]
    lines = [
        f"| seconds of | {' | '.join(rounds)} | clips/s, median | cores busy |",
        f"|---|{'---|' * len(rounds)}---|---|",
    ]
    for name, those in runs.items():
        seconds = " | ".join(
            f"{run.seconds:.1f} ({100 * run.foreign_seconds / run.seconds:.0f} %)" for run in those
        )
        middle = np.median([run.rate for run in those])
        lines.append(f"| {name} | {seconds} | {middle:.2f} | {_cores(those):.2f} |")
    lines.append("\nIn brackets: CPU time that all other programs took meanwhile, of one core.")
    return "\n".join(lines)


def _cores(runs: list[Run]) -> float:
    """Return the number of cores that runs of one kind kept busy."""
    return sum(run.cpu_seconds() for run in runs) / sum(run.seconds for run in runs)


def conclusions(runs: dict[str, list[Run]], flow: list[list[float]]) -> str:
    """Compare the runs of each round, and say what bounds two workers."""
    one, two, halves = ([run.rate for run in those] for those in runs.values())
    alone, together = zip(*flow, strict=True)
    cores, busy = os.cpu_count() or 1, _cores(runs[ONE])
    cpu = [sum(run.cpu_seconds() for run in those) for those in runs.values()]
    hours = UCF101_FRAMES / DEFAULT_GEOMETRY.clip_frames / np.median(two) / 3600
    return "\n".join(
        [
            f"- Two workers have **{times(two, one)}** the throughput of one: median of the rounds, and "
            "range.",
            f"- Two commands at once, which share only the machine: {times(halves, one)} one worker's; two "
            f"workers have {times(two, halves)} theirs.",
            f"- TV-L1 flow alone: two processes have {times(together, alone)} the throughput of one.",
            f"- One worker keeps {busy:.2f} cores busy, since it writes while its process computes: {cores} "
            f"cores have room for {cores / busy:.2f} times that. With two workers a clip takes "
            f"{cpu[1] / cpu[0]:.2f} times the CPU time, which leaves {cores / busy / (cpu[1] / cpu[0]):.2f} "
            "times.",
            f"- All of UCF101, 2.5 million frames, at the rate of two workers: {hours:.1f} hours. This is "
            "extrapolated: not all of UCF101 was labelled.",
        ]
    )


def memory_table(runs: dict[str, list[Run]]) -> str:
    """Format the peak and the steady resident memory of the workers in the last round."""
    lines = [
        "| run | largest processes, MB | total, mean over the second quarter of the run, MB "
        "| over the last quarter, MB |",
        "|---|---|---|---|",
    ]
    for name in (ONE, TWO):
        watch = runs[name][-1].watches[0]
        totals = watch.total_megabytes()
        quarter = len(totals) // 4
        largest = ", ".join(f"{size:.0f}" for size in watch.peak_megabytes()[:4])
        early, late = np.mean(totals[quarter : 2 * quarter]), np.mean(totals[3 * quarter : -2])
        lines.append(f"| {name} | {largest} | {early:.0f} | {late:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the options, measure, print and write."""
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos, searched recursively")
    parser.add_argument("--count", type=int, default=80, help="number of videos, spread evenly")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds, three runs each")
    options = parser.parse_args()
    videos = choose_videos(options.videos, options.count)
    runs, flow = measure(videos, options.videos, options.rounds)
    single, both = ([run.watches[0] for run in runs[name]] for name in (ONE, TWO))
    text = "\n\n".join(
        [
            f"{len(videos)} videos of `{options.videos.name}`, {runs[ONE][0].clips} clips, {options.rounds} "
            f"rounds; {machine()}.",
            f"`python benchmarks/bench_workers.py --videos {options.videos.name} --count {options.count} "
            f"--rounds {options.rounds}`",
            f"## Videos to finished shards\n\n{rate_table(runs)}\n\n{conclusions(runs, flow)}",
            f"## What two workers lose, by cause\n\nMeans of the rounds.\n\n{loss_table(single, both)}",
            cpu_table(runs),
            f"## Resident memory\n\n{memory_table(runs)}\n",
        ]
    )
    write_table(options.out / "workers.md", text)


if __name__ == "__main__":
    main()
