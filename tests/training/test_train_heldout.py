"""Held-out clips: their choice, that they are never trained on, their scores, and the run's folder."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.shards import write_shard

from mas_labels.errors import ConfigError, MissingDependencyError
from mas_labels.schema import LABEL_NAMES
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_train.codings import LABEL_CODINGS
from mas_train.data.clips import ClipDataset, RunOrder, label_blocks
from mas_train.data.holdout import hold_out
from mas_train.data.loader import load_batches
from mas_train.model.heads import Predictions
from mas_train.model.targets import TargetCode, count_label_values
from mas_train.recipe import Recipe, make_recipe
from mas_train.training.heldout import HeldOutMonitor, choose_heldout_clips, read_heldout
from mas_train.training.metrics import read_metrics
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import open_run_data, pretrain
from mas_train.weights.checkpoint import (
    BEST_CHECKPOINT,
    CHECKPOINT_FOLDER,
    LAST_CHECKPOINT,
    TrainingState,
    list_checkpoints,
    load_checkpoint,
)

SMALL = make_recipe("ucf101", width=1 / 32, fc_width=16, batch_size=4, holdout=0.3)
CPU = torch.device("cpu")


def options(shards: list[Path], out: Path, **changes: Any) -> TrainingOptions:
    how = TrainingOptions(shards, out, "cpu", workers=0, threads=1, log_steps=1, val_steps=2, curves=False)
    return replace(how, **changes)


def places(part: ShardSet) -> set[tuple[str, int]]:
    return {(clip.video, clip.start_frame) for clip in part}


@pytest.mark.parametrize(("share", "videos"), [(0.01, 1), (0.3, 2), (0.8, 5)])
def test_videos_are_held_out_whole(share: float, videos: int, tiny_shards: list[Path]) -> None:
    shards = open_shards(tiny_shards)
    training, held_out = hold_out(shards, share, seed=1)
    everything = {(clip.video, clip.start_frame) for clip in shards}
    assert places(training) | places(held_out) == everything and not places(training) & places(held_out)
    assert not {clip.video for clip in training} & {clip.video for clip in held_out}
    assert len({clip.video for clip in held_out}) == videos
    for part in (training, held_out):
        assert len(part) == sum(part.lengths) == len(list(part))
        expected = [clip.view_labels for clip in part]
        np.testing.assert_array_equal(np.concatenate(list(label_blocks(part))), expected)


def test_very_many_shards_are_not_kept_open_before_training(
    tiny_shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mas_labels.shards.shard_set.KEPT_OPEN_SHARDS", 1)
    shards = open_shards(tiny_shards)
    training, _ = hold_out(shards, 0.3, seed=0)
    assert sum(map(len, label_blocks(training))) == len(training)
    assert len(shards._pool) == 0


def test_the_held_out_videos_depend_on_the_seed_alone(tiny_shards: list[Path]) -> None:
    drawn = [places(hold_out(open_shards(tiny_shards), 0.3, seed)[1]) for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1] and len(set(map(frozenset, drawn))) > 1
    backwards = places(hold_out(open_shards(tiny_shards[::-1]), 0.3, 0)[1])
    assert backwards == drawn[0]


def test_videos_of_one_recording_stay_together(
    tiny_shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = open_shards(tiny_shards)
    for number in range(2):
        shard = shards.shard(number)
        read = shard.read_texts
        monkeypatch.setattr(
            shard,
            "read_texts",
            lambda path, read=read: ["g1" for _ in read(path)] if "group" in path else read(path),
        )
    _, held_out = hold_out(shards, 0.5, seed=0)  # two classes of one group each: one of them
    classes = {clip.class_name for clip in held_out}
    assert len(classes) == 1 and {clip.video for clip in held_out} == {
        clip.video for clip in shards if clip.class_name in classes
    }


def test_held_out_shards_of_training_videos_are_told(tmp_path: Path) -> None:
    training, held_out = (write_shard(tmp_path / f"{n}.h5", clips=n) for n in (2, 3))
    how = options([training], tmp_path / "run", val_shards=[held_out])
    *_, lines = open_run_data(replace(SMALL, holdout=0.0), how)
    assert lines[0].startswith("warning: 1 videos are in the training and in the held-out shards, such as")


def test_nothing_left_to_train_on_is_refused(tiny_shards: list[Path]) -> None:
    with pytest.raises(ConfigError, match=r"--holdout 0.99 of 6 videos .* leaves none to train on"):
        hold_out(open_shards(tiny_shards), 0.99, 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_held_out_clips_are_never_read_for_training(workers: int, tiny_shards: list[Path]) -> None:
    training, held_out = hold_out(open_shards(tiny_shards), 0.3, seed=0)
    order = RunOrder(training.lengths, make_recipe("ucf101", batch_size=2, epochs=1))
    seen = {
        frames.numpy().tobytes()
        for batch in load_batches(ClipDataset(training), order, workers, CPU)
        for frames in batch.frames
    }
    assert seen == {clip.frames.tobytes() for clip in training}
    assert not seen & {clip.frames.tobytes() for clip in held_out}


class Oracle(torch.nn.Module):
    """Answers with given outputs, clip after clip."""

    def __init__(self, answers: Predictions) -> None:
        super().__init__()
        self.answers, self.at = answers, 0

    def forward(self, clips: torch.Tensor) -> Predictions:
        assert clips.shape[1:] == (3, 16, 112, 112) and not self.training
        rows = slice(self.at, self.at + len(clips))
        self.at += len(clips)
        return Predictions(*(answer[rows] for answer in self.answers))


def measure(answers: Predictions, recipe: Recipe, shards: list[Path]) -> dict[str, Any]:
    training, held_out = hold_out(open_shards(shards), 0.5, seed=0)
    counts = count_label_values(label_blocks(training))
    code = TargetCode(recipe, counts)
    state = TrainingState(Oracle(answers), None, code)  # type: ignore[arg-type]
    heldout = HeldOutMonitor(choose_heldout_clips([held_out], 1000), recipe, code, counts, every_steps=1)
    scores, is_best = heldout.measure(state, CPU)
    assert is_best and state.model.training
    return {score.label: score for score in scores}


def centre_labels(shards: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Labels of all views of the training part, and of the held-out part's centre views."""
    training, held_out = hold_out(open_shards(shards), 0.5, seed=0)
    rows = np.concatenate([clip.view_labels for clip in training]).astype(float)
    return rows, np.array([clip.view_labels[0] for clip in held_out]).astype(float)


def test_scores_by_hand(tiny_shards: list[Path]) -> None:
    recipe = make_recipe("ucf101", appearance_weight=0.5, batch_size=4)
    training, truth = centre_labels(tiny_shards)
    lines = torch.from_numpy(truth + np.random.default_rng(0).normal(0, 1, truth.shape)).float()
    scores = measure(Predictions(lines[:, :14], lines[:, 14:]), recipe, tiny_shards)
    errors = np.square(lines.numpy() - truth).mean(axis=0)
    constant = np.square(training.mean(axis=0) - truth).mean(axis=0)
    assert len(scores) == 30
    for place, name in enumerate(LABEL_NAMES):
        score, variance = scores[name], truth[:, place].var()
        assert score.loss == pytest.approx(errors[place], rel=1e-4)
        assert score.mean_label_loss == pytest.approx(constant[place], rel=1e-4, abs=1e-6)
        if variance > 0:
            assert score.r2 == pytest.approx(1 - errors[place] / variance, rel=1e-3)
        else:
            assert np.isnan(score.r2)
        values, counts = np.unique(training[:, place], return_counts=True)
        assert score.mode_accuracy == pytest.approx(np.mean(truth[:, place] == values[counts.argmax()]))
    assert scores["total"].loss == pytest.approx(errors[:14].mean() + 0.5 * errors[14:].mean(), rel=1e-4)
    assert scores["motion"].loss == pytest.approx(errors[:14].mean(), rel=1e-4)


@pytest.mark.parametrize("coding", tuple(LABEL_CODINGS))
def test_scores_of_a_perfect_prediction_and_of_the_mean_label(coding: str, tiny_shards: list[Path]) -> None:
    recipe = make_recipe("ucf101", target_scale="standard", coding=coding, batch_size=4)
    training, held_out = hold_out(open_shards(tiny_shards), 0.5, seed=0)
    counts = count_label_values(label_blocks(training))
    code = TargetCode(recipe, counts)
    rows = torch.from_numpy(np.array([clip.view_labels[0] for clip in held_out]))
    exact = []
    for branch in code.branches:
        bins = rows[:, branch.columns[branch.classified]].long() - 1
        scores = 50.0 * torch.nn.functional.one_hot(bins, 8).flatten(1)
        exact.append(torch.cat([branch.encode(rows), scores], dim=1))
    perfect = measure(Predictions(*exact), recipe, tiny_shards)
    mean = measure(
        Predictions(*(b.best_constant(counts).expand(len(rows), -1) for b in code.branches)),
        recipe,
        tiny_shards,
    )
    for name in LABEL_NAMES:
        assert perfect[name].accuracy == 1 and perfect[name].loss == pytest.approx(0, abs=1e-6)
        assert np.isnan(perfect[name].r2) or perfect[name].r2 == pytest.approx(1, abs=1e-4)
        assert mean[name].loss == pytest.approx(mean[name].mean_label_loss, rel=1e-4, abs=1e-6)
        assert np.isnan(mean[name].r2) or mean[name].r2 <= 1e-6


def test_a_run_folder_holds_scores_checkpoints_and_curves(tiny_shards: list[Path], tmp_path: Path) -> None:
    lines: list[str] = []
    pretrain(SMALL, options(tiny_shards, tmp_path, max_steps=5, curves=True), lines.append)
    rows = read_heldout(tmp_path)
    assert [row["step"] for row in rows if row["label"] == "total"] == [2, 4, 5]
    assert [row["label"] for row in rows[:30]] == [*LABEL_NAMES, "motion", "appearance", "total"]
    with (tmp_path / "heldout.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 90
    totals = {row["step"]: row["loss"] for row in rows if row["label"] == "total"}
    best = min(totals, key=totals.get)
    checkpoints = tmp_path / CHECKPOINT_FOLDER
    assert load_checkpoint(checkpoints / BEST_CHECKPOINT)["step"] == best
    assert load_checkpoint(checkpoints / LAST_CHECKPOINT)["step"] == 5
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    training, held_out = hold_out(open_shards(tiny_shards), 0.3, 0)
    assert f"{len(training)} clips in 2 shards" in lines[0] and f"{len(held_out)} held-out clips" in lines[1]


def test_measuring_changes_no_weight(tiny_shards: list[Path], tmp_path: Path) -> None:
    """Dropout draws from the generator, batch norm has running statistics: both must be left alone."""
    recipe = replace(SMALL, dropout=0.5, backbone="c3d-bn")
    for name, steps in (("often", 1), ("once", 1000)):
        pretrain(recipe, options(tiny_shards, tmp_path / name, max_steps=3, val_steps=steps), str)
    one, other = (load_checkpoint(list_checkpoints(tmp_path / name)[-1]) for name in ("often", "once"))
    assert one["model"].keys() == other["model"].keys()
    assert all(torch.equal(one["model"][key], other["model"][key]) for key in one["model"])


def test_a_resumed_run_continues_its_table_and_best_checkpoint(
    tiny_shards: list[Path], tmp_path: Path
) -> None:
    recipe = replace(SMALL, target_scale="standard", coding="sin-cos", backbone="c3d-bn")
    pretrain(recipe, options(tiny_shards, tmp_path / "whole", max_steps=4), str)
    link = tmp_path / "parts" / CHECKPOINT_FOLDER / BEST_CHECKPOINT
    for steps, resume in ((3, False), (3, True), (4, True)):
        pretrain(recipe, options(tiny_shards, tmp_path / "parts", max_steps=steps, resume=resume), str)
        assert load_checkpoint(link)["step"] == steps  # the loss falls with each
        if not resume:
            link.unlink()  # as if killed between checkpoint and link
    lines = [(tmp_path / name / "heldout.csv").read_text().splitlines() for name in ("whole", "parts")]
    assert lines[0] == [row for row in lines[1] if not row.startswith("3,")]  # a part's last step is measured
    content = [load_checkpoint(list_checkpoints(tmp_path / name)[-1]) for name in ("whole", "parts")]
    for part in ("model", "targets"):
        assert all(torch.equal(content[0][part][key], content[1][part][key]) for key in content[0][part])
    assert content[0]["targets"]["motion.deviation"].min() > 0
    rows = read_heldout(tmp_path / "parts")
    best = min((row["loss"], row["step"]) for row in rows if row["label"] == "total")[1]
    assert load_checkpoint(tmp_path / "parts" / CHECKPOINT_FOLDER / BEST_CHECKPOINT)["step"] == best


def test_the_best_checkpoint_is_kept(tiny_shards: list[Path], tmp_path: Path) -> None:
    """With a rate so high that the loss jumps, the best is neither of the newest two."""
    recipe = replace(SMALL, learning_rate=0.02, momentum=0.0, clip_grad_norm=50.0, initialisation="he")
    pretrain(recipe, options(tiny_shards, tmp_path, max_steps=5, val_steps=1, checkpoint_steps=1), str)
    totals = [row["loss"] for row in read_heldout(tmp_path) if row["label"] == "total"]
    best = int(np.argmin(totals)) + 1
    kept = [int(path.stem[5:]) for path in list_checkpoints(tmp_path)]
    assert (
        best < 4
        and kept == [best, 4, 5]
        and load_checkpoint(tmp_path / CHECKPOINT_FOLDER / BEST_CHECKPOINT)["step"] == best
    )


def test_other_shards_to_validate_on(tiny_shards: list[Path], tmp_path: Path) -> None:
    recipe = replace(SMALL, holdout=0.0)
    changed = options(tiny_shards[:1], tmp_path, max_steps=1, val_shards=tiny_shards[1:], val_clips=3)
    pretrain(recipe, changed, str)
    assert {row["clips"] for row in read_heldout(tmp_path)} == {3.0}
    with pytest.raises(ConfigError, match=r"is in --shards and in --val-shards: leave it out of one"):
        pretrain(recipe, options(tiny_shards, tmp_path / "b", val_shards=tiny_shards[1:]), str)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("targets", ["appearance", "motion-rings"])
def test_a_run_on_some_labels_writes_only_these(
    targets: str, tiny_shards: list[Path], tmp_path: Path
) -> None:
    pretrain(replace(SMALL, targets=targets), options(tiny_shards, tmp_path, max_steps=2), str)
    kind, other = ("appearance", "motion") if targets == "appearance" else ("motion", "appearance")
    labels = {row["label"] for row in read_heldout(tmp_path)}
    assert kind in labels and other not in labels and len(labels) == (15 if targets == "appearance" else 6)
    row = read_metrics(tmp_path)[-1]
    assert row[f"loss_{other}"] == row[f"mean_label_loss_{other}"] == 0 < row[f"loss_{kind}"] == row["loss"]


def test_tensorboard_events_equal_the_tables(tiny_shards: list[Path], tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pretrain(SMALL, options(tiny_shards, tmp_path, max_steps=3, tensorboard=True), str)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for name, rows in (("train/loss", read_metrics(tmp_path)), ("heldout_r2/ui", read_heldout(tmp_path))):
        kept = [row for row in rows if row.get("label", "ui") == "ui"]
        values = [(event.step, event.value) for event in events.Scalars(name)]
        expected = [(row["step"], row["loss" if "loss" in name else "r2"]) for row in kept]
        assert values == [(step, pytest.approx(value, rel=1e-4)) for step, value in expected]


def test_missing_extras_are_reported_in_one_line(
    tiny_shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorboard", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"pip install .mas-video\[tensorboard\]"):
        pretrain(SMALL, options(tiny_shards, tmp_path / "a", tensorboard=True), str)
    assert not (tmp_path / "a").exists()
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match="torchvision, which cannot be imported here"):
        pretrain(replace(SMALL, backbone="s3d", width=1.0), options(tiny_shards, tmp_path / "a"), str)
    assert not (tmp_path / "a").exists()
    lines: list[str] = []
    pretrain(SMALL, options(tiny_shards, tmp_path / "b", max_steps=1, curves=True), lines.append)
    assert any(line.startswith("no learning curves drawn: pictures need matplotlib") for line in lines)
