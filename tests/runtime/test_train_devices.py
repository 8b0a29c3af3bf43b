"""Differences between devices, as far as a machine without a GPU can test them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mas_labels.errors import ConfigError, TrainingError
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.shards import ShardSet, open_shards
from mas_train.codings import CODINGS
from mas_train.data.clips import ClipBatch, ClipDataset, FrameDataset, RunOrder
from mas_train.data.few_labels import label_clips
from mas_train.inference.outputs import clip_outputs
from mas_train.inference.sources import SourceBatch
from mas_train.model.targets import TargetCode
from mas_train.recipe import SCRATCH, Recipe, make_recipe
from mas_train.runtime.performance import choose_memory_format, oom_as_training_error, require_precision
from mas_train.runtime.processes import local_device
from mas_train.training.engine import PretrainJob, compute_gradients
from mas_train.training.finetune_state import FinetuneJob, make_finetune_state
from mas_train.training.finetune_steps import FinetuneStep
from mas_train.training.options import FinetuneOptions, TrainingOptions
from mas_train.training.pretrain import make_training_state, pretrain
from mas_train.weights.backbone_weights import load_weights
from mas_train.weights.checkpoint import list_checkpoints, load_checkpoint

SMALL = make_recipe("ucf101", width=1 / 32, fc_width=16, batch_size=5)
ROOT = Path(__file__).parents[2]


def weights(recipe: Recipe, shards: list[Path], out: Path, **options: object) -> dict[str, torch.Tensor]:
    """Train; return all weights and momenta at the end."""
    settings = {"workers": 0, "threads": 1, "curves": False, **options}
    pretrain(recipe, TrainingOptions(shards, out, "cpu", **settings))
    content = load_checkpoint(list_checkpoints(out)[-1])
    momenta = {f"momentum {k}": v["momentum_buffer"] for k, v in content["optimizer"]["state"].items()}
    return {**content["model"], **momenta}


def assert_close(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_a_run_resumes_in_another_memory_format(tiny_shards: list[Path], tmp_path: Path) -> None:
    weights(SMALL, tiny_shards, tmp_path / "plain", max_steps=2, memory_format="contiguous")
    shutil.copytree(tmp_path / "plain", tmp_path / "fused", symlinks=True)
    options = {"max_steps": 4, "resume": True}
    plain = weights(SMALL, tiny_shards, tmp_path / "plain", memory_format="contiguous", **options)
    other = {"memory_format": "channels_last_3d", "fused": True}
    assert_close(weights(SMALL, tiny_shards, tmp_path / "fused", **other, **options), plain)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", str(torch.cuda.device_count()))
    with pytest.raises(ConfigError, match=r"more processes than GPUs.*--nproc-per-node"):
        local_device(torch.device("cuda"))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("no room\nand much more"),
        RuntimeError("CUDA error: out of memory\nand much more"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_out_of_memory_is_reported_in_one_line(error: RuntimeError) -> None:
    reason = re.escape(str(error).splitlines()[0])
    with (
        pytest.raises(TrainingError, match=rf"too little memory \({reason}\): give a smaller --batch-size"),
        oom_as_training_error(),
    ):
        raise error


def test_out_of_memory_where_nothing_is_trained_has_remedies_of_its_own() -> None:
    model, frames = torch.nn.Identity(), torch.zeros(1, *DEFAULT_GEOMETRY.clip_shape, dtype=torch.uint8)

    def output(views: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("no room")

    batch = SourceBatch(frames, (), ())
    with pytest.raises(TrainingError, match=r"\(no room\): give --device cpu, or to mas-embed"):
        next(clip_outputs(model, output, (0, 0, 0), DEFAULT_GEOMETRY, [batch], torch.device("cpu")))


def test_other_errors_of_a_device_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match=r"^an illegal address$"), oom_as_training_error():
        raise RuntimeError("an illegal address")


@pytest.mark.parametrize("version", [90701, 90800, 91002, 91400, 91500])
def test_versions_of_cudnn_with_wrong_convolutions_get_the_other_format(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the version alone: nothing here is computed on a GPU."""
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: version)
    cuda, is_broken = torch.device("cuda"), 90800 <= version < 91500
    for precision in ("float32", "fp16"):
        if is_broken and precision == "fp16":
            with pytest.raises(
                ConfigError, match=f"cuDNN {version} computes contiguous fp16 .* leave --memory-"
            ):
                require_precision(precision, cuda, "contiguous")
            chosen, reason = choose_memory_format(
                None, torch.nn.Identity(), precision, cuda, 2, DEFAULT_GEOMETRY
            )
            assert chosen == "channels_last_3d" and str(version) in reason
        else:
            require_precision(precision, cuda, "contiguous")
    require_precision("fp16", cuda)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_step_mixes_no_devices_and_reads_no_value(coding: str, tiny_shards: list[Path]) -> None:
    """On torch's device `meta`, which like a GPU refuses tensors of a CPU, and has no values to wait for."""
    meta, recipe = torch.device("meta"), replace(SMALL, coding=coding, target_scale="standard")
    shards = open_shards(tiny_shards)
    code, order = TargetCode(recipe).to(meta), RunOrder(shards.lengths, recipe)
    state = make_training_state(recipe, meta, code)
    dataset = ClipDataset(shards, with_boundaries=code.is_dense)
    job = PretrainJob(recipe, dataset, order, state.model, meta, 0, Path(), 1, accumulate=2)
    clips = job.dataset.empty_batch(recipe.batch_size)
    batch = ClipBatch(*(part.to(meta) for part in clips))._replace(
        clip_indices=torch.arange(len(clips.frames))
    )
    table = torch.from_numpy(shards.views.astype("int64"))
    losses, gradients = compute_gradients(state, batch, table.to(meta), 0, job)
    assert {each.device for each in (*losses, *gradients)} == {meta}
    with pytest.raises(RuntimeError, match=r"on the same device|meta"):
        compute_gradients(state, batch._replace(frames=clips.frames), table.to(meta), 0, job)


def test_a_step_of_fine_tuning_reads_no_value_and_needs_no_float64(train: ShardSet) -> None:
    """MPS has no float64."""
    meta, recipe = torch.device("meta"), replace(SMALL, batch_size=4)
    job = FinetuneJob(recipe, FinetuneOptions(), train, Path(), meta, 0)
    state = make_finetune_state(load_weights(SCRATCH, SMALL.width), job)
    step = FinetuneStep(job, state, label_clips(train, 1.0, 0), print)
    clips = FrameDataset(train).empty_batch(4)
    batch = ClipBatch(*(part.to(meta) for part in clips))._replace(clip_indices=torch.arange(4))
    results, may_skip = step.take(batch, 0)
    assert (results.device, results.dtype, results.shape, may_skip) == (meta, torch.float32, (3,), False)


@pytest.mark.parametrize(
    ("error", "message"), [("ShardError", "error: x.h5 is damaged"), ("OSError", "OSError: x.h5")]
)
def test_a_process_that_fails_alone_ends_at_once(error: str, message: str) -> None:
    code = f"""
import atexit
from mas_labels.errors import ShardError
from mas_train.runtime.processes import _leave_at_once
atexit.register(print, "came to its end")
_leave_at_once({error}("x.h5 is damaged"))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert message in done.stderr and "x.h5 is damaged" in done.stderr
