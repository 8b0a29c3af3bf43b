"""A stopped or killed run resumes bit for bit, or reports why it cannot."""

from __future__ import annotations

import pickle
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.equal import assert_same

from mas_labels.errors import CheckpointError, ConfigError
from mas_train.recipe import make_recipe
from mas_train.training.metrics import read_metrics
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain
from mas_train.weights.checkpoint import checkpoint_path, list_checkpoints, load_checkpoint

# 12 clips: 3 steps per epoch, the learning rate falls after each, dropout uses the generator
RECIPE = make_recipe(
    "ucf101", width=1 / 32, fc_width=16, batch_size=5, epochs=3, lr_step_epochs=1, dropout=0.5, seed=3
)
STEPS = 9


def options(shards: list[Path], out: Path, **changes: Any) -> TrainingOptions:
    return replace(
        TrainingOptions(shards, out, "cpu", workers=0, threads=1, log_steps=1, curves=False), **changes
    )


@pytest.fixture(scope="module")
def uninterrupted(tiny_shards: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert pretrain(RECIPE, options(tiny_shards, out)).steps == STEPS
    return out


def assert_same_run(out: Path, whole: Path) -> None:
    assert_same(*(load_checkpoint(checkpoint_path(run, STEPS)) for run in (out, whole)))
    names = ("step", "epoch", "learning_rate", "loss", "loss_motion", "loss_appearance", "grad_norm")
    curves = [[[row[name] for name in names] for row in read_metrics(run)] for run in (out, whole)]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_stopped_run_resumes_bit_for_bit(
    stop: int, tiny_shards: list[Path], tmp_path: Path, uninterrupted: Path
) -> None:
    pretrain(RECIPE, options(tiny_shards, tmp_path, max_steps=stop))
    assert checkpoint_path(tmp_path, stop).exists()
    torch.manual_seed(99)  # any other state of the generator
    pretrain(RECIPE, options(tiny_shards, tmp_path, resume=True, max_steps=stop + 1))
    pretrain(RECIPE, options(tiny_shards, tmp_path, resume=True))
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize("workers", [1, 2, None])
def test_workers_change_no_bit(
    workers: int | None, tiny_shards: list[Path], tmp_path: Path, uninterrupted: Path
) -> None:
    pretrain(RECIPE, options(tiny_shards, tmp_path, workers=workers))
    assert_same_run(tmp_path, uninterrupted)


def test_the_comparison_can_fail(tiny_shards: list[Path], tmp_path: Path, uninterrupted: Path) -> None:
    pretrain(replace(RECIPE, seed=4), options(tiny_shards, tmp_path))
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path, uninterrupted)


def test_a_killed_run_resumes_bit_for_bit(
    tiny_shards: list[Path], tmp_path: Path, uninterrupted: Path
) -> None:
    settings = [
        "--width",
        str(1 / 32),
        "--fc-width",
        "16",
        "--batch-size",
        "5",
        "--epochs",
        "3",
        "--seed",
        "3",
    ]
    command = [sys.executable, "-m", "mas_train", "--shards", *map(str, tiny_shards), "--out", str(tmp_path)]
    how = [
        "--dropout",
        "0.5",
        "--threads",
        "1",
        "--workers",
        "0",
        "--checkpoint-steps",
        "2",
        "--device",
        "cpu",
    ]
    recipe = replace(RECIPE, lr_step_epochs=5)  # no option of the command line
    process = subprocess.Popen([*command, *settings, *how], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while not checkpoint_path(tmp_path, 4).exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.wait()
    newest = list_checkpoints(tmp_path)[-1]
    assert checkpoint_path(tmp_path, 4) <= newest
    pretrain(recipe, options(tiny_shards, tmp_path, resume=True))
    whole = tmp_path / "whole"
    pretrain(recipe, options(tiny_shards, whole))
    assert_same(*(load_checkpoint(checkpoint_path(run, STEPS)) for run in (tmp_path, whole)))
    assert not list((tmp_path / "checkpoints").glob(".*")), "a temporary file was left"


def test_a_folder_with_a_run_is_not_overwritten(tiny_shards: list[Path], uninterrupted: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in uninterrupted.rglob("*"))
    with pytest.raises(ConfigError, match=r"already holds a run.*--resume.*--out"):
        pretrain(RECIPE, options(tiny_shards, uninterrupted))
    assert sorted(path.stat().st_mtime_ns for path in uninterrupted.rglob("*")) == before


def test_nothing_to_resume_is_an_error(tiny_shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to resume"):
        pretrain(RECIPE, options(tiny_shards, tmp_path, resume=True))


def test_other_options_and_shards_are_refused_by_name(tiny_shards: list[Path], uninterrupted: Path) -> None:
    changed = replace(RECIPE, learning_rate=0.5, batch_size=4)
    with pytest.raises(CheckpointError, match=r"batch_size was 5, is 4; learning_rate was 0.001, is 0.5"):
        pretrain(changed, options(tiny_shards, uninterrupted, resume=True))
    with pytest.raises(CheckpointError, match="it had 2, now there are 1, 1 of them the same"):
        pretrain(RECIPE, options(tiny_shards[1:], uninterrupted, resume=True))
    with pytest.raises(CheckpointError, match="the same 2 in another order"):
        pretrain(RECIPE, options(tiny_shards[::-1], uninterrupted, resume=True))


def test_a_finished_run_has_nothing_left_to_do(tiny_shards: list[Path], uninterrupted: Path) -> None:
    result = pretrain(RECIPE, options(tiny_shards, uninterrupted, resume=True, max_steps=2))
    assert (result.steps, result.end_step, result.signal_number) == (STEPS, STEPS, None)


def test_a_changed_environment_is_reported(tiny_shards: list[Path], tmp_path: Path) -> None:
    pretrain(RECIPE, options(tiny_shards, tmp_path, max_steps=1))
    lines: list[str] = []
    pretrain(RECIPE, options(tiny_shards, tmp_path, resume=True, max_steps=2, threads=2), lines.append)
    assert any("threads 1 to 2" in line for line in lines)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a checkpoint ran code",))


@pytest.mark.parametrize(
    "content", [b"", b"garbage", pickle.dumps({"format": "mas-train-checkpoint"}, 2), "cut", "evil"]
)
def test_damaged_and_hostile_checkpoints_are_refused(
    content: bytes | str, uninterrupted: Path, tmp_path: Path
) -> None:
    path = tmp_path / "step-00000009.pt"
    if content == "evil":
        torch.save({"format": Evil()}, path)
    elif content == "cut":
        path.write_bytes(checkpoint_path(uninterrupted, STEPS).read_bytes()[:-2000])
    else:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="step-00000009"):
        load_checkpoint(path)


def test_other_files_and_newer_checkpoints_are_distinguished(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of mas-train"):
        load_checkpoint(path)
    torch.save({"format": "mas-train-checkpoint", "version": 4}, path)
    with pytest.raises(CheckpointError, match="version 4, this mas-train reads 2 and 3"):
        load_checkpoint(path)


def test_only_the_newest_checkpoints_are_kept(tiny_shards: list[Path], tmp_path: Path) -> None:
    pretrain(RECIPE, options(tiny_shards, tmp_path, max_steps=5, checkpoint_steps=1))
    assert list_checkpoints(tmp_path) == [checkpoint_path(tmp_path, 4), checkpoint_path(tmp_path, 5)]


def test_a_full_disk_leaves_the_checkpoints_there_are(
    tiny_shards: list[Path], tmp_path: Path, uninterrupted: Path
) -> None:
    pretrain(RECIPE, options(tiny_shards, tmp_path, max_steps=4))
    before = sorted((tmp_path / "checkpoints").iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # no file may grow past 20 kB
    try:
        with pytest.raises(CheckpointError, match=r"cannot write .*step-00000006.*--resume"):
            pretrain(RECIPE, options(tiny_shards, tmp_path, resume=True, checkpoint_steps=6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted((tmp_path / "checkpoints").iterdir()) == before
    pretrain(RECIPE, options(tiny_shards, tmp_path, resume=True))
    assert_same_run(tmp_path, uninterrupted)
