"""`--where`: training on chosen clips, as part of the recipe."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.coloured import SMALL, WIDTH, run
from helpers.equal import assert_same

from mas_labels.errors import CheckpointError, DatasetError, InputError, ShardError
from mas_labels.report.run_sections import run_sections
from mas_labels.shards import ShardSet, open_shards
from mas_train.cli.finetune import main as finetune_main
from mas_train.data.clips import label_blocks
from mas_train.data.holdout import hold_out
from mas_train.data.training_shards import choose_clips
from mas_train.model.loss import mean_label_losses
from mas_train.model.targets import TargetCode, count_label_values
from mas_train.recipe import make_recipe
from mas_train.runtime.processes import join_group
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import prepare, pretrain
from mas_train.weights.backbone_weights import load_weights
from mas_train.weights.checkpoint import list_checkpoints, load_checkpoint
from mas_train.weights.tensor_file import write_tensors

WHERE = "class_name=pan,min_motion=0.001"
RECIPE = make_recipe("ucf101", width=1 / 32, fc_width=16, batch_size=3, where=WHERE)


def options(shards: list[Path], out: Path, **changes: Any) -> TrainingOptions:
    return replace(TrainingOptions(shards, out, "cpu", workers=0, threads=1, curves=False), **changes)


def test_chosen_clips_alone_are_trained_on_and_measured(tiny_shards: list[Path], tmp_path: Path) -> None:
    shards = open_shards(tiny_shards)
    chosen = shards.where(class_name="pan", min_motion=0.001)
    recipe = replace(RECIPE, holdout=0.3, batch_size=2)
    with join_group() as group:
        run = prepare(recipe, options(tiny_shards, tmp_path, val_steps=1), group)
    assert run.measuring.heldout is not None
    seen = [(clip.video, clip.start_frame) for clip in (*run.dataset.shards, *run.measuring.heldout.clips)]
    assert sorted(seen) == sorted((clip.video, clip.start_frame) for clip in chosen)
    assert run.description.startswith(
        f"--where chose {len(chosen)} of 12 clips: class_name='pan', min_motion="
    )
    counts = count_label_values(label_blocks(run.dataset.shards))
    assert int(counts[:, 0].sum()) == len(run.dataset) * len(shards.views)
    assert torch.equal(run.baseline.total, mean_label_losses(TargetCode(recipe), counts).total)


def test_videos_without_a_chosen_clip_are_not_held_out(tiny_shards: list[Path]) -> None:
    part, _ = choose_clips(open_shards(tiny_shards), "video=pan/right.avi,video=zoom out/a b.avi")
    for seed in range(4):
        sizes = [len({clip.video for clip in half}) for half in hold_out(part, 0.4, seed)]
        assert sizes == [1, 1]


def test_a_run_resumes_with_the_same_filters_only(tiny_shards: list[Path], tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    lines: list[str] = []
    pretrain(RECIPE, options(tiny_shards, whole, max_steps=3), lines.append)
    assert "--where chose 6 of 12 clips" in lines[0]
    assert yaml.safe_load((whole / "config.yaml").read_text())["recipe"]["where"] == WHERE
    assert f"Its clips were chosen by <code>{WHERE}</code>." in run_sections(whole)[0]
    pretrain(RECIPE, options(tiny_shards, stopped, max_steps=2))
    with pytest.raises(CheckpointError, match=f"where was {re.escape(WHERE)}, is "):
        pretrain(replace(RECIPE, where=""), options(tiny_shards, stopped, resume=True))
    pretrain(RECIPE, options(tiny_shards, stopped, max_steps=3, resume=True))
    assert_same(*(load_checkpoint(list_checkpoints(run)[-1]) for run in (whole, stopped)))


def test_checkpoints_from_before_the_filters_resume(tiny_shards: list[Path], tmp_path: Path) -> None:
    recipe = replace(RECIPE, where="")
    pretrain(recipe, options(tiny_shards, tmp_path, max_steps=1))
    newest = list_checkpoints(tmp_path)[-1]
    content = load_checkpoint(newest)
    del content["recipe"]["where"]
    write_tensors(newest, content)
    assert pretrain(recipe, options(tiny_shards, tmp_path, max_steps=2, resume=True)).steps == 2


def test_filters_that_choose_nothing_or_cannot_be_used_are_refused(
    tiny_shards: list[Path], tmp_path: Path
) -> None:
    for where, error, message in (
        ("min_motion=1000", DatasetError, r"--where chose 0 of 12 clips: min_motion=1000\.0 in .*wider"),
        ("view=99,C=1", InputError, "expected a view from 0 to"),
        ("grid_ul=17", InputError, "expected whole numbers of grid_ul up to 16"),
    ):
        with pytest.raises(error, match=message):
            pretrain(replace(RECIPE, where=where), options(tiny_shards, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_shards_without_a_column_that_is_filtered_by_are_refused(train: ShardSet) -> None:
    with pytest.raises(ShardError, match=r"clips/motion is not stored: label again"):
        choose_clips(train, "min_motion=0.02")
    assert len(choose_clips(train, "class_name=red")[0]) < len(train)


def test_fine_tuning_learns_the_classes_of_the_chosen_clips(
    train: ShardSet, test: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--init",
        "scratch",
        "--width",
        WIDTH,
        "--fc-width",
        16,
        "--batch-size",
        4,
        "--epochs",
        1,
        *SMALL,
    ]
    command = ["--shards", *train.paths, "--test-shards", *test.paths, *options, "--out", tmp_path]
    assert run(finetune_main, *command, "--where", "class_name=red") == 0
    captured = capsys.readouterr()
    chosen = len(train.where(class_name="red"))
    assert captured.out.startswith(f"--where chose {chosen} of {len(train)} clips: class_name='red'\n")
    assert f"{chosen} clips of 4 videos in 1 classes" in captured.out
    assert "2 test videos of 1 classes without training videos are left out: 'blue'" in captured.err
    content = load_weights(tmp_path).content
    assert content["classes"] == ["red"] and content["recipe"]["where"] == "class_name=red"
    saved = json.loads((tmp_path / "accuracy.json").read_text())
    assert saved["weights"]["filters"] == ["class_name=red"]
    assert content["model"]["head.output.weight"].shape == (1, 16)
