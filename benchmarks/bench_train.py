"""Measures reading and training from shards, and compares it with labels computed at load time.

    python benchmarks/bench_train.py --jpeg DIR --raw DIR [--out benchmarks]

prints its tables and writes them to ``OUT/train.md``. One thread of torch; CPU seconds are those of the
measured thread, without other processes on the core.
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
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch
from common import processor, table_parser, write_table

import mas_labels
from mas_labels.labels.views import view_table
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_train.data.clips import ClipBatch, ClipDataset, RunOrder
from mas_train.data.loader import load_batches
from mas_train.model.targets import TargetCode
from mas_train.recipe import Recipe, make_recipe
from mas_train.runtime.performance import choose_memory_format, keep_pages, set_memory_format
from mas_train.training.engine import PretrainJob, compute_gradients, require_finite, update_weights
from mas_train.training.pretrain import make_training_state

CPU = torch.device("cpu")
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


def reading_rows(name: str, shards: ShardSet, clips: int) -> list[tuple[str, float, float]]:
    """Return name, CPU seconds per clip and clips per wall-clock second of each way to read."""
    dataset, batch = ClipDataset(shards), 25
    chosen = np.random.default_rng(0).permutation(len(shards))[:clips].tolist()
    memory = np.empty(shards.read_frames(0).shape, np.uint8)

    def read(clip: int) -> None:
        shards.read_labels(clip)
        shards.read_frames_into(clip, memory)

    for clip in chosen:
        read(clip)  # fills the system's file cache
    cost = seconds_per_clip(read, chosen)
    batches = [chosen[start : start + batch] for start in range(0, len(chosen), batch)] * 4
    ready = load_batches(dataset, batches, 1, CPU)
    sizes = [len(next(ready).frames) for _ in range(len(batches) // 4)]  # the worker starts
    began = time.perf_counter()
    sizes = [len(loaded.frames) for loaded in ready]
    clock = sum(sizes) / (time.perf_counter() - began)
    return [
        (name, cost, 1 / cost),
        (f"{name}, through one worker process, later epochs", float("nan"), clock),
    ]


def reading_table(jpeg: ShardSet, raw: ShardSet, clips: int) -> str:
    rows = [*reading_rows("JPEG", jpeg, clips), *reading_rows("raw", raw, clips)]
    on_the_fly = LabelsOnTheFly(jpeg)
    chosen = np.random.default_rng(1).permutation(len(jpeg))[:10].tolist()
    slow = seconds_per_clip(on_the_fly.__getitem__, chosen)
    rows.append(("labels computed at load time, TV-L1, one view", slow, 1 / slow))
    lines = [
        "| reading | CPU ms per clip | clips/s | times cheaper than labels at load time |",
        "|---|---|---|---|",
    ]
    for name, cost, rate in rows:
        times = "-" if np.isnan(cost) else f"{slow / cost:.0f}"
        lines.append(f"| {name} | {'-' if np.isnan(cost) else f'{cost * 1e3:.2f}'} | {rate:.0f} | {times} |")
    return "\n".join(lines)


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
        losses, gradients = compute_gradients(self.state, batch, self.views, 0, self.job)
        norm = require_finite(losses, gradients, 0, [], self.dataset.shards)
        update_weights(self.state, gradients, norm, 0, self.recipe)


def loader_cost(
    shards: ShardSet, recipe: Recipe, blocks: int, steps: int = 4
) -> tuple[float, float, list[float]]:
    """Time blocks of steps, alternately on the loader's batches and on one batch in memory.

    Returns
    -------
    Median seconds of a step with the loader, in memory, and the ratio of each pair of blocks.
    """
    trainer = Trainer(shards, recipe, {})
    ready = load_batches(trainer.dataset, trainer.order, 1, CPU)
    kept = ClipBatch(*(tensor.clone() for tensor in next(ready)))
    trainer.step(kept)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for block in range(2 * blocks):
        loaded = block % 2 == (block // 2) % 2  # loader, memory, memory, loader: cancels drift
        began = time.perf_counter()
        for _ in range(steps):
            trainer.step(next(ready) if loaded else kept)
        seconds[loaded].append((time.perf_counter() - began) / steps)
    ratios = [a / b for a, b in zip(seconds[True], seconds[False], strict=True)]
    return statistics.median(seconds[True]), statistics.median(seconds[False]), ratios


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
    return (
        f"{len(jpeg)} clips of 16 x 128 x 171; one thread of {processor()} ({platform.machine()}); load "
        f"average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {versions}.\n\n"
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
    loader, memory, ratios = loader_cost(jpeg, recipe, options.steps)
    pairs = ", ".join(f"{100 * (ratio - 1):+.1f} %" for ratio in ratios)
    step = (
        f"A training step with the loader (one worker, JPEG) takes {loader:.3f} s, on a batch in memory "
        f"{memory:.3f} s: {100 * (statistics.median(ratios) - 1):+.1f} % (pairs: {pairs})."
    )
    state = Trainer(jpeg, recipe, {}).state
    chosen = choose_memory_format("auto", state.model, "float32", CPU, recipe.batch_size, jpeg.geometry)[1]
    table = option_table(options, recipe)
    parts = [description(options, jpeg), reading, step, table, f"`--memory-format auto`: {chosen}."]
    text = "\n\n".join(parts) + "\n"
    write_table(options.out / "train.md", text)


if __name__ == "__main__":
    main()
