"""Weights folders where weights are used: accuracy, leaks, fine-tuning, modules for one's own programs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coloured import SMALL, WIDTH, run

import mas_train
from mas_labels.errors import CheckpointError, InputError
from mas_labels.shards.shard_set import ShardSet
from mas_train.cli.evaluate import main as eval_main
from mas_train.cli.finetune import main as finetune_main
from mas_train.data.leakage import VideoNames, name_digest, shared_names
from mas_train.data.views import centre_view, take_views
from mas_train.evaluation.results import read_results
from mas_train.weights.backbone_weights import load_classifier, load_weights
from mas_train.weights.export import export_weights
from mas_train.weights.tensor_file import write_tensors
from mas_train.weights.weights_folder import VIDEOS_FILE

TUNED = ["--epochs", 1, "--batch-size", 4, *SMALL]


@pytest.fixture(scope="module")
def folders(train: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Fine-tuned runs, of three layers and of a linear one, and the folders exported of them."""
    root, made = tmp_path_factory.mktemp("tuned"), {}
    for name, options in {"whole": ["--fc-width", 8], "linear": ["--freeze"]}.items():
        made[name] = root / name, root / f"{name}-weights"
        start = ["--init", "scratch", "--width", WIDTH, "--shards", *train.paths, "--out", root / name]
        assert run(finetune_main, *start, *options, *TUNED) == 0
        export_weights(*made[name])
    return made


@pytest.mark.parametrize("name", ["whole", "linear"])
def test_accuracy_of_a_folder_is_that_of_its_run(
    name: str, folders: dict[str, tuple[Path, Path]], test: ShardSet, tmp_path: Path
) -> None:
    found = []
    for source in folders[name]:
        out = tmp_path / source.name
        args = ["accuracy", "--checkpoint", source, "--shards", *test.paths, "--out", out, *SMALL]
        assert run(eval_main, *args) == 0
        (result,) = read_results([out])
        described = {key: value for key, value in result.weights.items() if key != "source"}
        found.append((result.figures, result.details, described))
    assert found[0] == found[1] and found[0][2]["kind"] == "supervised"
    models = [load_classifier(load_weights(source)).state_dict() for source in folders[name]]
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])


def test_leaks_are_found_by_digests_and_not_denied_without_them(
    folders: dict[str, tuple[Path, Path]], train: ShardSet, tmp_path: Path
) -> None:
    _, folder = folders["whole"]
    lines = (folder / VIDEOS_FILE).read_text()
    assert "avi" not in lines and len(lines.splitlines()) == len(train.videos)
    for expected in ("8 videos are in the training", "leaks are not known"):
        out = tmp_path / expected[:3]
        args = ["accuracy", "--checkpoint", folder, "--shards", *train.paths, "--out", out, *SMALL]
        assert run(eval_main, *args) == 0
        (leak,) = read_results([out])[0].details["leaks"]
        assert leak.startswith(expected)
        (folder / VIDEOS_FILE).unlink(missing_ok=True)
    (folder / VIDEOS_FILE).write_text(lines)


def test_digests_stand_for_names_as_they_are_compared() -> None:
    paths, groups = {"a/B_1.avi", "a/ü.avi"}, {"Long Jump group 07"}
    digests = VideoNames(frozenset(map(name_digest, paths)), frozenset({name_digest("long jump group 07")}))
    other = VideoNames(frozenset({"a/b 1.avi", "a/ü.avi"}), frozenset({"long_jump group 07", "x group 07"}))
    for training in (digests, VideoNames(frozenset(paths), frozenset(groups))):
        videos, shared = shared_names(training, other)
        assert videos.startswith("1 videos") and "'a/ü.avi'" in videos
        assert shared.startswith("1 groups") and "'long_jump group 07'" in shared


def test_fine_tuning_starts_from_a_folder_as_from_its_run(
    pretrained: Path, train: ShardSet, tmp_path: Path
) -> None:
    export_weights(pretrained, tmp_path / "weights")
    states = []
    for name, source in (("run", pretrained), ("folder", tmp_path / "weights")):
        out = tmp_path / name
        assert run(finetune_main, "--init", source, "--shards", *train.paths, "--out", out, *TUNED) == 0
        weights = load_weights(out)
        assert weights.kind == "fine-tuned" and weights.pretraining["targets"] == "joint"
        states.append(weights.content["model"])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_pixel_mean_that_is_given_is_used_and_kept(
    pretrained: Path, train: ShardSet, test: ShardSet, tmp_path: Path
) -> None:
    mean = ["--pixel-mean", 200, 0, 0]
    first, second = tmp_path / "first", tmp_path / "second"
    start = ["--init", pretrained, "--shards", *train.paths]
    assert run(finetune_main, *start, "--out", first, *mean, *TUNED) == 0
    assert load_weights(first).pixel_mean == (200, 0, 0)
    again = ["--config", first / "config.yaml", "--out", second]
    assert run(finetune_main, *again) == 0
    states = [load_weights(out).content["model"] for out in (first, second)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert run(finetune_main, *again[:2], *start[:2], "--out", tmp_path / "third") == 0
    assert load_weights(tmp_path / "third").pixel_mean == load_weights(pretrained).pixel_mean
    export_weights(first, tmp_path / "weights", pixel_mean=(1, 2, 3))
    found = []
    for source, options in ((first, ["--pixel-mean", 1, 2, 3]), (tmp_path / "weights", [])):
        out = tmp_path / f"{source.name}-result" / "accuracy"
        args = ["accuracy", "--checkpoint", source, "--shards", *test.paths, "--out", out, *SMALL]
        assert run(eval_main, *args, *options) == 0
        (scores,) = (out.parent / "features").iterdir()
        found.append((scores.name, np.load(scores).tobytes()))
    assert found[0] == found[1]


def test_classes_of_any_name_come_back(folders: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    content = dict(load_weights(folders["whole"][0]).content)
    names = ["jump é\n", os.fsdecode(b"caf\xe9")]
    data = [{"manifest": "folder", "split": "all", "clips": 1, "classes": names}]
    changed = {"classes": names, "training_videos": names, "training_groups": names, "data": data}
    write_tensors(tmp_path / "finetuned.pt", {**content, **changed})
    export_weights(tmp_path, tmp_path / "weights")
    found = load_weights(tmp_path / "weights").content
    assert found["classes"] == names
    videos = VideoNames(frozenset(names), frozenset(names))
    kept = VideoNames(frozenset(found["training_videos"]), frozenset(found["training_groups"]))
    assert [line.split(" are ")[0] for line in shared_names(kept, videos)] == ["2 videos", "2 groups"]


def test_a_fine_tuned_run_without_an_epoch_has_no_classifier_yet(
    folders: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    content = dict(load_weights(folders["whole"][0]).content)
    write_tensors(tmp_path / "finetuned.pt", {**content, "epoch": 0})
    with pytest.raises(CheckpointError, match=r"has not finished an epoch.*mas-finetune --resume"):
        export_weights(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_module_comes_with_its_preprocessing(pretrained: Path, test: ShardSet, tmp_path: Path) -> None:
    export_weights(pretrained, tmp_path / "weights")
    backbone = mas_train.load_backbone(tmp_path / "weights")
    weights = load_weights(pretrained)
    frames = np.stack([test[0].frames, test[1].frames])
    views = torch.tensor(centre_view(test.geometry)).expand(2, 3)
    expected = take_views(torch.from_numpy(frames), views, weights.pixel_mean, test.geometry)
    assert torch.equal(backbone.preprocess(frames), expected) and not backbone.training
    assert torch.equal(backbone.preprocess(frames[0]), expected[:1])
    with torch.inference_mode():
        assert torch.equal(backbone(expected), weights.backbone(expected))
        assert torch.equal(backbone.features(expected), weights.backbone.features(expected))
    assert backbone.config["input_shape"] == [3, *expected.shape[2:]]
    for wrong in (frames[:, :8], frames[..., :2], frames.astype(np.float32)):
        with pytest.raises(InputError, match=r"expected frames \(16, 128, 171, 3\).*resize the frames"):
            backbone.preprocess(wrong)


def test_nothing_is_fetched_over_the_network() -> None:
    with pytest.raises(CheckpointError, match="hf download REPO --local-dir FOLDER"):
        mas_train.load_backbone("user/model")
