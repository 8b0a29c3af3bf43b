"""Model cards: metadata that huggingface_hub reads, and text that states what is known and no more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.coloured import SMALL, WIDTH, run

from mas_labels.errors import DatasetError
from mas_labels.shards.shard_set import ShardSet
from mas_train.cli.export import main, read_figures
from mas_train.cli.finetune import main as finetune_main
from mas_train.cli.pretrain import main as train_main
from mas_train.evaluation.intervals import encode_right, format_interval, interval
from mas_train.model.backbones import make_backbone
from mas_train.weights.backbone_weights import load_weights, weights_digest
from mas_train.weights.public_layouts import to_public


def export(source: Path, out: Path, *options: object) -> tuple[dict[str, object], str]:
    """Run `mas-export`; return metadata and text of the card."""
    assert run(main, source, "--out", out, *options) == 0
    card = (out / "README.md").read_text(encoding="utf-8")
    _, metadata, text = card.split("---\n", 2)
    return yaml.safe_load(metadata), text


@pytest.fixture(scope="module")
def tuned(train: ShardSet, test: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run fine-tuned from random weights, with its accuracy."""
    out = tmp_path_factory.mktemp("runs") / "tuned"
    start = ["--init", "scratch", "--width", WIDTH, "--fc-width", 8, "--batch-size", 4, "--epochs", 1]
    shards = ["--shards", *train.paths, "--test-shards", *test.paths]
    assert run(finetune_main, *start, *shards, "--out", out, *SMALL) == 0
    return out


def test_huggingface_hub_accepts_the_metadata(tuned: Path, pretrained: Path, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    options = ("--results", tuned, "--license", "mit")
    for name, source, given in (("tuned", tuned, options), ("first", pretrained, ())):
        export(source, tmp_path / name, *given)
        data = hub.ModelCard.load(tmp_path / name / "README.md").data
        assert data.library_name == "mas-video" and "video" in data.tags
        if name == "first":
            assert data.license == "unknown" and data.pipeline_tag == "feature-extraction"
            assert data.eval_results is None and data.datasets is None  # "folder" is no data set of the Hub
            continue
        assert data.license == "mit" and data.pipeline_tag == "video-classification"
        figures = json.loads((tuned / "accuracy.json").read_text())["figures"]
        measured = {result.metric_name: result.metric_value for result in data.eval_results}
        assert measured == pytest.approx(figures) and data.model_name == "tuned"
        assert {result.dataset_name for result in data.eval_results} == {"folder, all"}


def test_the_text_says_what_is_known_and_what_is_not(
    tuned: Path, pretrained: Path, train: ShardSet, tmp_path: Path
) -> None:
    _, text = export(pretrained, tmp_path / "first")
    assert "No results were given" in text
    assert "- videos found by the manifest `folder`, split `all`: 6 videos, 12 clips." in text
    assert "not recorded in the shards" in text and "Steps of pre-training: 2." in text
    assert "grid_ul, grid_uo" in text and "learning_rate: 0.001" in text and "mas-export" in text
    _, text = export(tuned, tmp_path / "tuned", "--shards", *train.paths)
    assert "to tell 2 classes apart" in text and "Epochs of training: 1 of 1, with 100% of the labels" in text
    assert "`mas-predict videos/ --weights .`" in text and "split `all`: 8 videos" in text
    torch.save(to_public(make_backbone("c3d-large", 1 / 32).state_dict(), "large"), tmp_path / "some.pth")
    metadata, text = export(tmp_path / "some.pth", tmp_path / "public")
    assert "Nothing is known here of its training." in text and "The recipe is not known here." in text
    assert "Not known here: neither the data set nor its terms" in text and "datasets" not in metadata
    assert "less the mean 102, 98, 90, that of C3D's ports from Caffe (layout plain; its first conv" in text
    _, text = export(tmp_path / "public", tmp_path / "other", "--pixel-mean", 1, 2, 3)
    assert "less the mean 1, 2, 3, which was given in place of that of C3D's ports from Caffe (lay" in text
    _, text = export(tmp_path / "other", tmp_path / "third", "--pixel-mean", 4, 5, 6)
    assert "less the mean 4, 5, 6, which was given in place of that of C3D's ports" in text
    along = Path(__file__).parents[2] / "results" / "small" / "weights"
    for name in ("joint-best", "joint-finetuned"):
        _, text = export(along / name, tmp_path / name)
        assert "predicted in pre-training (coding `magnitudes`): grid_ul, " in text


def test_the_recipe_on_a_card_is_a_file_that_trains_the_same_again(
    tuned: Path, pretrained: Path, train: ShardSet, tiny_shards: list[Path], tmp_path: Path
) -> None:
    options = ["--max-steps", 2]
    for source, command, shards in (
        (pretrained, train_main, tiny_shards),
        (tuned, finetune_main, train.paths),
    ):
        _, text = export(source, tmp_path / source.name)
        ((line, content),) = re.findall(r"    (mas-.*)\n\n```yaml\n(.*?)```", text, flags=re.S)
        (tmp_path / line.split()[2]).write_text(content)
        words = ["--config", tmp_path / line.split()[2], "--shards", *shards, *line.split()[5:]]
        words[-1] = tmp_path / "again" / source.name
        assert run(command, *words, *options, *SMALL) == 0
        ours, theirs = load_weights(tmp_path / "again" / source.name), load_weights(source)
        assert weights_digest(ours.backbone) == weights_digest(theirs.backbone)
        assert dict(ours.recipe) == dict(theirs.recipe)
        options = []


def test_results_of_several_networks_are_joined_with_their_interval(tuned: Path, tmp_path: Path) -> None:
    result = json.loads((tuned / "accuracy.json").read_text())
    rights = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], np.float64)
    for seed, right in enumerate(rights):
        other = {**result, "figures": {"top-1": right.mean()}, "command": f"command {seed}"}
        other["weights"] = {**result["weights"], "seed": seed}
        other["random_initialisation"] = {"top-1": 0.5}
        other["outcomes"] = {**result["outcomes"], "right": {"top-1": encode_right(right)}}
        (tmp_path / f"seed{seed}").mkdir()
        (tmp_path / f"seed{seed}" / "accuracy.json").write_text(json.dumps(other))
    folders = ("--results", tmp_path / "seed0", tmp_path / "seed1")
    metadata, text = export(tuned, tmp_path / "model", *folders)
    title = "accuracy after fine-tuning with 100% of the labels"
    shown = format_interval(interval(rights, result["outcomes"]["groups"]))
    assert shown.startswith("70.0 [")
    assert f"| {title} | 5 of folder, all | top-1 | {shown} | 2 | 50.0 ± 0.0 |" in text
    assert "    command 0\n    command 1\n" in text
    (index,) = metadata["model-index"]  # type: ignore[misc]
    assert index["results"][0]["metrics"] == [{"type": "accuracy", "name": "top-1", "value": 0.7}]
    again = (tmp_path / "seed0", tmp_path / "seed0")  # one network, not two
    assert len(read_figures(again, load_weights(tuned))[0][0].values) == 1
    recipe = {**other, "weights": {**other["weights"], "recipe": "another"}}
    (tmp_path / "seed1" / "accuracy.json").write_text(json.dumps(recipe))
    with pytest.raises(DatasetError, match="expected networks of one recipe, measured alike, for accuracy"):
        read_figures((tmp_path / "seed0", tmp_path / "seed1"), load_weights(tuned))
    other = {**other, "weights": {**result["weights"], "seed": 0}}
    (tmp_path / "seed1" / "accuracy.json").write_text(json.dumps(other))
    with pytest.raises(DatasetError, match="expected one result of a network for accuracy after fine-tuning"):
        read_figures((tmp_path / "seed0", tmp_path / "seed1"), load_weights(tuned))


def test_facts_of_other_networks_are_refused(
    tuned: Path, pretrained: Path, test: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {
        ("--results", tuned): "--results: expected results of ('c3d', 0.03125, 'joint', 'number'), found",
        ("--results", tmp_path): "no results of mas-eval or mas-finetune",
        ("--shards", *test.paths): "--shards: expected the 2 shards that",
    }
    for given, message in options.items():
        assert run(main, pretrained, "--out", tmp_path / "out", *given) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
        assert not (tmp_path / "out").exists()
