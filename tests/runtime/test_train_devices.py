"""Differences between devices, as far as a machine without a GPU can test them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mas_labels.errors import ConfigError, TrainingError
from mas_train.recipe import Recipe, make_recipe
from mas_train.runtime.performance import oom_as_training_error
from mas_train.runtime.processes import local_device
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain
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


def test_fused_steps_that_fp16_skips_leave_no_trace(tiny_shards: list[Path], tmp_path: Path) -> None:
    """The first steps overflow; torch's fused step would then start from uninitialised memory."""
    recipe = replace(SMALL, precision="fp16", motion_weight=300.0)
    plain = weights(recipe, tiny_shards, tmp_path / "plain", max_steps=5)
    torch.empty(10_000_000).fill_(1e30)  # freed memory that is not zero
    assert_close(weights(recipe, tiny_shards, tmp_path / "fused", max_steps=5, fused=True), plain)


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


def test_out_of_memory_is_reported_in_one_line() -> None:
    with (
        pytest.raises(TrainingError, match=r"cuda:1 has too little memory \(no room\): give a smaller"),
        oom_as_training_error(torch.device("cuda:1")),
    ):
        raise torch.OutOfMemoryError("no room\nand much more")


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
