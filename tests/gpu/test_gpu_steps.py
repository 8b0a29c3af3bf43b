"""Steps on a GPU: each precision and option beside the CPU's float32; resuming; memory; copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mas_labels.errors import TrainingError
from mas_labels.shards import open_shards
from mas_train.data.clips import ClipDataset, RunOrder
from mas_train.data.loader import load_batches
from mas_train.model.targets import TargetCode
from mas_train.recipe import Recipe
from mas_train.runtime.generators import generator_states, set_generator_states
from mas_train.training.engine import PretrainJob, take_step
from mas_train.training.pretrain import make_training_state
from mas_train.weights.checkpoint import list_checkpoints, load_checkpoint

RunSteps = Callable[..., list[list[float]]]
ROUNDING = {"float32": 5e-4, "tf32": 1e-3, "fp16": 1e-3, "bf16": 5e-3}
"""Bounds of the relative difference of a loss from the CPU's, over three steps.

On a CPU, with the paper's convolutions and with tiny ones, another order of summing changes none of six
digits, and bf16 up to 2.5e-4. Its bound is twenty times that: here every layer is in bf16. TF32 and fp16 have
three bits more, an eighth of the error. float32 leaves room for cuDNN, which may transform its input.
"""
CASES = {
    "float32": ("float32", {}),
    "contiguous": ("float32", {"memory_format": "contiguous"}),
    "channels last": ("float32", {"memory_format": "channels_last_3d"}),
    "fused": ("float32", {"fused": True}),
    "accumulate": ("float32", {"accumulate": 2}),
    "workers": ("float32", {"workers": 2}),
    "TF32": ("tf32", {}),
    "bf16": ("bf16", {}),
    "bf16, contiguous": ("bf16", {"memory_format": "contiguous"}),
    "bf16, fused, accumulate": ("bf16", {"fused": True, "accumulate": 2}),
    "fp16": ("fp16", {"memory_format": "channels_last_3d", "max_steps": 1}),  # the next ones may be skipped
    "compile": ("float32", {"compile": True}),
    "bf16, compile": ("bf16", {"compile": True, "max_steps": 2}),
}


CPU_CASES = ("TF32", "bf16, fused, accumulate")


def in_precision(recipe: Recipe, precision: str) -> Recipe:
    """Return the recipe of a precision; TF32 is float32 as torch computes it by default."""
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return replace(recipe, precision="float32" if precision == "tf32" else precision)


@pytest.mark.parametrize("name", CASES)
def test_losses_are_the_cpus_up_to_rounding(
    name: str, recipe: Recipe, run_steps: RunSteps, on_cpu: list[list[float]], device: str, tmp_path: Path
) -> None:
    precision, options = CASES[name]
    if device == "cpu" and name not in CPU_CASES:
        pytest.skip("tests/runtime tests this on a CPU")
    found = run_steps(in_precision(recipe, precision), tmp_path, **options)
    assert len(found) == options.get("max_steps", 3)
    for (loss, norm), (expected, expected_norm) in zip(found, on_cpu, strict=False):
        assert loss == pytest.approx(expected, rel=ROUNDING[precision])
        if precision == "float32":
            assert norm == pytest.approx(expected_norm, rel=0.01)
    weights = load_checkpoint(list_checkpoints(tmp_path)[-1])["model"]
    assert all(weight.dtype == torch.float32 and torch.isfinite(weight).all() for weight in weights.values())


def test_fused_steps_that_fp16_skips_leave_no_trace(
    recipe: Recipe, run_steps: RunSteps, device: str, tmp_path: Path
) -> None:
    """The first steps overflow; torch's fused step would then start from uninitialised memory."""
    recipe = replace(recipe, precision="fp16", clip_grad_norm=1.0)
    options = {"max_steps": 16 if device == "cuda" else 3, "memory_format": "channels_last_3d"}
    plain = run_steps(recipe, tmp_path / "plain", **options)
    torch.full((10_000_000,), 1e30, device=device)  # freed memory that is not zero
    fused = run_steps(recipe, tmp_path / "fused", fused=True, **options)
    assert [loss for loss, _ in fused] == pytest.approx([loss for loss, _ in plain], rel=ROUNDING["fp16"])
    first, last = (load_checkpoint(list_checkpoints(tmp_path / "fused")[place]) for place in (0, -1))
    assert last["scaler"]["scale"] < first["scaler"]["scale"]


@pytest.mark.parametrize("precision", ["float32", "fp16"])
def test_a_resumed_run_goes_on_where_it_stopped(
    precision: str, recipe: Recipe, run_steps: RunSteps, device: str, tmp_path: Path
) -> None:
    if (device, precision) == ("cpu", "fp16"):
        pytest.skip("fp16 is slow on a CPU")
    recipe = replace(recipe, dropout=0.5, precision=precision)
    options = {"memory_format": "channels_last_3d"}  # measured anew, it may be another one
    whole = run_steps(recipe, tmp_path / "whole", max_steps=4, **options)
    run_steps(recipe, tmp_path / "part", max_steps=2, **options)
    torch.manual_seed(99)
    resumed = run_steps(recipe, tmp_path / "part", max_steps=4, resume=True, **options)
    rounding = ROUNDING[precision] if device == "cuda" else 0.0
    assert [loss for loss, _ in resumed] == pytest.approx([loss for loss, _ in whole], rel=rounding)


def test_states_of_the_generators_are_restored(device: str) -> None:
    place = torch.device(device)
    states = generator_states(place)
    drawn = torch.rand(5, device=place)
    torch.manual_seed(99)
    set_generator_states(states, place)
    assert torch.equal(torch.rand(5, device=place), drawn)


def test_the_memory_format_is_measured(
    recipe: Recipe, run_steps: RunSteps, device: str, tmp_path: Path
) -> None:
    lines: list[str] = []
    run_steps(recipe, tmp_path, max_steps=1, memory_format="auto", lines=lines)
    (line,) = (line for line in lines if line.startswith("memory format "))
    assert "channels_last_3d" in line and "contiguous" in line and "ms per clip" in line


@pytest.mark.usefixtures("on_gpu")
def test_out_of_memory_is_one_line_and_leaves_the_run_whole(
    recipe: Recipe, run_steps: RunSteps, tmp_path: Path
) -> None:
    """Of the device a third of what three steps took is left to the process, then all again."""
    options: dict[str, Any] = {"memory_format": "channels_last_3d", "checkpoint_steps": 1}
    torch.cuda.reset_peak_memory_stats()
    run_steps(recipe, tmp_path, max_steps=2, **options)
    total = torch.cuda.get_device_properties(0).total_memory
    share = torch.cuda.max_memory_allocated() / total / 3
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        with pytest.raises(TrainingError, match=r"too little memory \(.*\): give a smaller --b") as caught:
            run_steps(recipe, tmp_path, max_steps=3, resume=True, **options)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "\n" not in str(caught.value)
    del caught  # its traceback holds the tensors
    assert load_checkpoint(list_checkpoints(tmp_path)[-1])["step"] == 2
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()], "a temporary file was left"
    assert len(run_steps(recipe, tmp_path, max_steps=3, resume=True, **options)) == 3


def test_batches_arrive_whole_while_the_device_computes(tiny_shards: list[Path], device: str) -> None:
    """Memory of pinned and of copied batches is used again: while it is in use, nothing may write into it."""
    shards = open_shards(tiny_shards)
    dataset, order = ClipDataset(shards), [[number % 12, (number + 5) % 12] for number in range(24)]
    busy = torch.ones(2_000 if device == "cuda" else 20, 2_000, device=device)
    sums = []
    for batch in load_batches(dataset, order, 2 if device == "cuda" else 0, torch.device(device)):
        busy = (busy @ busy.T).clamp(max=1)[:, :1].expand_as(busy).contiguous()  # the queue stays full
        sums.append((batch.frames.double().sum(dim=(1, 2, 3, 4)), batch.view_labels.double().sum(dim=(1, 2))))
    for clips, (frames, labels) in zip(order, sums, strict=True):
        assert frames.tolist() == [float(shards.read_frames(clip).sum(dtype="int64")) for clip in clips]
        assert labels.tolist() == [float(shards.read_labels(clip).sum(dtype="int64")) for clip in clips]


def test_a_step_waits_for_the_device_only_where_it_must(
    recipe: Recipe, tiny_shards: list[Path], device: str
) -> None:
    """Losses are read when a row is due, so steps follow each other on the device without a gap."""
    place, shards = torch.device(device), open_shards(tiny_shards)
    order, state = (
        RunOrder(shards.lengths, recipe),
        make_training_state(recipe, place, TargetCode(recipe).to(place)),
    )
    job = PretrainJob(recipe, ClipDataset(shards), order, state.model, place, 0, Path(), 1)
    views = torch.from_numpy(shards.views.astype("int64")).to(place)
    batch = next(load_batches(job.dataset, order, 0, place))
    take_step(state, batch, views, job)
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        take_step(state, batch, views, job)
    finally:
        torch.cuda.set_sync_debug_mode("default") if device == "cuda" else None
    assert state.step == 2
