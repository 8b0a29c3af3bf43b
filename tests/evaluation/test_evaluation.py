"""From shards to figures: weights, features, fine-tuning, the commands. Classes are planted as colours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.coloured import COLOURS, CPU, SMALL, WIDTH, label_frames, run
from torch.nn.modules.module import register_module_forward_pre_hook

from mas_labels.datasets.manifest import packaged_manifests
from mas_labels.errors import CheckpointError, DatasetError
from mas_labels.report.write import write_report
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_train.cli.evaluate import command as eval_command
from mas_train.cli.evaluate import main as eval_main
from mas_train.cli.finetune import command as finetune_command
from mas_train.data.views import CENTRE_VIEW, take_views
from mas_train.evaluation.aslan import by_sample, evaluate_aslan
from mas_train.evaluation.aslan_pairs import Pairs
from mas_train.evaluation.features import Extraction, backbone_features, extract
from mas_train.evaluation.options import ProbeOptions
from mas_train.evaluation.probe import evaluate_groups, evaluate_probe
from mas_train.evaluation.protocol import Evaluation, dataset_and_split
from mas_train.evaluation.results import read_results
from mas_train.evaluation.retrieval import evaluate_retrieval
from mas_train.evaluation.yupenn import evaluate_yupenn
from mas_train.recipe import make_recipe
from mas_train.weights.backbone_weights import SCRATCH, load_weights, weights_digest

ROOT = Path(__file__).parents[2]


# weights


def test_weights_from_a_run_are_those_it_saved(pretrained: Path) -> None:
    weights = load_weights(pretrained)
    saved = torch.load(sorted((pretrained / "checkpoints").glob("step-*.pt"))[-1], weights_only=True)
    for name, value in weights.backbone.state_dict().items():
        torch.testing.assert_close(value, saved["model"][f"backbone.{name}"], rtol=0, atol=0)
    assert weights.kind == "self-supervised" and weights.pretraining["preset"] == "ucf101"
    assert weights.pixel_mean == make_recipe("ucf101").pixel_mean and not weights.backbone.training


def test_weights_from_scratch_follow_the_seed() -> None:
    prints = [weights_digest(load_weights(SCRATCH, WIDTH, seed).backbone) for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_places_without_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        load_weights(tmp_path)
    (tmp_path / "some.pt").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(CheckpointError, match="that can be read"):
        load_weights(tmp_path / "some.pt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="C3D"):
        load_weights(tmp_path / "other.pt")


# features


@pytest.mark.parametrize("kind", ["pooled", "mean"])
def test_features_are_the_mean_over_a_videos_clips(test: ShardSet, kind: str) -> None:
    weights = load_weights(SCRATCH, WIDTH)
    output = backbone_features(weights.backbone, kind)
    found = extract(weights.backbone, output, kind, weights.pixel_mean, test, Extraction(CPU, 0, 4))
    assert len(found.paths) == 4 and found.clips == len(test) == 6
    with torch.inference_mode():
        for path, row in zip(found.paths, found.values, strict=True):
            frames = np.stack([clip.frames for clip in test if clip.video == path])
            views = torch.tensor([CENTRE_VIEW]).expand(len(frames), 3)
            clips = take_views(torch.from_numpy(frames), views, weights.pixel_mean)
            maps = weights.backbone.features(clips)
            expected = weights.backbone(clips) if kind == "pooled" else maps.flatten(2).mean(dim=2)
            np.testing.assert_allclose(row, expected.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_failed_videos_are_named_with_the_class_of_their_folder(test: ShardSet) -> None:
    weights = load_weights(SCRATCH, WIDTH)
    output = backbone_features(weights.backbone, "mean")
    found = extract(weights.backbone, output, "mean", weights.pixel_mean, test, Extraction(CPU, 0))
    assert found.failed == ("red/9999.avi",) and found.failed_classes.tolist() == [test.classes.index("red")]
    assert [test.classes[c] for c in found.classes] == [path.split("/")[0] for path in found.paths]


def test_features_are_computed_once(test: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    how = Extraction(CPU, 0, cache=tmp_path)

    def features(seed: int) -> np.ndarray:
        weights = load_weights(SCRATCH, WIDTH, seed)
        output = backbone_features(weights.backbone, "mean")
        return extract(weights.backbone, output, "mean", weights.pixel_mean, test, how).values

    first = features(0)
    with monkeypatch.context() as patch:
        patch.setattr("mas_train.evaluation.features.load_frames", None)
        np.testing.assert_array_equal(features(0), first)
        with pytest.raises(TypeError):  # other weights are not in the cache
            features(1)
    assert len(list(tmp_path.iterdir())) == 1
    next(tmp_path.iterdir()).write_bytes(b"cut")
    with pytest.raises(DatasetError, match=r"is damaged .* remove it"):
        features(0)


def test_clips_know_their_videos(train: ShardSet) -> None:
    assert len(train.paths) > 1
    videos = train.videos
    assert [videos[number].path for number in train.clip_videos()] == [clip.video for clip in train]


def test_shards_of_two_splits_are_refused_before_the_work(train: ShardSet) -> None:
    assert dataset_and_split(train) == ("folder", "all")
    mixed = open_shards(train.paths)
    mixed.shard(0).plan["split"] = "other"
    with pytest.raises(DatasetError, match="found folder/all, folder/other: evaluate one at a time"):
        dataset_and_split(mixed)


@pytest.fixture(scope="module")
def persons(train: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Shards whose videos have groups: of each colour two videos by each of two persons."""
    videos, root = train.paths[0].parents[1] / "videos", tmp_path_factory.mktemp("persons")
    for name in COLOURS:
        (root / name).mkdir()
        for number, path in enumerate(sorted((videos / name).glob("0*.avi"))):
            shutil.copy(path, root / name / f"{'ab'[number % 2]}_{number}.avi")
    return label_frames(root, root / "shards", packaged_manifests()["weizmann"])


@pytest.fixture
def forward_clips() -> Iterator[list[int]]:
    """Number of clips of each forward pass through the first convolution of a network."""
    counts: list[int] = []

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if isinstance(module, torch.nn.Conv3d) and module.in_channels == 3:
            counts.append(len(inputs[0]))

    handle = register_module_forward_pre_hook(count)
    yield counts
    handle.remove()


@pytest.mark.parametrize("protocol", ["retrieval", "probe", "groups", "yupenn", "aslan"])
def test_without_a_cache_each_clip_passes_each_network_once(
    protocol: str,
    pretrained: Path,
    train: ShardSet,
    test: ShardSet,
    persons: ShardSet,
    tmp_path: Path,
    forward_clips: list[int],
) -> None:
    weights, extraction = load_weights(pretrained), Extraction(CPU, 0, cache=None)
    evaluation = Evaluation(weights, extraction, tmp_path, "", feature_kind="mean", baseline=True)
    if protocol == "retrieval":
        result = evaluate_retrieval(evaluation, train, test)
    elif protocol == "probe":
        result = evaluate_probe(evaluation, train, test, ProbeOptions(few=0.5, draws=2))
    elif protocol == "groups":
        result = evaluate_groups(evaluation, persons, 10.0)
    elif protocol == "yupenn":
        result = evaluate_yupenn(evaluation, train, 1.0)
    else:
        numbers = np.arange(1, 9)
        first, second = np.repeat(numbers, 8), np.tile(numbers, 8)
        pairs = Pairs(first, second, (first - 1) // 4 == (second - 1) // 4, np.arange(64) % 2)
        result = evaluate_aslan(evaluation, train, pairs, 2, 1.0)
    evaluated = {"retrieval": [train, test], "probe": [train, test], "groups": [persons]}.get(
        protocol, [train]
    )
    assert sum(forward_clips) == 2 * sum(map(len, evaluated))  # the weights, and random ones
    assert result.random_initialisation.keys() == result.figures.keys()


# protocols


def test_retrieval_finds_the_colour(
    pretrained: Path, train: ShardSet, test: ShardSet, tmp_path: Path
) -> None:
    args = ["--checkpoint", pretrained, "--shards", *test.paths, "--gallery", *train.paths]
    out = tmp_path / "results"
    assert run(eval_main, "retrieval", *args, "--out", out, *SMALL) == 0
    (result,) = read_results([out])
    assert result.figures == dict.fromkeys(("top-1", "top-5", "top-10", "top-20", "top-50"), 4 / 5)
    assert result.random_initialisation.keys() == result.figures.keys()
    kept = sorted((tmp_path / "features").iterdir())
    assert len(kept) == 4  # two sets of shards, two sets of weights
    times = [path.stat().st_mtime_ns for path in kept]
    assert run(eval_main, "retrieval", *args, "--out", tmp_path / "again", *SMALL) == 0
    assert sorted((tmp_path / "features").iterdir()) == kept
    assert [path.stat().st_mtime_ns for path in kept] == times
    picture = cv2.imread(str(out / "neighbours.png"))
    assert picture.shape[1] > 1000 and picture.std() > 20


def test_yupenn_leaves_one_out(pretrained: Path, train: ShardSet, tmp_path: Path) -> None:
    args = ["--checkpoint", pretrained, "--shards", *train.paths, "--out", tmp_path, "--svm-c", 100]
    assert run(eval_main, "yupenn", *args, "--no-baseline", "--features", "mean", *SMALL) == 0
    (result,) = read_results([tmp_path])
    assert result.figures["accuracy"] >= 7 / 9 and result.videos == 9
    assert result.random_initialisation == {} and result.details["svm_c"] == 100


def test_aslan_tells_pairs_of_one_colour(
    pretrained: Path, train: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    first, second = rng.integers(1, 9, (2, 40, 10))
    table = np.stack([first, second, (first - 1) // 4 == (second - 1) // 4, first, second], axis=1)
    table[0, 0] = 77  # a sample that is not there
    savemat(tmp_path / "View2.mat", {"action_splits_pairs": table.astype(float)})
    args = ["--checkpoint", pretrained, "--shards", *train.paths, "--view2", tmp_path / "View2.mat"]
    assert run(eval_main, "aslan", *args, "--features", "mean", "--out", tmp_path / "out", *SMALL) == 0
    (result,) = read_results([tmp_path / "out"])
    assert result.figures["accuracy"] > 0.85 and result.figures["AUC"] > 0.9
    assert (result.details["pairs"], result.details["pairs_without_features"]) == (400, 10)
    assert (tmp_path / "out" / "roc.png").exists()
    assert "published, C3D, self-supervised" not in capsys.readouterr().out  # the shards are no ASLAN


def test_samples_need_numbers_and_one_file_each(test: ShardSet) -> None:
    weights = load_weights(SCRATCH, WIDTH)
    output = backbone_features(weights.backbone, "mean")
    found = extract(weights.backbone, output, "mean", weights.pixel_mean, test, Extraction(CPU, 0))
    assert sorted(by_sample(found)) == [101, 102, 103, 104]
    with pytest.raises(DatasetError, match="four digits"):
        by_sample(replace(found, paths=("a.avi", *found.paths[1:])))
    with pytest.raises(DatasetError, match="sample 0102 is there twice"):
        by_sample(replace(found, paths=("x/0102.mp4", *found.paths[1:])))


def test_attention_is_drawn_with_and_without_boundaries(
    pretrained: Path, tiny_shards: list[Path], test: ShardSet, tmp_path: Path
) -> None:
    for name, shards in (("labels", tiny_shards), ("frames", test.paths)):
        out = tmp_path / f"{name}.png"
        args = ["--checkpoint", pretrained, "--shards", *shards, "--clip", 0, 1, "--out", out, *SMALL]
        assert run(eval_main, "attention", *args) == 0
        assert out.read_bytes().startswith(b"\x89PNG")


def test_what_a_runs_page_shows_is_drawn_into_its_folder(
    pretrained: Path, train: ShardSet, test: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looked_at = tmp_path / "a run"
    shutil.copytree(pretrained, looked_at)
    args = ["--run", looked_at, "--shards", *train.paths, "--clips", 2, *SMALL]
    assert run(eval_main, "look", *args) == 0
    assert not (looked_at / "neighbours.png").exists()
    assert run(eval_main, "look", *args, "--queries", *test.paths) == 0
    assert f"mas-labels report --run '{looked_at}' --out" in capsys.readouterr().out
    write_report(None, tmp_path / "run.html", looked_at)
    page = (tmp_path / "run.html").read_text()
    assert page.count("data:image/png") == 2 and "mas-eval look" not in page


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["accuracy", "--checkpoint", "scratch", "--shards", "TEST"], 1, "scratch knows no classes"),
        (
            ["accuracy", "--checkpoint", "nowhere.pt", "--shards", "TEST"],
            1,
            "cannot be read now",
        ),
        (["yupenn", "--checkpoint", "scratch", "--shards", "nowhere"], 1, "no shards match 'nowhere'"),
        (["aslan", "--checkpoint", "scratch", "--shards", "TEST"], 2, "either --view2"),
        (["retrieval", "--checkpoint", "scratch", "--shards", "TEST"], 2, "Missing option '--gallery'"),
        (["attention", "--checkpoint", "scratch", "--shards", "TEST", "--clip", "99"], 1, "found [99]"),
        (["table", "."], 1, "no results of mas-eval or mas-finetune"),
    ],
)
def test_mistakes_are_told_in_one_line(
    args: list[str],
    status: int,
    message: str,
    test: ShardSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(test.paths[0].parent) if arg == "TEST" else arg for arg in args]
    assert run(eval_main, *given) == status
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_every_command_and_option_has_help_and_starts_without_torch() -> None:
    commands = [finetune_command, *eval_command.commands.values()]
    for found in commands:
        assert found.help
        assert [
            p.name for p in found.params if p.param_type_name == "option" and not getattr(p, "help", "")
        ] == []
    code = "import mas_train.cli.evaluate, mas_train.cli.finetune, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ}).returncode == 0
