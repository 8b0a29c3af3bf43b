"""The network before its first step: the weights of the run, and the statistics of its clips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.coloured import CPU, SMALL, run
from helpers.shards import write_shard

from mas_labels.errors import TrainingError
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_train.cli.finetune import main as finetune_main
from mas_train.cli.pretrain import main as train_main
from mas_train.data.views import centre_view, take_views
from mas_train.training.curves import draw_curves
from mas_train.training.untrained import learn_statistics, untrained_weights
from mas_train.weights.backbone_weights import FINETUNED, Weights, known_recipe, load_weights

NETWORK = ["--backbone", "c3d-bn", "--width", 0.03125, "--init", "he", "--fc-width", 16, "--seed", 7]


def train_run(shards: list[Path], out: Path, *options: object) -> Path:
    small = [*SMALL, *NETWORK, "--batch-size", 4, "--no-curves"]
    assert run(train_main, "--shards", *shards, "--out", out, *small, *options) == 0
    return out


@pytest.fixture(scope="module")
def begun(tiny_shards: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step whose rate is too small to change a weight."""
    out = tmp_path_factory.mktemp("begun") / "run"
    return train_run(tiny_shards, out, "--lr", 1e-30, "--max-steps", 1)


def test_the_baseline_has_the_runs_own_initial_weights_and_learnt_statistics(
    begun: Path, tiny_shards: list[Path], test: ShardSet, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = load_weights(begun)
    before = untrained_weights(weights, test, CPU, 0)
    assert "clips of the run's training set" in capsys.readouterr().err
    ours, theirs = before.backbone.state_dict(), weights.backbone.state_dict()
    for name in ours:
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-20)
    variances = [value for name, value in ours.items() if name.endswith("running_var")]
    assert variances and all((value != 1).any() for value in variances)
    assert not before.backbone.training


def test_epochs_0_writes_that_network(begun: Path, tiny_shards: list[Path], tmp_path: Path) -> None:
    run_0 = train_run(tiny_shards, tmp_path / "run", "--epochs", 0)
    written = load_weights(run_0).backbone.state_dict()
    before = untrained_weights(load_weights(begun), open_shards(tiny_shards), CPU, 0).backbone.state_dict()
    assert all(torch.equal(written[name], before[name]) for name in written)


def test_fine_tuning_takes_an_epoch_or_more(
    begun: Path, tiny_shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--init", begun, "--shards", *tiny_shards, "--out", tmp_path / "tuned", "--epochs", 0, *SMALL]
    assert run(finetune_main, *args, "--batch-size", 4) == 1
    assert "expected one epoch or more" in capsys.readouterr().err


def test_statistics_are_the_mean_over_batches(begun: Path, tiny_shards: list[Path]) -> None:
    weights, shards = load_weights(begun), open_shards(tiny_shards)
    recipe = known_recipe(weights.recipe, batch_size=len(shards))
    assert learn_statistics(weights.backbone, recipe, shards, CPU, 0) == len(shards)
    first = next(m for m in weights.backbone.modules() if isinstance(m, torch.nn.BatchNorm3d))
    seen: list[torch.Tensor] = []
    handle = first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    frames = torch.stack([torch.from_numpy(shards[i].frames) for i in range(len(shards))])
    centre = torch.tensor(centre_view(shards.geometry)).expand(len(shards), 3)
    with torch.no_grad():
        weights.backbone(take_views(frames, centre, recipe.pixel_mean, shards.geometry))
    handle.remove()
    torch.testing.assert_close(first.running_mean, seen[0].mean(dim=(0, 2, 3, 4)), rtol=1e-3, atol=1e-2)
    assert first.momentum == 0.1


def test_other_clips_are_taken_and_told_where_the_runs_are_gone(
    begun: Path, test: ShardSet, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = load_weights(begun)
    weights.content["content_hashes"][:] = ["other"]
    untrained_weights(weights, test, CPU, 0)
    assert "at hand, since those of the run cannot be used (they are not known" in capsys.readouterr().err


def test_other_clips_are_taken_and_told_where_the_runs_are_damaged(
    tmp_path: Path, test: ShardSet, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = write_shard(tmp_path / "a.h5", clips=4)
    out = train_run([shard], tmp_path / "run", "--max-steps", 1)
    shard.write_bytes(shard.read_bytes()[:2000])
    untrained_weights(load_weights(out), test, CPU, 0)
    assert f"at hand, since those of the run cannot be used ({shard}" in capsys.readouterr().err


def test_filters_are_those_of_the_training_whose_shards_are_known(pretrained: Path, test: ShardSet) -> None:
    weights = load_weights(pretrained)
    recipe = {**weights.recipe, "backbone": "c3d-bn", "where": "class_name=none of these"}
    hashes = {"format": FINETUNED, "content_hashes": test.content_hashes, "pretraining": recipe}
    tuned = Weights(weights.backbone, {**recipe, "where": ""}, "tuned.pt", hashes)
    learnt = untrained_weights(tuned, test, CPU, 0).backbone.state_dict()
    assert (learnt["norms.0.running_var"] != 1).any()


def test_a_run_of_no_epochs_has_no_curves_and_says_that_nothing_is_measured(
    tiny_shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [*SMALL, *NETWORK, "--batch-size", 4, "--epochs", 0, "--holdout", "30%"]
    assert run(train_main, "--shards", *tiny_shards, "--out", tmp_path / "run", *small) == 0
    assert "held-out clips, measured never, as no step is taken" in capsys.readouterr().out
    with pytest.raises(TrainingError, match="expected metrics of one step or more"):
        draw_curves(tmp_path / "run")
