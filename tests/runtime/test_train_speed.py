"""Speed and memory options change results by rounding alone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_train.model.backbones import make_backbone
from mas_train.model.heads import make_model
from mas_train.model.targets import TargetCode
from mas_train.model.torchvision_backbones import TORCHVISION
from mas_train.networks import BACKBONE_BUILDERS
from mas_train.recipe import Recipe, make_recipe
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
    lowered = losses(replace(SMALL, precision=precision), tiny_shards, tmp_path, max_steps=2)
    assert lowered == pytest.approx(plain[:2], rel=0.03) and lowered != plain[:2]
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
