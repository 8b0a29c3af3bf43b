"""Weights of a backbone: from a run, from scratch, and from files without weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from helpers.coloured import WIDTH

from mas_labels.errors import CheckpointError
from mas_train.evaluation.results import describe_weights
from mas_train.recipe import make_recipe
from mas_train.weights.backbone_weights import SCRATCH, known_recipe, load_weights, weights_digest

COME_ALONG = Path(__file__).parents[2] / "results" / "small" / "weights"


def test_weights_of_a_run_equal_its_checkpoint(pretrained: Path) -> None:
    weights = load_weights(pretrained)
    saved = torch.load(sorted((pretrained / "checkpoints").glob("step-*.pt"))[-1], weights_only=True)
    for name, value in weights.backbone.state_dict().items():
        torch.testing.assert_close(value, saved["model"][f"backbone.{name}"], rtol=0, atol=0)
    assert weights.kind == "self-supervised" and weights.pretraining["preset"] == "ucf101"
    assert weights.pixel_mean == make_recipe("ucf101").pixel_mean and not weights.backbone.training


@pytest.mark.parametrize(("name", "key"), [("joint", "recipe"), ("joint-finetuned", "pretraining")])
def test_weights_that_name_the_coding_as_earlier_versions_did_are_loaded(
    name: str, key: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(COME_ALONG / name, tmp_path / name))
    config = json.loads((folder / "config.json").read_text())
    del config[key]["coding"]
    config[key]["orientation"] = "sin-cos"
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_weights(folder)
    assert weights.pretraining["coding"] == "sin-cos" and "orientation" not in weights.pretraining
    assert describe_weights(weights)["coding"] == "sin-cos"
    assert known_recipe({**weights.recipe, **weights.pretraining}).target_scale == "standard"


def test_weights_from_scratch_follow_the_seed() -> None:
    prints = [weights_digest(load_weights(SCRATCH, WIDTH, seed).backbone) for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_files_without_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        load_weights(tmp_path)
    (tmp_path / "some.pt").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_weights(tmp_path / "some.pt")
    torch.save({"weights": Path()}, tmp_path / "some.pt")
    with pytest.raises(CheckpointError, match="damaged, or holds more than tensors and plain"):
        load_weights(tmp_path / "some.pt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="C3D"):
        load_weights(tmp_path / "other.pt")


def test_a_recipe_that_only_earlier_versions_trained_is_read() -> None:
    """Its warm-up is as long as the training, which `make_recipe` refuses."""
    stored = {**asdict(make_recipe("ucf101")), "epochs": 2, "warmup_epochs": 2}
    recipe = known_recipe(stored)
    assert recipe.epoch_learning_rate(1) == pytest.approx(recipe.learning_rate * 2 / 3)
