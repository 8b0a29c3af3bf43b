"""The cost of one iteration of TV-L1 per pixel, ours and OpenCV's, where the number of iterations is known.

With epsilon 0 the stop test never holds, so each of 5 warps on each scale runs exactly the inner iterations
asked for. The unit, ns per pixel and iteration, does not depend on size, number of scales and convergence, so
it compares implementations whose published times are for other settings.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from common import Clip

from mas_labels.flow import tvl1
from mas_labels.flow.tvl1 import Tvl1Options
from mas_labels.system.extensions import available_isas

FEW, MANY = 10, 40  # iterations per warp
FRAMES = 3
ROUNDS = 5
MIN_LEVEL_SIDE = 16  # pixels, see Tvl1Options.nscales


@contextmanager
def forced_isa(isa: str) -> Iterator[None]:
    """Make `mas_labels.flow.tvl1` use one instruction set."""
    before = os.environ.get(tvl1.ISA_VARIABLE)
    os.environ[tvl1.ISA_VARIABLE] = isa
    try:
        yield
    finally:
        del os.environ[tvl1.ISA_VARIABLE]
        if before is not None:
            os.environ[tvl1.ISA_VARIABLE] = before


def fast_isas() -> list[str]:
    """Return the instruction sets of this machine, the best first, without plain C++ if there is another."""
    available = available_isas("tvl1")
    return [isa for isa in available if isa != "portable"] or list(available)


def ours(isa: str) -> Callable[[Clip, int], None]:
    """Return our TV-L1 on one instruction set, with a number of iterations per warp."""

    def run(grey: Clip, inner: int) -> None:
        with forced_isa(isa):
            tvl1.tvl1_flow(grey, epsilon=0, inner_iterations=inner, outer_iterations=1)

    return run


def opencv(grey: Clip, inner: int) -> None:
    """Run OpenCV's TV-L1 with `inner` iterations per warp."""
    estimator = cv2.optflow.DualTVL1OpticalFlow_create()
    estimator.setEpsilon(0)
    estimator.setInnerIterations(inner)
    estimator.setOuterIterations(1)
    for first, second in itertools.pairwise(grey):
        estimator.calc(first, second, None)


def pixels_of_all_scales(rows: int, cols: int) -> int:
    """Return the number of pixels of all levels of the pyramid."""
    pixels = rows * cols
    for _ in range(Tvl1Options.nscales - 1):
        rows, cols = (round(side * Tvl1Options.scale_step) for side in (rows, cols))
        pixels += rows * cols if min(rows, cols) >= MIN_LEVEL_SIDE else 0
    return pixels


def seconds_per_pair(run: Callable[[Clip, int], None], grey: Clip, inner: int) -> float:
    """Return the CPU seconds of this thread for one pair."""
    begin = time.thread_time()
    run(grey, inner)
    return (time.thread_time() - begin) / (len(grey) - 1)


def section(clips: list[tuple[str, Clip]]) -> str:
    """Measure on the first frames of the clips, in turn, and return a section of Markdown."""
    runs = {f"ours (`tvl1`, {isa})": ours(isa) for isa in fast_isas()} | {"OpenCV's (`tvl1-opencv`)": opencv}
    seconds: dict[tuple[str, int], list[float]] = {(name, n): [] for name in runs for n in (FEW, MANY)}
    for round_ in range(ROUNDS):
        frames = clips[round_ % len(clips)][1][:FRAMES]
        grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
        for (name, inner), times in seconds.items():
            times.append(seconds_per_pair(runs[name], grey, inner))
    rows, cols = clips[0][1].shape[1:3]
    pixels = pixels_of_all_scales(rows, cols)
    lines = [
        f"| TV-L1 | ms per pair, {FEW} iterations a warp | {MANY} | ns per pixel and iteration, everything "
        "| the iteration alone |",
        "|---|---|---|---|---|",
    ]
    for name in runs:
        few, many = (float(np.median(seconds[name, inner])) for inner in (FEW, MANY))
        per_pixel = pixels * Tvl1Options.warps / 1e9
        everything, alone = many / (per_pixel * MANY), (many - few) / (per_pixel * (MANY - FEW))
        lines.append(f"| {name} | {few * 1e3:.2f} | {many * 1e3:.2f} | {everything:.2f} | {alone:.2f} |")
    note = (
        f"Runs with a known number of iterations: epsilon 0, {FEW} or {MANY} iterations in each of "
        f"{Tvl1Options.warps} warps on {Tvl1Options.nscales} scales of {pixels:,} pixels in total. "
        f"*Everything*: the time of {MANY} divided by {pixels:,} x {Tvl1Options.warps} x {MANY}, with "
        "pyramids, warps and medians. *The iteration alone*: the same from the difference of the two times. "
        f"Medians of {ROUNDS} alternating runs."
    )
    return "\n".join(["## One iteration", "", note, "", *lines])
