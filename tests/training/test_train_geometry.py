"""Clips of another geometry than the paper's: trained on, resumed, fine-tuned, tested, exported."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from helpers.coloured import SMALL, WIDTH, run
from helpers.equal import assert_same

from mas_labels.errors import ConfigError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.shards import ShardSet, open_shards
from mas_train.cli.evaluate import main as eval_main
from mas_train.cli.finetune import main as finetune_main
from mas_train.cli.pretrain import main as train_main
from mas_train.training.heldout import require_comparable
from mas_train.weights.backbone_weights import load_weights
from mas_train.weights.checkpoint import list_checkpoints, load_checkpoint
from mas_train.weights.export import export_weights

NETWORK = ["--fc-width", 16, "--batch-size", 4, *SMALL]


@pytest.fixture(scope="module")
def shards(small: ShardSet) -> ShardSet:
    return small


def train(shards: ShardSet, out: Path, steps: int, *more: object) -> Path:
    options = ["--width", WIDTH, "--holdout", "20%", "--max-steps", steps, "--no-curves", *more, *NETWORK]
    assert run(train_main, "--shards", *shards.paths, "--out", out, *options) == 0
    return out


@pytest.fixture(scope="module")
def trained(shards: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(shards, tmp_path_factory.mktemp("runs") / "whole", 3)


def test_a_run_records_the_geometry_and_resumes_bit_for_bit(
    shards: ShardSet, trained: Path, tmp_path: Path
) -> None:
    assert shards[0].frames.shape == (8, 60, 80, 3)
    train(shards, tmp_path / "stopped", 2)
    train(shards, tmp_path / "stopped", 3, "--resume")
    whole, resumed = (load_checkpoint(list_checkpoints(out)[-1]) for out in (trained, tmp_path / "stopped"))
    assert_same(whole, resumed)
    geometry = Geometry(8, 2, 60, 80, 56, 14, 7)
    assert shards.geometry == geometry and whole["geometry"] == asdict(geometry)
    assert yaml.safe_load((trained / "config.yaml").read_text())["geometry"] == asdict(geometry)
    assert whole["model"]["motion.fc6.weight"].shape == (16, int(256 * WIDTH) * 4)


def test_a_file_from_before_geometries_has_the_default(pretrained: Path, trained: Path) -> None:
    content = {name: value for name, value in load_weights(trained).content.items() if name != "geometry"}
    old = load_weights(pretrained)
    assert old.geometry == DEFAULT_GEOMETRY == type(old)(old.backbone, old.recipe, "", content).geometry


def test_a_fine_tuned_network_refuses_clips_that_its_layers_do_not_take(
    shards: ShardSet, trained: Path, test: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned, paths = tmp_path / "tuned", shards.paths
    options = ["--init", trained, "--epochs", 1, "--out", tuned, *NETWORK]
    assert run(finetune_main, "--shards", *paths, "--test-shards", *paths, *options) == 0
    assert load_weights(tuned).geometry == shards.geometry
    capsys.readouterr()
    found = ["--checkpoint", tuned, "--shards", *test.paths, "--out", tmp_path / "result", *SMALL]
    assert run(eval_main, "accuracy", *found) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "expected clips of 8 frames of 56 x 56 pixels, as in training, found 16 frames of 112 x 112" in line
    )
    assert "label the test videos with the options of the training videos" in line


def test_features_of_two_geometries_are_compared_where_they_have_one_length(
    shards: ShardSet,
    trained: Path,
    tiny_shards: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["retrieval", "--checkpoint", trained, "--gallery", *shards.paths, "--shards", *tiny_shards]
    command += ["--no-baseline", "--out", tmp_path / "result", *SMALL]
    assert run(eval_main, *command, "--features", "pooled") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "found 32 for 8 frames of 56 x 56 pixels and 128 for 16 frames of 112 x 112 pixels" in line
    assert run(eval_main, *command, "--features", "mean") == 0
    leak = "copies of training videos were not searched for: frames of 60 x 80 and 128 x 171"
    assert leak in (tmp_path / "result" / "retrieval.json").read_text()


def test_attention_is_drawn_in_the_geometry_of_the_clips(
    shards: ShardSet, trained: Path, tmp_path: Path
) -> None:
    options = ["--checkpoint", trained, "--shards", *shards.paths, "--out", tmp_path / "a.png", *SMALL]
    assert run(eval_main, "attention", *options) == 0 and (tmp_path / "a.png").exists()


def test_an_export_takes_the_clips_that_the_network_was_trained_on(
    shards: ShardSet, trained: Path, tmp_path: Path
) -> None:
    export_weights(trained, tmp_path / "weights")
    (tmp_path / "weights" / "model.safetensors").rename(tmp_path / "single.safetensors")
    for source in (tmp_path / "single.safetensors", trained):
        assert load_weights(source).geometry == shards.geometry


def test_held_out_shards_have_the_geometry_of_the_training_shards(
    shards: ShardSet, tiny_shards: list[Path]
) -> None:
    with pytest.raises(
        ConfigError, match=r"--val-shards were made with Geometry\(clip_frames=8.*label one set"
    ):
        require_comparable(shards, open_shards(tiny_shards))
