"""Measures reading and training from shards, and compares it with labels computed at load time.

    python benchmarks/bench_train.py --jpeg DIR --raw DIR [--out benchmarks]

prints its tables and writes them to ``OUT/train.md``. One thread of torch. CPU seconds are those of the
measured thread, without what else runs on the core; clips/s are of the clock, so measure on an idle machine.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch
from common import table_parser, write_table

import mas_labels
from mas_labels.labels.views import view_table
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_labels.system.linux import processor_name
from mas_train.data.auto_workers import usable_cores
from mas_train.data.clips import ClipBatch, ClipDataset, RunOrder
from mas_train.data.loader import load_batches
from mas_train.model.targets import TargetCode
from mas_train.recipe import Recipe, make_recipe
from mas_train.runtime.performance import choose_memory_format, keep_pages, set_memory_format
from mas_train.training.engine import PretrainJob, take_step
from mas_train.training.pretrain import make_training_state

CPU = torch.device("cpu")
BATCH, ROUNDS = 30, 3
NEEDED_RATE = 2600
"""Clips per second of a step of the whole C3D in bf16 on an H100: an estimate."""
OPTIONS: dict[str, dict[str, str]] = {
    "default": {},
    "the C library's default memory management": {"pages": "default"},
    "`--memory-format contiguous`": {"memory_format": "contiguous"},
    "`--precision bf16`": {"precision": "bf16"},
    "`--accumulate 2`": {"accumulate": "2"},
    "`--compile`": {"compile": "yes"},
    "`--fused`": {"fused": "yes"},
}


class LabelsOnTheFly:
    """A data set without stored labels: decodes a clip, computes flow and the labels of one view."""

    def __init__(self, shards: ShardSet) -> None:
        self.shards = shards
        self.centre = view_table(8)[:1]

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        frames = self.shards.read_frames(index)
        flow = mas_labels.compute_flow(frames, method="tvl1")
        return frames, mas_labels.compute_labels(frames, flow, views=self.centre)


def seconds_per_clip(read: Callable[[int], object], clips: list[int]) -> float:
    """Return the CPU seconds of this thread per clip."""
    began = time.thread_time()
    for clip in clips:
        read(clip)
    return (time.thread_time() - began) / len(clips)


def read_alone(shards: ShardSet, clips: list[int]) -> float:
    """Return the CPU seconds per clip of one thread that reads into the memory of one clip."""
    memory = np.empty(shards.geometry.clip_shape, np.uint8)

    def read(clip: int) -> None:
        shards.read_labels(clip)
        shards.read_frames_into(clip, memory)

    for clip in clips:
        read(clip)  # fills the system's file cache
    return seconds_per_clip(read, clips)


def loader_rates(shards: ShardSet, clips: list[int], counts: list[int]) -> dict[int, float]:
    """Return clips per second through the loader by number of workers: the median of `ROUNDS` in turns."""
    batches = [clips[start : start + BATCH] for start in range(0, len(clips), BATCH)]
    rates: dict[int, list[float]] = {workers: [] for workers in counts}
    for workers in counts * ROUNDS:
        ready = load_batches(ClipDataset(shards), batches * 4, workers, CPU)
        for _ in batches:  # the workers start, and touch their memory
            next(ready)
        began = time.perf_counter()
        sizes = [len(loaded.frames) for loaded in ready]
        rates[workers].append(sum(sizes) / (time.perf_counter() - began))
    return {workers: statistics.median(values) for workers, values in rates.items()}


def reading_table(jpeg: ShardSet, raw: ShardSet, clips: int) -> str:
    """Measure reading: through the loader by number of workers, alone, and labels at load time."""
    counts = sorted({0, 1, 2, usable_cores()})
    lines = [
        f"| reading | CPU ms per clip, alone | {' | '.join(f'clips/s, {n} workers' for n in counts)} "
        f"| workers for {NEEDED_RATE:,} clips/s |",
        "|---" * (len(counts) + 3) + "|",
    ]
    for name, shards in (("JPEG", jpeg), ("raw", raw)):
        chosen = np.random.default_rng(0).permutation(len(shards))[:clips].tolist()
        alone, rates = read_alone(shards, chosen), loader_rates(shards, chosen, counts)
        cells = " | ".join(f"{rates[count]:.0f}" for count in counts)
        lines.append(f"| {name} | {alone * 1e3:.2f} | {cells} | {NEEDED_RATE / rates[1]:.1f} |")
    chosen = np.random.default_rng(1).permutation(len(jpeg))[:10].tolist()
    slow = seconds_per_clip(LabelsOnTheFly(jpeg).__getitem__, chosen)
    empty = " | -" * len(counts)
    lines.append(f"| JPEG, labels computed at load time, one view | {slow * 1e3:.2f}{empty} | - |")
    note = (
        f"The last column is an estimate: {NEEDED_RATE:,} clips/s are what one H100 is expected to take of "
        "the whole C3D in bf16, which was not measured; the workers follow from the rate of one."
    )
    return "\n".join(lines) + f"\n\n{note}"


class Trainer:
    """Takes training steps on given batches."""

    def __init__(self, shards: ShardSet, recipe: Recipe, options: dict[str, str]) -> None:
        code = TargetCode(recipe)
        self.recipe, self.dataset = recipe, ClipDataset(shards)
        self.state = make_training_state(recipe, CPU, code, "fused" in options)
        self.order = RunOrder(shards.lengths, recipe)
        memory_format = options.get("memory_format", "channels_last_3d")
        set_memory_format(self.state.model, memory_format)
        if "compile" in options:
            self.state.model.compile()
        accumulate = int(options.get("accumulate", 1))
        self.job = PretrainJob(
            *(recipe, self.dataset, self.order, self.state.model, CPU, 1, Path(), 1000),
            accumulate=accumulate,
            memory_format=memory_format,
        )
        self.views = torch.from_numpy(shards.views.astype("int64"))
        self.state.model.train()

    def step(self, batch: ClipBatch) -> None:
        take_step(self.state, batch, self.views, self.job)


def loader_cost(
    shards: ShardSet, recipe: Recipe, workers: int | None, blocks: int, steps: int = 4
) -> tuple[str, str]:
    """Time blocks of steps, alternately on the loader's batches and on one batch in memory.

    Returns
    -------
    A row of the table, and the line that ``--workers auto`` says.
    """
    trainer, said = Trainer(shards, recipe, {}), [""]
    ready = load_batches(trainer.dataset, trainer.order, workers, CPU, said.append)
    kept = ClipBatch(*(tensor.clone() for tensor in next(ready)))
    trainer.step(kept)
    while workers is None and len(said) == 1:
        trainer.step(next(ready))
    seconds: dict[bool, list[float]] = {True: [], False: []}
    waiting = 0.0
    for block in range(2 * blocks):
        loaded = block % 2 == (block // 2) % 2  # loader, memory, memory, loader: cancels drift
        began = time.perf_counter()
        for _ in range(steps):
            asked = time.perf_counter()
            batch = next(ready) if loaded else kept
            waiting += loaded * (time.perf_counter() - asked)
            trainer.step(batch)
        seconds[loaded].append((time.perf_counter() - began) / steps)
    ratios = [a / b for a, b in zip(seconds[True], seconds[False], strict=True)]
    medians = [statistics.median(seconds[loaded]) for loaded in (True, False)]
    spread = ", ".join(f"{100 * (ratio - 1):+.1f} %" for ratio in ratios)
    share = waiting / steps / sum(seconds[True])
    name = "auto" if workers is None else workers
    return f"| {name} | {medians[0]:.3f} | {medians[1]:.3f} | {spread} | {share:.1%} |", said[-1]


def step_table(shards: ShardSet, recipe: Recipe, blocks: int) -> str:
    """Measure training steps that are fed by the loader, by number of workers."""
    rows = [loader_cost(shards, recipe, workers, blocks) for workers in (0, 1, 2, None)]
    lines = [
        "| workers | seconds of a step with the loader | on a batch in memory | difference | waiting |",
        "|---|---|---|---|---|",
        *(row for row, _ in rows),
    ]
    return "\n".join(lines) + f"\n\n`{rows[-1][1]}`"


def option_seconds(
    shards: ShardSet, recipe: Recipe, options: dict[str, str], steps: int
) -> tuple[float, float]:
    """Return the minimum wall-clock and the mean CPU seconds of a step; call it in a fresh process."""
    if options.get("pages") != "default":
        keep_pages()
    if "precision" in options:
        recipe = make_recipe("ucf101", **{**recipe_changes(recipe), "precision": options["precision"]})
    trainer = Trainer(shards, recipe, options)
    batch = next(iter(load_batches(trainer.dataset, trainer.order, 0, CPU)))
    for _ in range(2):
        trainer.step(batch)
    clock = []
    cpu = time.process_time()
    for _ in range(steps):
        began = time.perf_counter()
        trainer.step(batch)
        clock.append(time.perf_counter() - began)
    return min(clock), (time.process_time() - cpu) / steps


def recipe_changes(recipe: Recipe) -> dict[str, float]:
    return {"width": recipe.width, "batch_size": recipe.batch_size}


def option_table(options: argparse.Namespace, recipe: Recipe) -> str:
    """Measure each of `OPTIONS` in a fresh process."""
    lines = ["| step | seconds | CPU seconds | clips/s |", "|---|---|---|---|"]
    for name in OPTIONS:
        command = [sys.executable, __file__, "--one-option", name, *map(str, child_arguments(options))]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        clock, cpu = map(float, printed[-2:])
        lines.append(f"| {name} | {clock:.3f} | {cpu:.3f} | {recipe.batch_size / clock:.1f} |")
    return "\n".join(lines)


def child_arguments(options: argparse.Namespace) -> list[object]:
    names = ("jpeg", "raw", "width", "batch_size", "steps")
    return list(itertools.chain(*((f"--{n.replace('_', '-')}", getattr(options, n)) for n in names)))


def description(options: argparse.Namespace, jpeg: ShardSet) -> str:
    """Describe the clips, the machine and the command."""
    versions = f"torch {torch.__version__}, OpenCV {cv2.__version__}, h5py {h5py.__version__}"
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return (
        f"{len(jpeg)} clips of 16 x 128 x 171; {date.today()}, one thread of torch on {processor_name()} "
        f"({platform.machine()}); {load}; {versions}.\n\n"
        f"`python benchmarks/bench_train.py --jpeg {options.jpeg.name} --raw {options.raw.name} "
        f"--width {options.width} --batch-size {options.batch_size} --clips {options.clips} "
        f"--steps {options.steps}`"
    )


def parse() -> argparse.Namespace:
    parser = table_parser(__doc__)
    parser.add_argument("--jpeg", type=Path, required=True, help="folder of shards with JPEG frames")
    parser.add_argument("--raw", type=Path, required=True, help="folder of shards with raw frames")
    parser.add_argument("--clips", type=int, default=300, help="number of clips to read")
    parser.add_argument("--width", type=float, default=0.25, help="width of the C3D to train")
    parser.add_argument("--batch-size", type=int, default=8, help="clips per training step")
    parser.add_argument("--steps", type=int, default=5, help="number of steps, and of blocks, to time")
    parser.add_argument("--one-option", choices=list(OPTIONS), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Parse the options, measure, print and write."""
    options = parse()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    recipe = make_recipe("ucf101", width=options.width, batch_size=options.batch_size)
    jpeg, raw = open_shards(options.jpeg), open_shards(options.raw)
    if options.one_option:
        print(*option_seconds(jpeg, recipe, OPTIONS[options.one_option], options.steps))
        return
    keep_pages()
    reading = reading_table(jpeg, raw, options.clips)
    step = step_table(jpeg, recipe, options.steps)
    state = Trainer(jpeg, recipe, {}).state
    chosen = choose_memory_format("auto", state.model, "float32", CPU, recipe.batch_size, jpeg.geometry)[1]
    table = option_table(options, recipe)
    parts = [description(options, jpeg), reading, step, table, f"`--memory-format auto`: {chosen}."]
    text = "\n\n".join(parts) + "\n"
    write_table(options.out / "train.md", text)


if __name__ == "__main__":
    main()
