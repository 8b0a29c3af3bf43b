"""Measures training on a GPU: steps on a batch that is there, and steps fed from shards by workers.

    python benchmarks/bench_gpu.py [--batch-sizes 30,120] [--workers 1,4,8,14] [--out benchmarks]

makes shards of the demo's videos, prints its tables and writes them to ``OUT/gpu.md``. With ``--device cpu``
and a small network it only shows that it works.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from common import table_parser, write_table

from mas_labels.errors import ConfigError, TrainingError
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_labels.system.linux import processor_name
from mas_train.data.clips import ClipDataset, RunOrder
from mas_train.data.loader import load_batches
from mas_train.model.targets import TargetCode
from mas_train.recipe import Recipe, make_recipe
from mas_train.runtime.performance import (
    MEMORY_FORMATS,
    oom_as_training_error,
    require_precision,
    set_memory_format,
)
from mas_train.training.engine import PretrainJob, take_step
from mas_train.training.metrics import read_metrics
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import make_training_state, pretrain

WARM_UP_STEPS = 5
LOG_STEPS = 20


class Setting(NamedTuple):
    """Computation of a step."""

    batch_size: int
    precision: str
    """One of a recipe, or ``"TF32"``: float32 whose convolutions may use it, as torch allows by default."""
    memory_format: str
    fused: bool = False
    compile: bool = False
    benchmark: bool = False
    """Let cuDNN try its algorithms, which `mas-train` does not: to see what that would give."""

    @property
    def extras(self) -> str:
        """Name what is switched on."""
        return ", ".join(name for name in ("fused", "compile", "benchmark") if getattr(self, name)) or "-"

    def recipe(self, plain: Recipe) -> Recipe:
        """Return the recipe; its steps are too short to diverge on one batch."""
        precision = "float32" if self.precision == "TF32" else self.precision
        return replace(plain, batch_size=self.batch_size, precision=precision, learning_rate=1e-7)


@contextmanager
def cudnn_flags(setting: Setting) -> Iterator[None]:
    """Set what torch lets cuDNN do, and restore it."""
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.benchmark
    cudnn.allow_tf32, cudnn.benchmark = setting.precision == "TF32", setting.benchmark
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.benchmark = before


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_steps(
    shards: ShardSet, plain: Recipe, setting: Setting, device: torch.device, seconds: float
) -> tuple[float, float]:
    """Return clips per second of steps on one batch on the device, and the peak of a GPU's memory in GiB."""
    recipe = setting.recipe(plain)
    state = make_training_state(recipe, device, TargetCode(recipe).to(device), setting.fused)
    set_memory_format(state.model, setting.memory_format, state.optimizer)
    state.model.train()
    if setting.compile:
        state.model.compile()
    order, dataset = RunOrder(shards.lengths, recipe), ClipDataset(shards)
    job = PretrainJob(
        *(recipe, dataset, order, state.model, device, 0, Path(), 1), memory_format=setting.memory_format
    )
    views = torch.from_numpy(shards.views.astype("int64")).to(device)
    batch = next(load_batches(dataset, order, 0, device))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(WARM_UP_STEPS):
        take_step(state, batch, views, job)
    synchronise(device)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(WARM_UP_STEPS):
            state.step = 0  # of the epoch whose batch it is
            take_step(state, batch, views, job)
        steps += WARM_UP_STEPS
        synchronise(device)
    rate = steps * setting.batch_size / (time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    return rate, peak


def step_table(
    shards: ShardSet, plain: Recipe, device: torch.device, options: argparse.Namespace
) -> tuple[str, dict[Setting, float]]:
    """Time each setting; return the table, and clips per second of those that fit into memory."""
    settings = [
        Setting(batch_size, precision, memory_format)
        for batch_size in options.batch_sizes
        for precision in options.precisions
        for memory_format in MEMORY_FORMATS
    ]
    rates: dict[Setting, float] = {}
    lines = ["| clips per step | precision | memory format | with | ms per step | clips/s | peak GiB |"]
    lines += ["|---" * 7 + "|"]

    def measure(setting: Setting) -> None:
        cells = ["out of memory", "-", "-"]
        try:
            require_precision(setting.recipe(plain).precision, device, setting.memory_format)
            with cudnn_flags(setting), oom_as_training_error():
                rates[setting], peak = time_steps(shards, plain, setting, device, options.seconds)
            rate = rates[setting]
            cells = [f"{1e3 * setting.batch_size / rate:.1f}", f"{rate:.0f}", f"{peak:.1f}" if peak else "-"]
        except TrainingError:
            pass
        except ConfigError as error:
            cells = [f"refused: {error}", "-", "-"]
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        row = [setting.batch_size, setting.precision, setting.memory_format, setting.extras, *cells]
        lines.append(f"| {' | '.join(map(str, row))} |")
        print(lines[-1], file=sys.stderr, flush=True)

    for setting in settings:
        measure(setting)
    fastest = best_setting(rates, options.batch_sizes[0])
    for extras in options.extras:
        measure(fastest._replace(**dict.fromkeys(extras.split("+"), True)))
    return "\n".join(lines), rates


def best_setting(rates: dict[Setting, float], batch_size: int) -> Setting:
    """Return the fastest setting of a batch size with neither of the extras, which may be rounded most."""
    plain = [setting for setting in rates if setting.batch_size == batch_size and setting.extras == "-"]
    return max(plain, key=rates.__getitem__)


def worker_table(
    kinds: dict[str, Path],
    plain: Recipe,
    setting: Setting,
    alone: float,
    device: torch.device,
    options: argparse.Namespace,
) -> str:
    """Train from shards through workers; `alone` are the clips per second of the same steps without them."""
    lines = ["| shards | workers | clips/s | of steps alone | waiting for data |", "|---|---|---|---|---|"]
    for kind, folder in kinds.items():
        for workers in options.workers:
            with tempfile.TemporaryDirectory() as run, cudnn_flags(setting):
                training = TrainingOptions([folder], Path(run), device.type, workers=workers, curves=False)
                training = replace(training, max_steps=options.steps, log_steps=LOG_STEPS)
                training = replace(training, memory_format=setting.memory_format, checkpoint_steps=10**9)
                pretrain(setting.recipe(plain), training, say=lambda line: None)
                rows = read_metrics(Path(run))
            rows = rows[len(rows) // 3 :]  # without the start of workers and libraries
            rate = len(rows) / sum(1 / row["clips_per_second"] for row in rows)
            waiting = sum(row["waiting_share"] / row["clips_per_second"] for row in rows) * rate / len(rows)
            named = "auto" if workers is None else workers
            lines.append(f"| {kind} | {named} | {rate:.0f} | {rate / alone:.0%} | {waiting:.1%} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def make_shards(folder: Path, limit: int | None) -> dict[str, Path]:
    """Make the demo's videos, and shards of their overlapping clips with raw and with JPEG frames."""
    mas_labels = [sys.executable, "-m", "mas_labels"]
    subprocess.run([*mas_labels, "demo", "--out", folder / "videos"], check=True, stdout=subprocess.DEVNULL)
    kinds = {kind: folder / kind for kind in ("raw", "jpeg")}
    for kind, out in kinds.items():
        source = ["--manifest", "demo", "--root", folder / "videos", "--split", "all", "--clip-stride", "1"]
        some = [] if limit is None else ["--limit", str(limit)]
        command = [*mas_labels, "make", *source, "--out", out, "--flow", "dis", "--frames", kind, *some]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return kinds


def describe(device: torch.device, shards: ShardSet, command: Sequence[str]) -> str:
    """Describe the card, the machine, the clips and the command."""
    card = "No GPU: this shows that the program works, and measures nothing."
    if device.type == "cuda":
        query = "name,driver_version,memory.total,power.limit,utilization.gpu"
        try:
            asked = subprocess.run(
                ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                check=True,
            )
            name, driver, *rest = asked.stdout.splitlines()[0].split(", ")
            facts = [name, f"driver {driver}", *rest[:2], f"{rest[2]} busy at the start"]
        except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
            facts = [torch.cuda.get_device_name(device), "nvidia-smi tells nothing"]
        libraries = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        card = f"{', '.join(facts)}; torch {torch.__version__}, {libraries}."
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores of {processor_name()}"
    today = datetime.datetime.now(datetime.UTC).date()
    sizes = " x ".join(map(str, shards.geometry.clip_shape[:3]))
    return f"{card}\n\n{today}; {load}; {len(shards)} clips of {sizes}.\n\n`{' '.join(command)}`"


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def counts(text: str) -> list[int | None]:
    """Return numbers of workers; None, for ``auto``, has `mas-train` choose one."""
    return [None if part == "auto" else int(part) for part in text.split(",")]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = table_parser(__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--batch-sizes", type=numbers, default=[30, 120], help="clips per step")
    parser.add_argument(
        "--precisions", type=lambda text: text.split(","), default=["float32", "TF32", "bf16"]
    )
    parser.add_argument(
        "--extras",
        type=lambda text: text.split(","),
        default=["fused", "benchmark", "fused+compile"],
        help="what is tried with the fastest setting: fused, compile, benchmark, joined by +",
    )
    parser.add_argument(
        "--workers", type=counts, help="default: 1,4,8,14, as far as there are cores, and auto"
    )
    parser.add_argument("--seconds", type=float, default=1.5, help="to time a setting")
    parser.add_argument("--steps", type=int, default=120, help="steps with each number of workers")
    parser.add_argument("--limit", type=int, help="videos of the demo; default: all 40, 840 clips")
    parser.add_argument("--width", type=float, default=1.0, help="width of the C3D; 1 is the paper's")
    options = parser.parse_args(arguments)
    if options.workers is None:
        options.workers = [*(count for count in (1, 4, 8, 14) if count <= (os.cpu_count() or 1)), None]
    return options


def main() -> None:
    """Parse the options, measure, print and write."""
    options = parse()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            f"error: expected a GPU, torch {torch.__version__} finds none: run this on a machine that has "
            "one, with a torch built for it; --device cpu only tries the program"
        )
    plain = make_recipe("ucf101", width=options.width)
    with tempfile.TemporaryDirectory() as scratch:
        kinds = make_shards(Path(scratch), options.limit)
        shards = open_shards(kinds["raw"])
        head = describe(device, shards, ["python", "benchmarks/bench_gpu.py", *sys.argv[1:]])
        steps, rates = step_table(shards, plain, device, options)
        chosen = best_setting(rates, options.batch_sizes[0])
        name = f"{chosen.precision}, {chosen.memory_format}, {chosen.batch_size} clips per step"
        workers = worker_table(kinds, plain, chosen, rates[chosen], device, options)
    title = "Steps on a batch that is on the device, forward, backward and update:"
    fed = f"The same steps by `mas-train`, fed from shards ({name}):"
    write_table(options.out / "gpu.md", "\n\n".join([head, title, steps, fed, workers]) + "\n")


if __name__ == "__main__":
    main()
