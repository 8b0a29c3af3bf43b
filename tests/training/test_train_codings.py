"""Training with every coding: the loss falls, a run resumes with the same bits, and its noise is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mas_labels.shards import open_shards
from mas_train.codings import CODINGS, LABEL_CODINGS
from mas_train.data.clips import ClipBatch, ClipDataset
from mas_train.data.views import take_views
from mas_train.model.heads import Predictions
from mas_train.model.loss import pretext_loss
from mas_train.model.targets import TargetCode, count_label_values
from mas_train.recipe import make_recipe, with_defaults
from mas_train.training.heldout import read_heldout
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain
from mas_train.training.target_statistics import heldout_targets, moved_view, training_statistics
from mas_train.weights.checkpoint import list_checkpoints, load_checkpoint

SMALL = make_recipe(
    "ucf101",
    backbone="c3d-bn",
    width=1 / 32,
    fc_width=16,
    batch_size=4,
    input_stride=2,
    initialisation="he",
    learning_rate=0.02,
    target_scale="standard",
)


def options(shards: list[Path], out: Path, **changes: Any) -> TrainingOptions:
    how = TrainingOptions(shards, out, "cpu", 0, 1, log_steps=1, val_steps=100, curves=False)
    return replace(how, **changes)


@pytest.fixture(scope="module")
def batch(tiny_shards: list[Path]) -> ClipBatch:
    """Every clip of a few videos, with Mu and Mv."""
    dataset = ClipDataset(open_shards(tiny_shards), with_boundaries=True)
    batch = dataset.empty_batch(len(dataset))
    dataset.read_into(batch, range(len(dataset)))
    return batch


@pytest.mark.parametrize("coding", CODINGS)
def test_a_network_learns_a_few_clips_with_every_coding(
    coding: str, batch: ClipBatch, tiny_shards: list[Path]
) -> None:
    shards, recipe = open_shards(tiny_shards), replace(SMALL, coding=coding)
    table, rows = torch.from_numpy(shards.views.astype(np.int64)), torch.arange(len(batch.frames)) * 3
    clips = take_views(batch.frames, table[rows], recipe.pixel_mean, shards.geometry)
    code = TargetCode(recipe)
    targets = code.targets(batch, rows, table[rows], clips)
    code.standardise(code.statistics(targets))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    outputs = [branch.outputs for branch in code.branches]
    inputs = clips[:, :, ::8, ::8, ::8].flatten(1) / 64
    network = torch.nn.Sequential(
        torch.nn.Linear(inputs.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, sum(outputs))
    )
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        losses.append(pretext_loss(Predictions(*network(inputs).split(outputs, dim=1)), targets, code).total)
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def test_a_run_with_dense_targets_resumes_and_measures_them(tiny_shards: list[Path], tmp_path: Path) -> None:
    recipe = replace(SMALL, coding="dense", holdout=0.3)
    pretrain(recipe, options(tiny_shards, tmp_path / "whole", max_steps=2, accumulate=2), str)
    for steps, resume in ((1, False), (2, True)):
        changes = {"max_steps": steps, "resume": resume, "accumulate": 2, "workers": 1}
        pretrain(recipe, options(tiny_shards, tmp_path / "parts", **changes), str)
    content = [load_checkpoint(list_checkpoints(tmp_path / name)[-1]) for name in ("whole", "parts")]
    for part in ("model", "targets"):
        assert all(torch.equal(content[0][part][key], content[1][part][key]) for key in content[0][part])
    rows = {row["label"]: row for row in read_heldout(tmp_path / "whole")}
    assert list(rows)[:2] == ["grid_um", "grid_ua"] and list(rows)[-3:] == ["motion", "appearance", "total"]
    assert len(rows) == 18 + 3 and np.isnan(rows["grid_um"]["accuracy"])
    assert 0.5 < rows["grid_um"]["moved_r2"] < 1 and rows["grid_um"]["moved_pixels"] == 3


@pytest.mark.parametrize("coding", LABEL_CODINGS)
def test_noise_is_the_score_of_the_moved_views_labels(coding: str, tiny_shards: list[Path]) -> None:
    recipe = replace(SMALL, coding=coding)
    shards = open_shards(tiny_shards)
    row, pixels = moved_view(shards.views)
    assert shards.views[row].tolist() == [8, 32, 0] and pixels == 3
    clips = [shards[number] for number in range(len(shards))]
    code = TargetCode(recipe, training_statistics(TargetCode(recipe), ClipDataset(shards), recipe))
    found = heldout_targets(clips, code, recipe)
    for targets, view in ((found.centre, 0), (found.moved, row)):
        np.testing.assert_array_equal(targets, [clip.view_labels[view] for clip in clips])
    for branch in code.branches:
        same = branch.agree(found.centre, found.moved)
        equal = found.centre[:, branch.columns] == found.moved[:, branch.columns]
        assert (same >= equal).all() and (coding in ("axis", "recoded") or torch.equal(same, equal.float()))
        encoded = [branch.encode(targets) for targets in (found.centre, found.moved)]
        losses = branch.distances(found.centre, found.moved)
        if not branch.classified:
            outputs = encoded[1]  # the moved view's numbers as a prediction
            torch.testing.assert_close(losses, branch.losses(outputs, found.centre))
    assert torch.equal(code.statistics(found.centre), count_label_values([found.centre.numpy()]))


def test_views_without_another_have_no_noise() -> None:
    assert moved_view(np.array([[8, 29, 0], [8, 29, 1]], np.int16)) == (0, 0)
    assert moved_view(np.array([[8, 29, 0], [8, 30, 0], [8, 27, 1], [9, 31, 0]], np.int16)) == (3, 2)


def test_recipes_of_earlier_versions_have_their_orientation_as_coding() -> None:
    stored = {"preset": "ucf101", "learning_rate": 0.1, "lr_step_epochs": 5, "orientation": "sin-cos"}
    assert with_defaults(stored)["coding"] == "sin-cos" and "orientation" not in with_defaults(stored)
    assert make_recipe("ucf101", orientation="classes") == make_recipe("ucf101", coding="classes")
