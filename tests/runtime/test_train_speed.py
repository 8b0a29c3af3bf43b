"""Speed and memory options change results by rounding alone; loading of batches by workers."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mas_labels.errors import ConfigError, ShardError, TrainingError
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.shards import ShardSet, open_shards
from mas_train.data import loader
from mas_train.data.clips import ClipBatch, FrameDataset
from mas_train.data.prefetch import AHEAD, arrivals, copy_to_device
from mas_train.model.backbones import make_backbone
from mas_train.model.heads import make_model
from mas_train.model.targets import TargetCode
from mas_train.model.torchvision_backbones import TORCHVISION
from mas_train.recipe import BACKBONE_BUILDERS, Recipe, make_recipe
from mas_train.runtime.performance import autocast, choose_memory_format
from mas_train.training.metrics import read_metrics
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain
from mas_train.weights.checkpoint import list_checkpoints, load_checkpoint

CPU = torch.device("cpu")
SMALL = make_recipe("ucf101", width=1 / 32, fc_width=16, batch_size=5)  # 12 clips: batches of 5, 5 and 2


def losses(recipe: Recipe, shards: list[Path], out: Path, **options: object) -> list[float]:
    settings = {"workers": 0, "threads": 1, "log_steps": 1, "max_steps": 3, "curves": False, **options}
    pretrain(recipe, TrainingOptions(shards, out, "cpu", **settings))
    return [row["loss"] for row in read_metrics(out)]


@pytest.fixture(scope="module")
def plain(tiny_shards: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return losses(SMALL, tiny_shards, tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize(
    "options",
    [{"accumulate": 2}, {"accumulate": 5}, {"memory_format": "contiguous"}, {"fused": True}],
    ids=str,
)
def test_accumulation_and_formats_change_only_rounding(
    options: dict[str, object], plain: list[float], tiny_shards: list[Path], tmp_path: Path
) -> None:
    assert losses(SMALL, tiny_shards, tmp_path, **options) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_stays_close(
    precision: str, plain: list[float], tiny_shards: list[Path], tmp_path: Path
) -> None:
    lowered = losses(replace(SMALL, precision=precision), tiny_shards, tmp_path)
    assert lowered == pytest.approx(plain, rel=0.03) and lowered != plain
    content = load_checkpoint(list_checkpoints(tmp_path)[-1])
    assert all(weight.dtype == torch.float32 for weight in content["model"].values())
    assert ("scale" in content["scaler"]) == (precision == "fp16")


@pytest.mark.parametrize("name", BACKBONE_BUILDERS)
def test_convolutions_over_too_few_frames_stay_in_float32(name: str) -> None:
    """With fewer frames than the kernel, bf16 gradients are wrong on some CPUs, at random."""
    pytest.importorskip("torchvision") if name in TORCHVISION else None
    seen: list[tuple[bool, torch.dtype]] = []

    def note(conv: torch.nn.Conv3d, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        seen.append((inputs[0].shape[2] < conv.kernel_size[0], output.dtype))

    for settings in (
        [{}] if name in TORCHVISION else [{"width": 1 / 64}, {"width": 1 / 64, "input_stride": 2}]
    ):
        backbone = make_backbone(name, **settings).eval()
        for module in backbone.modules():
            if isinstance(module, torch.nn.Conv3d):
                module.register_forward_hook(note)
        with torch.no_grad(), autocast("bf16", torch.device("cpu")):
            backbone(torch.zeros(1, 3, 16, 112, 112))
    short = {dtype for is_short, dtype in seen if is_short}
    others = {dtype for is_short, dtype in seen if not is_short}
    assert (short, others) == ({torch.float32}, {torch.bfloat16})


@pytest.mark.parametrize(("size", "kernel"), [((2, 7, 7), 3), ((8, 1, 4), 3), ((8, 4, 2), (1, 3, 3))])
def test_convolutions_over_less_than_their_kernel_stay_in_float32(size: tuple[int, ...], kernel: Any) -> None:
    """In any direction: oneDNN's bf16 convolutions not only give wrong results, but write out of bounds."""
    with torch.no_grad(), autocast("bf16", torch.device("cpu")):
        small = torch.nn.Conv3d(3, 4, kernel, padding=1)(torch.zeros(1, 3, *size))
        whole = torch.nn.Conv3d(3, 4, kernel, padding=1)(torch.zeros(1, 3, 8, 4, 4))
    assert (small.dtype, whole.dtype) == (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("instructions", ["AVX512_CORE", "AVX512_CORE_BF16", "DEFAULT"])
def test_bf16_gradients_equal_float32_ones_up_to_rounding(instructions: str) -> None:
    """Also with the convolutions of other processors, and in memory that was used before."""
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        pytest.skip("this processor has no AVX-512")
    code = """
import torch
from mas_train.model.backbones import make_backbone
from mas_train.runtime.performance import autocast

torch.manual_seed(0)
torch.set_num_threads(1)
views = torch.randn(2, 3, 16, 112, 112)
for settings in ({}, {"input_stride": 2}):
    network = make_backbone("c3d", 1 / 16, "he", **settings)

    def gradients(precision):
        network.zero_grad()
        used = [torch.full((1 << size,), float("nan")) for size in range(10, 21)]
        del used
        with autocast(precision, torch.device("cpu")):
            features = network(views)
        features.float().square().sum().backward()
        return [weight.grad for weight in network.parameters() if weight.ndim == 5]

    exact = gradients("float32")
    for _ in range(5):
        for rounded, expected in zip(gradients("bf16"), exact):
            print(((rounded - expected).norm() / expected.norm()).item())
"""
    completed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    errors = [float(line) for line in completed.stdout.split()]
    assert len(errors) == 50 and all(error < 0.25 for error in errors), errors


def test_fp16_gradients_that_overflow_skip_the_step(tiny_shards: list[Path], tmp_path: Path) -> None:
    """A scale of 65536 makes the gradients of these raw labels overflow: it is halved until they fit."""
    recipe = replace(SMALL, precision="fp16", motion_weight=300.0, input_stride=2)
    losses(recipe, tiny_shards, tmp_path, max_steps=4)
    first, *_, last = (
        load_checkpoint(path) for path in (list_checkpoints(tmp_path)[0], list_checkpoints(tmp_path)[-1])
    )
    assert last["scaler"]["scale"] < first["scaler"]["scale"]
    assert all(torch.isfinite(weight).all() for weight in last["model"].values())


def test_no_memory_format_is_measured_on_a_cpu_by_default() -> None:
    network = make_model(SMALL, TargetCode(SMALL))
    assert choose_memory_format(None, network, "float32", torch.device("cpu"), 2, DEFAULT_GEOMETRY) == (
        "channels_last_3d",
        "",
    )


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "rounding"), [("float32", 1e-3), ("bf16", 0.03)])
def test_a_compiled_network_learns_the_same(
    precision: str, rounding: float, plain: list[float], tiny_shards: list[Path], tmp_path: Path
) -> None:
    compiled = losses(replace(SMALL, precision=precision), tiny_shards, tmp_path, compile=True)
    assert compiled == pytest.approx(plain, rel=rounding)


class LoggedReads(FrameDataset):
    """Notes each clip that is read in a folder; reading the clips in `damaged` fails."""

    def __init__(self, shards: ShardSet, folder: Path, damaged: tuple[int, ...] = ()) -> None:
        super().__init__(shards)
        self.folder, self.damaged = folder, damaged

    def read_into(self, batch: ClipBatch, clips: Sequence[int]) -> None:
        for clip in clips:
            (self.folder / str(clip)).touch()
            if clip in self.damaged:
                raise ShardError("gone bad")
        super().read_into(batch, clips)

    @property
    def read(self) -> list[int]:
        return sorted(int(path.name) for path in self.folder.iterdir())


def test_batches_are_read_ahead_of_their_use(tiny_shards: list[Path], tmp_path: Path) -> None:
    dataset = LoggedReads(open_shards(tiny_shards), tmp_path)
    ready = loader.load_batches(dataset, [[clip] for clip in range(6)], 1, CPU)
    assert next(ready).clip_indices.tolist() == [0]
    deadline = time.monotonic() + 60
    ahead = 1 + AHEAD + loader.PREFETCHED_BATCHES  # in the thread, waiting there, at the worker
    while len(dataset.read) < 1 + ahead:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.05)
    assert dataset.read == [0, 1, 2, 3, 4]
    assert [batch.clip_indices.tolist() for batch in ready] == [[1], [2], [3], [4], [5]]
    assert dataset.read == [0, 1, 2, 3, 4, 5]


def test_an_error_comes_where_its_batch_would_and_no_process_or_thread_stays(
    tiny_shards: list[Path], tmp_path: Path
) -> None:
    def alive() -> set[object]:
        return {*threading.enumerate(), *multiprocessing.active_children()}

    before = alive()
    dataset = LoggedReads(open_shards(tiny_shards), tmp_path, damaged=(1,))
    ready = loader.load_batches(dataset, [[0], [1]], 1, CPU)
    assert next(ready).clip_indices.tolist() == [0]
    with pytest.raises(ShardError, match=r"^gone bad$"):
        next(ready)
    abandoned = loader.load_batches(dataset, [[clip] for clip in (0, 2, 3, 4)], 1, CPU)
    next(abandoned)
    abandoned.close()
    deadline = time.monotonic() + 10
    while alive() - before and time.monotonic() < deadline:  # a queue's own thread ends on its own time
        time.sleep(0.01)
    assert alive() - before == set()


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError("reset")])
def test_a_broken_pipe_is_a_dead_worker_only_if_one_is_dead(error: Exception) -> None:
    def filled() -> Iterator[tuple[int, int]]:
        yield 0, 1
        raise error

    worker = multiprocessing.get_context("spawn").Process(target=abs, args=(1,))
    worker.start()
    worker.join()
    with pytest.raises(TrainingError, match=r"^a process that reads clips died \(its pipe broke\)"):
        list(loader._one_line_errors(filled(), [worker]))
    with pytest.raises(type(error)):
        list(loader._one_line_errors(filled(), []))


def test_a_batch_on_its_device_is_not_copied(tiny_shards: list[Path]) -> None:
    clip = FrameDataset(open_shards(tiny_shards))[0]
    (batch,) = arrivals(copy_to_device(iter([clip]), CPU))
    assert batch.frames.data_ptr() == clip.frames.data_ptr()


def test_too_little_shared_memory_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_shards
) -> None:
    class NoRoom:
        f_bavail, f_frsize = 3, 1 << 20

    monkeypatch.setattr(loader.os, "statvfs", lambda path: NoRoom)
    with pytest.raises(ConfigError, match=r"need \d+ MB of shared memory, .* has 3 MB: give fewer --workers"):
        losses(SMALL, tiny_shards, tmp_path, workers=1)
    NoRoom.f_bavail = 1000
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "100")  # all processes of a machine share it
    with pytest.raises(ConfigError, match="has 1000 MB"):
        losses(SMALL, tiny_shards, tmp_path / "many", workers=1)


def test_freed_memory_is_kept() -> None:
    """Page faults of temporary arrays, in a separate process because the settings persist."""
    code = """
import resource, sys
from mas_train.runtime.performance import keep_pages
if sys.argv[1] == "keep" and not keep_pages():
    sys.exit(9)
for turn in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [bytearray(1 << 24) for _ in range(4)]
    for array in arrays:
        array[::4096] = bytes(len(array) // 4096)
    del array, arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

    def faults(setting: str) -> int:
        completed = subprocess.run(
            [sys.executable, "-c", code, setting],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
        )
        if completed.returncode == 9:
            pytest.skip("this C library has no mallopt")
        return int(completed.stdout)

    assert faults("keep") < 100 < 10_000 < faults("default")
