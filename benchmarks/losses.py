"""Seconds that two workers of `mas-labels make` lose against twice one worker, by cause.

A worker has a video process, which decodes and computes, and itself writes what comes from it. Each second of
each video process between the start and the end of the command is one of the rows below, so that the rows of
two workers add up to twice the duration of their run, and what they exceed those of one worker by is lost.
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from common import choose_clips
from process_watch import CHILD, COMMAND, OTHER, WORKER, ProcessWatch, Run

from mas_labels.flow.estimators import compute_flow
from mas_labels.geometry import DEFAULT_GEOMETRY

BEGIN, START, IMPORTS = "start: the command", "start: its workers", "start: their video processes"
BUSY = "video processes compute: CPU time"
QUEUE = "they wait for a core, which writers or others have"
WAIT = "they wait for their writers: clips taken, shards sealed"
UNEVEN, FINISH = "end: idle while the other worker finishes", "end: the last shard, the command"
READY_SECONDS, FLOW_SECONDS = 3.0, 6.0
"""Time in which processes that measure flow alone start, and in which they measure."""
ROWS = (BEGIN, START, IMPORTS, BUSY, QUEUE, WAIT, UNEVEN, FINISH)


def seconds_by_cause(watch: ProcessWatch) -> dict[str, float]:
    """Return the seconds of a run by what its video processes did; they add up to workers x duration."""
    children, workers = watch.of_role(CHILD), watch.of_role(WORKER)
    spent = dict.fromkeys(ROWS, 0.0)
    last = max(child.last_busy for child in children)
    for number, (child, ready) in enumerate(zip(children, watch.ready, strict=False)):
        worker_start = workers[number].started if workers else child.started
        busy, queue = child.after(ready)
        working = child.last_busy - ready
        row = (
            *(worker_start - watch.begin, child.started - worker_start, ready - child.started),
            *(busy, queue, working - busy - queue, last - child.last_busy, watch.end - last),
        )
        for name, seconds in zip(ROWS, row, strict=True):
            spent[name] += seconds
    return spent


def loss_table(one: list[ProcessWatch], two: list[ProcessWatch]) -> str:
    """Format the seconds of one worker, of two workers together, and what these lose: means of the rounds."""
    single, both = _mean_seconds(one), _mean_seconds(two)
    total = sum(both.values())
    lines = ["| seconds of the workers | one | two together | lost | of two |", "|---|---|---|---|---|"]
    for name in (*ROWS, "all"):
        before, now = (sum(side.values()) if name == "all" else side[name] for side in (single, both))
        lost = now - before
        lines.append(f"| {name} | {before:.2f} | {now:.2f} | {lost:.2f} | {100 * lost / total:.1f} % |")
    return "\n".join(lines)


def _mean_seconds(watches: list[ProcessWatch]) -> dict[str, float]:
    rounds = [seconds_by_cause(watch) for watch in watches]
    return {name: sum(spent[name] for spent in rounds) / len(rounds) for name in ROWS}


def cpu_table(runs: dict[str, list[Run]]) -> str:
    """Format the CPU time per clip of each kind of process."""
    lines = [f"| CPU ms per clip | {' | '.join(runs)} |", f"|---|{'---|' * len(runs)}"]
    kinds = {"video processes": (CHILD,), "all others: writers, the command": (COMMAND, WORKER, OTHER)}
    for name, roles in kinds.items():
        spent = (
            1e3 * sum(run.cpu_seconds(*roles) for run in those) / sum(run.clips for run in those)
            for those in runs.values()
        )
        lines.append(f"| {name} | {' | '.join(f'{each:.1f}' for each in spent)} |")
    return "\n".join(lines)


def flow_rates(videos: Path) -> list[float]:
    """Measure TV-L1 flow alone: clips per second of one process, and of two at once together."""
    rates = []
    for count in (1, 2):
        with ProcessPoolExecutor(count, get_context("spawn")) as executor:
            begin = time.monotonic() + READY_SECONDS
            rates.append(sum(executor.map(_flow_rate, [videos] * count, [begin] * count)))
    return rates


def _flow_rate(videos: Path, begin: float) -> float:
    """Compute flow from a time on, which all processes wait for."""
    clips = choose_clips(videos, 8, DEFAULT_GEOMETRY.frame_rows, DEFAULT_GEOMETRY.frame_cols)
    done = 0
    compute_flow(clips[0][1], "tvl1")
    time.sleep(max(0, begin - time.monotonic()))
    while time.monotonic() < begin + FLOW_SECONDS:
        compute_flow(clips[done % len(clips)][1], "tvl1")
        done += 1
    return done / (time.monotonic() - begin)
