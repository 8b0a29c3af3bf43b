"""Recipes, steps of training, metrics, and stopping."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode

from mas_labels.errors import ConfigError, TrainingError
from mas_labels.schema import METRICS_COLUMNS
from mas_labels.shards.shard_set import open_shards
from mas_train.data.clips import label_blocks
from mas_train.model.loss import Losses
from mas_train.recipe import PRESETS, Recipe, make_recipe
from mas_train.runtime.processes import choose_device
from mas_train.runtime.signals import Request, SignalRequests
from mas_train.training.metrics import MetricsLog, StepRecord, read_metrics
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain
from mas_train.training.step_queue import require_finite
from mas_train.weights.checkpoint import list_checkpoints, load_checkpoint

SMALL = make_recipe("ucf101", width=1 / 32, fc_width=16, batch_size=4)


def run(recipe: Recipe, shards: list[Path], out: Path, **options: object) -> list[dict[str, float]]:
    how = {"workers": 0, "threads": 1, "log_steps": 1, "curves": False, **options}
    pretrain(recipe, TrainingOptions(shards, out, "cpu", **how))
    return read_metrics(out)


def test_presets_are_the_papers() -> None:
    ucf101, kinetics = PRESETS["ucf101"], PRESETS["kinetics400"]
    assert (ucf101.batch_size, ucf101.learning_rate, ucf101.epochs, ucf101.lr_step_epochs) == (
        30,
        0.001,
        20,
        5,
    )
    assert (kinetics.batch_size, kinetics.learning_rate, kinetics.lr_step_epochs) == (30, 0.0005, 7)
    authors = PRESETS["authors"]
    assert (authors.learning_rate, authors.epochs, authors.lr_step_epochs, authors.appearance_weight) == (
        *(0.0005, 18, 6),
        0.1,
    )
    assert (authors.weight_decay, authors.weight_decay_on, authors.bias_rate) == (0.005, "fc", 2.0)
    assert ucf101.momentum == authors.momentum == 0.9 and ucf101.weight_decay == 0 and ucf101.bias_rate == 1
    rates = [ucf101.epoch_learning_rate(epoch) for epoch in (0, 4, 5, 9, 10, 15, 19)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-6, 1e-6])
    assert kinetics.epoch_learning_rate(6) == 5e-4 and kinetics.epoch_learning_rate(7) == pytest.approx(5e-5)


def test_warm_up_rises_evenly_then_the_schedule_begins() -> None:
    recipe = make_recipe("ucf101", learning_rate=0.6, epochs=6, warmup_epochs=2, schedule="cosine")
    rates = [recipe.epoch_learning_rate(epoch) for epoch in range(6)]
    half = 0.5**0.5
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.3 * (1 + half), 0.3, 0.3 * (1 - half)])


@pytest.mark.parametrize(
    "changes",
    [
        *({"learning_rate": -1.0}, {"learning_rate": float("nan")}, {"dropout": 1.0}, {"lr_decay": 2.0}),
        *({"targets": "motion-squares"}, {"holdout": 1.0}, {"backbone": "vgg"}, {"bias_rate": 0.0}),
        *({"batch_size": 0}, {"width": float("inf")}, {"momentum": 1.0}, {"seed": -1}, {"typo": 1}),
        *({"warmup_epochs": 20}, {"coding": "number", "orientation": "axis"}),
    ],
)
def test_invalid_recipes_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        make_recipe("ucf101", **changes)
    with pytest.raises(ConfigError, match="no preset"):
        make_recipe("imagenet")


def test_none_keeps_the_presets_value() -> None:
    assert make_recipe("kinetics400", batch_size=None, seed=4) == replace(PRESETS["kinetics400"], seed=4)


def test_a_run_writes_its_configuration_and_metrics(tiny_shards: list[Path], tmp_path: Path) -> None:
    rows = run(SMALL, tiny_shards, tmp_path / "a" / "run", max_steps=4)
    assert [row["step"] for row in rows] == [1, 2, 3, 4] and [row["epoch"] for row in rows] == [0, 0, 0, 1]
    labels = np.concatenate(list(label_blocks(open_shards(tiny_shards)))).reshape(-1, 27).astype(float)
    for row in rows:
        assert row["mean_label_loss_motion"] == pytest.approx(labels[:, :14].var(axis=0).mean(), rel=1e-5)
        assert row["mean_label_loss_appearance"] == pytest.approx(labels[:, 14:].var(axis=0).mean(), rel=1e-5)
        assert row["loss"] == pytest.approx(row["loss_motion"] + row["loss_appearance"], rel=1e-5)
        assert 0 <= row["waiting_share"] <= 1 and row["clips_per_second"] > 0
    config = yaml.safe_load((tmp_path / "a" / "run" / "config.yaml").read_text())
    assert config["recipe"]["learning_rate"] == 0.001 and config["environments"][0]["device"] == "cpu"
    assert [shard["content_hash"] for shard in config["shards"]] == open_shards(tiny_shards).content_hashes


def test_sgd_by_hand(tiny_shards: list[Path], tmp_path: Path) -> None:
    """Without momentum a step is as long as rate x gradient norm, and clipping bounds the latter."""
    for clip_norm in (0.0, 0.5):
        out = tmp_path / str(clip_norm)
        recipe = replace(SMALL, momentum=0.0, clip_grad_norm=clip_norm)
        (row,) = run(recipe, tiny_shards, out, max_steps=1)
        before, after = (load_checkpoint(path)["model"] for path in list_checkpoints(out))
        moved = torch.cat([(after[name] - before[name]).double().flatten() for name in before]).norm().item()
        assert row["grad_norm"] > 1  # clipping has an effect
        assert moved == pytest.approx(0.001 * (clip_norm or row["grad_norm"]), rel=1e-3)


def test_adamw_by_hand(tiny_shards: list[Path], tmp_path: Path) -> None:
    """The first step of each weight is the rate, whatever its gradient; the decay is apart from it."""
    recipe = replace(SMALL, optimizer="adamw", weight_decay=2.0)
    run(recipe, tiny_shards, tmp_path, max_steps=1)
    before, after = (load_checkpoint(path)["model"] for path in list_checkpoints(tmp_path))
    for name in ("backbone.convs.0.weight", "motion.output.weight"):
        moved = after[name] - before[name] * (1 - 0.001 * 2)
        torch.testing.assert_close(moved.abs(), torch.full_like(moved, 0.001), rtol=0.01, atol=0)


def test_the_loss_falls_towards_that_of_the_mean_label(tiny_shards: list[Path], tmp_path: Path) -> None:
    rows = run(replace(SMALL, fc_width=512), tiny_shards, tmp_path, max_steps=30)
    last = np.mean([row["loss"] for row in rows[-6:]])
    assert rows[0]["loss"] > 3 * last and last < 1.5 * rows[-1]["mean_label_loss"]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_clips(
    tiny_shards: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(
        TrainingError, match=r"step \d+: .*(nan|inf).* not finite: give a lower --lr"
    ) as caught:
        run(replace(SMALL, learning_rate=1e6), tiny_shards, tmp_path, max_steps=20)
    shards = open_shards(tiny_shards)
    named = [clip for clip in shards if f"{clip.video!r} from frame {clip.start_frame}" in str(caught.value)]
    assert len(named) == SMALL.batch_size
    weights = load_checkpoint(list_checkpoints(tmp_path)[-1])["model"]
    assert all(torch.isfinite(weight).all() for weight in weights.values())


def test_steps_between_rows_that_are_not_finite_reach_no_checkpoint_and_no_row(
    tiny_shards: list[Path], tmp_path: Path
) -> None:
    """Losses are read when a row is written: the error is the same, and so are the steps of the rows."""
    bad, errors = replace(SMALL, learning_rate=1e6), []
    late = {"log_steps": 50}
    for name, options in (("each", {}), ("rows", late), ("saved", {**late, "checkpoint_steps": 1})):
        with pytest.raises(TrainingError, match="is not finite") as caught:
            run(bad, tiny_shards, tmp_path / name, max_steps=20, **options)
        errors.append(str(caught.value))
        for path in list_checkpoints(tmp_path / name):
            content = load_checkpoint(path)
            assert content["step"] <= int(errors[0].split()[1].rstrip(":"))
            assert all(torch.isfinite(weight).all() for weight in content["model"].values())
    assert errors[0] == errors[1] == errors[2]
    each, one = (read_metrics(tmp_path / name) for name in ("each", "rows"))
    assert [row["step"] for row in one] == [each[-1]["step"]]
    assert one[0]["grad_norm"] == pytest.approx(np.mean([row["grad_norm"] for row in each]), rel=1e-5)


class CountedReads(TorchDispatchMode):
    """Counts the numbers that are read from tensors, for which a device has to finish its work."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.numbers += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_the_device(tiny_shards: list[Path], tmp_path: Path) -> None:
    """Losses, norms and checks are read with each row, so more steps in a row read no more numbers."""
    counts = []
    for steps in (2, 6):
        with CountedReads() as reads:
            run(SMALL, tiny_shards, tmp_path / str(steps), max_steps=steps, log_steps=50)
        counts.append(reads.numbers)
    assert counts[0] == counts[1] > 0


def test_a_gradient_is_guarded_though_the_loss_is_finite(tiny_shards: list[Path]) -> None:
    shards = open_shards(tiny_shards)
    require_finite((1.0, 2.0, 3.0), 5.0, 7, [0], shards)
    require_finite((1.0, 2.0, 3.0), math.nan, 7, [0], shards, may_skip=True)
    with pytest.raises(TrainingError, match="step 7: gradient norm nan"):
        require_finite((1.0, 2.0, 3.0), math.nan, 7, [0], shards)


def record(step: int, loss: float, seconds: float = 2.0) -> StepRecord:
    return StepRecord(step, 0, 0.1, (loss, 1.0, loss + 1.0), 3.0, 30, seconds, 0.5)


def test_rows_are_means_and_rows_after_a_checkpoint_are_removed(tmp_path: Path) -> None:
    baseline = Losses(torch.tensor(5.0), torch.tensor(6.0), torch.tensor(11.0))
    with MetricsLog(tmp_path, baseline, start_step=0, end_step=5, log_steps=2) as log:
        for step in range(1, 6):
            log.add(record(step, float(step), seconds=float(step)))
    rows = read_metrics(tmp_path)
    assert [row["step"] for row in rows] == [2, 4, 5] and [row["loss_motion"] for row in rows] == [
        1.5,
        3.5,
        5,
    ]
    assert rows[0]["mean_label_loss"] == 11 and rows[0]["loss"] == 2.5
    assert rows[0]["clips_per_second"] == 20 and rows[0]["waiting_share"] == pytest.approx(1 / 3, rel=1e-5)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("6,0,0.1,1")  # truncated by a kill
    with MetricsLog(tmp_path, baseline, start_step=4, end_step=5, log_steps=2):
        pass
    assert [row["step"] for row in read_metrics(tmp_path)] == [2, 4]
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == ",".join(METRICS_COLUMNS)


def test_tables_with_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,accuracy\n1,0.5\n")
    with pytest.raises(
        TrainingError, match=r"metrics\.csv is not a table of a run.*expected columns step,epoch"
    ):
        read_metrics(tmp_path)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_absent_is_refused_in_one_line(name: str) -> None:
    if {"cuda": torch.cuda, "mps": torch.backends.mps}[name].is_available():
        pytest.skip(f"{name} is here")
    with pytest.raises(
        ConfigError, match=f"--device {name} requested.*it finds cpu.*--device auto"
    ) as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)


def test_a_signal_requests_a_stop_and_a_second_one_exits() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with SignalRequests() as stop:
        assert stop.take() == Request.NOTHING
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGUSR1)
        assert [stop.take(), stop.take()] == [Request.SAVE, Request.NOTHING]
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.take() == Request.STOP and stop.signal_number == signal.SIGTERM
        with pytest.raises(SystemExit) as caught:
            os.kill(os.getpid(), signal.SIGTERM)
        assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
