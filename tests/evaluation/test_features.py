"""Features of videos: averaged over clips, cached, computed once. Classes are planted as colours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coloured import COLOURS, CPU, WIDTH, label_frames
from torch.nn.modules.module import register_module_forward_pre_hook

from mas_labels.datasets.manifest import packaged_manifests
from mas_labels.errors import DatasetError
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.shards.shard_set import ShardSet
from mas_train.data.views import centre_view, take_views
from mas_train.evaluation.aslan import evaluate_aslan
from mas_train.evaluation.aslan_pairs import Pairs
from mas_train.evaluation.features import Extraction, extract
from mas_train.evaluation.linear import ProbeOptions
from mas_train.evaluation.probe import evaluate_groups, evaluate_probe
from mas_train.evaluation.protocol import Evaluation
from mas_train.evaluation.retrieval import evaluate_retrieval
from mas_train.evaluation.yupenn import evaluate_yupenn
from mas_train.inference.layers import backbone_features
from mas_train.weights.backbone_weights import SCRATCH, load_weights


def test_clip_videos_match_the_clips(train: ShardSet) -> None:
    assert len(train.paths) > 1
    videos = train.videos
    assert [videos[number].path for number in train.clip_videos()] == [clip.video for clip in train]


@pytest.mark.parametrize("kind", ["pooled", "mean"])
def test_features_are_the_mean_over_a_videos_clips(test: ShardSet, kind: str) -> None:
    weights = load_weights(SCRATCH, WIDTH)
    output = backbone_features(weights.backbone, kind)
    features = extract(weights.backbone, output, kind, weights.pixel_mean, test, Extraction(CPU, 0, 4))
    assert len(features.paths) == 4 and features.clips == len(test) == 6
    with torch.inference_mode():
        for path, row in zip(features.paths, features.values, strict=True):
            frames = np.stack([clip.frames for clip in test if clip.video == path])
            views = torch.tensor([centre_view(DEFAULT_GEOMETRY)]).expand(len(frames), 3)
            clips = take_views(torch.from_numpy(frames), views, weights.pixel_mean, DEFAULT_GEOMETRY)
            maps = weights.backbone.features(clips)
            expected = weights.backbone(clips) if kind == "pooled" else maps.flatten(2).mean(dim=2)
            np.testing.assert_allclose(row, expected.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_failed_videos_are_named_with_the_class_of_their_folder(test: ShardSet) -> None:
    weights = load_weights(SCRATCH, WIDTH)
    output = backbone_features(weights.backbone, "mean")
    features = extract(weights.backbone, output, "mean", weights.pixel_mean, test, Extraction(CPU, 0))
    assert features.failed == ("red/9999.avi",) and features.failed_classes.tolist() == [
        test.classes.index("red")
    ]
    assert [test.classes[c] for c in features.classes] == [path.split("/")[0] for path in features.paths]


def test_cached_features_are_not_computed_again(
    test: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extraction = Extraction(CPU, 0, cache=tmp_path)

    def features(seed: int) -> np.ndarray:
        weights = load_weights(SCRATCH, WIDTH, seed)
        output = backbone_features(weights.backbone, "mean")
        return extract(weights.backbone, output, "mean", weights.pixel_mean, test, extraction).values

    first = features(0)
    with monkeypatch.context() as patch:
        patch.setattr("mas_train.evaluation.features.load_frames", None)
        np.testing.assert_array_equal(features(0), first)
        with pytest.raises(TypeError):  # other weights are not in the cache
            features(1)
    assert len(list(tmp_path.iterdir())) == 1
    next(tmp_path.iterdir()).write_bytes(b"cut")
    with pytest.raises(DatasetError, match=r"is corrupt .* remove it"):
        features(0)


def test_features_of_equal_weights_that_see_other_frames_are_cached_apart(
    test: ShardSet, tmp_path: Path
) -> None:
    found = []
    for stride in (1, 2):  # no weight of a C3D tells its stride
        weights = load_weights(SCRATCH, WIDTH, input_stride=stride)
        output = backbone_features(weights.backbone, "mean")
        inputs = ("mean", weights.pixel_mean, test, Extraction(CPU, 0, cache=tmp_path))
        found.append(extract(weights.backbone, output, *inputs).values)
    assert found[0].shape == found[1].shape and not np.allclose(*found)


def test_features_of_a_subset_are_cached_apart_from_those_of_the_whole(
    test: ShardSet, tmp_path: Path
) -> None:
    weights = load_weights(SCRATCH, WIDTH)
    output = backbone_features(weights.backbone, "mean")
    part = test.subset(np.arange(1, len(test), 2))
    extraction = Extraction(CPU, 0, cache=tmp_path)
    for shards in (test, part, test, part):
        features = extract(weights.backbone, output, "mean", weights.pixel_mean, shards, extraction)
        assert features.paths == tuple(video.path for video in shards.videos)
        assert len(features.values) == len(shards.videos)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.fixture(scope="module")
def persons(train: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Return shards whose videos have groups: of each colour two videos by each of two persons."""
    videos, root = train.paths[0].parents[1] / "videos", tmp_path_factory.mktemp("persons")
    for name in COLOURS:
        (root / name).mkdir()
        for number, path in enumerate(sorted((videos / name).glob("0*.avi"))):
            shutil.copy(path, root / name / f"{'ab'[number % 2]}_{number}.avi")
    return label_frames(root, root / "shards", packaged_manifests()["weizmann"])


@pytest.fixture
def forward_clips() -> Iterator[list[int]]:
    """Return a growing list: the number of clips of each pass through a network's first convolution."""
    counts: list[int] = []

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        is_first = isinstance(module, torch.nn.Conv3d) and module.in_channels == 3
        if is_first and not inputs[0].is_meta:  # without content: the length of features is looked up
            counts.append(len(inputs[0]))

    handle = register_module_forward_pre_hook(count)
    yield counts
    handle.remove()


@pytest.mark.parametrize("protocol", ["retrieval", "probe", "groups", "yupenn", "aslan"])
def test_each_clip_passes_each_network_once_without_a_cache(
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


def test_names_of_earlier_versions_can_still_be_imported() -> None:
    from mas_train.evaluation.features import backbone_features, normalise_rows

    assert backbone_features.__module__ == "mas_train.inference.layers"
    assert normalise_rows.__module__ == "mas_train.model.similarity"
