"""Files of features: the features of mas-eval, to the bit; the same bytes after an interruption."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.coloured import CPU, SMALL, run

from mas_labels.errors import StorageError
from mas_labels.shards import ShardSet
from mas_labels.version import __version__
from mas_train.cli.embed import main
from mas_train.evaluation.features import Extraction, extract
from mas_train.inference.feature_store import FEATURES_FILE, VIDEOS_FILE, FeatureStore
from mas_train.inference.layers import backbone_features
from mas_train.weights.backbone_weights import load_weights, weights_digest

FAILED = {"pan/short.avi", "zoom out/text.avi", "zoom out/empty.mp4"}
EXIT_FAILURES = 3


def embed(out: Path, *args: object) -> dict[str, np.ndarray]:
    """Write the features of the videos of a test, three of which cannot be used; return the arrays."""
    assert run(main, "--out", out, *SMALL, *args) == EXIT_FAILURES
    with np.load(out) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def clips(tiny_videos: Path, pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of the clips of `tiny_videos`."""
    out = tmp_path_factory.mktemp("features") / "clips.npz"
    embed(out, tiny_videos, "--weights", pretrained, "--layer", "mean")
    return out


def test_features_of_videos_are_those_of_mas_eval_to_the_bit(
    tiny_videos: Path, raw_shards: ShardSet, pretrained: Path, tmp_path: Path
) -> None:
    weights, kind = load_weights(pretrained), "pooled"
    output = backbone_features(weights.backbone, kind)
    extraction = Extraction(CPU, 0, batch_size=5)
    expected = extract(weights.backbone, output, kind, weights.pixel_mean, raw_shards, extraction)
    options = ("--weights", pretrained, "--per", "video", "--layer", kind)
    shards = raw_shards.paths[0].parent
    for number, (paths, *speed) in enumerate([(tiny_videos, 1, 2), (tiny_videos, 32, 0), (shards, 3, 0)]):
        flags = zip(("--batch-size", "--workers"), speed, strict=True)
        found = embed(tmp_path / f"{number}.npz", paths, *options, *(part for flag in flags for part in flag))
        assert set(found["video"]) == {*expected.paths} | FAILED
        for path, row, count in zip(expected.paths, expected.values, expected.clip_counts, strict=True):
            (place,) = np.flatnonzero(found["video"] == path)
            np.testing.assert_array_equal(found["feature"][place], row)
            assert found["clips"][place] == count and found["code"][place] == ""


def test_a_row_a_clip_and_one_for_each_failure(clips: Path, raw_shards: ShardSet, pretrained: Path) -> None:
    found = np.load(clips)
    is_clip = found["code"] == ""
    assert is_clip.sum() == len(raw_shards) == 12 and set(found["video"][~is_clip]) == FAILED
    assert np.isfinite(found["feature"][is_clip]).all() and np.isnan(found["feature"][~is_clip]).all()
    assert (found["end_frame"] - found["start_frame"])[is_clip].tolist() == [16] * 12
    np.testing.assert_allclose(found["start_seconds"][is_clip], found["start_frame"][is_clip] / 25)
    assert found["start_frame"][~is_clip].tolist() == [-1] * 3 and (found["stage"][~is_clip] != "").all()
    provenance = json.loads(str(found["provenance"]))
    weights = load_weights(pretrained)
    assert provenance["weights_sha256"] == weights_digest(weights.backbone)
    assert provenance["weights"] == str(pretrained) and provenance["layer"] == "mean"
    assert provenance["recipe"]["width"] == weights.recipe["width"] and provenance["versions"]["torch"]


def test_a_run_that_has_not_taken_a_step_is_told(
    tiny_videos: Path, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    untrained = pretrained / "checkpoints" / "step-00000000.pt"
    embed(tmp_path / "f.npz", tiny_videos, "--weights", untrained, "--layer", "mean")
    assert f"note: {untrained} has not taken a step, its weights are random" in capsys.readouterr().err


def test_earlier_layers_and_features_of_length_1(
    tiny_videos: Path, pretrained: Path, clips: Path, tmp_path: Path
) -> None:
    options = (tiny_videos / "pan", "--weights", pretrained, "--normalise", "--layer")
    first, last = (embed(tmp_path / f"{name}.npz", *options, name) for name in ("conv1", "conv5"))
    assert first["feature"].shape[1] == 2 and last["feature"].shape[1] == 8
    is_clip = first["code"] == ""
    for arrays in (first, last):
        np.testing.assert_allclose(np.linalg.norm(arrays["feature"][is_clip], axis=1), 1, rtol=1e-6)
    unscaled = np.load(clips)
    rows = [np.flatnonzero(unscaled["video"] == f"pan/{name}") for name in ("right.avi",)]
    row = unscaled["feature"][rows[0]]
    expected = row / np.linalg.norm(row, axis=1, keepdims=True)
    np.testing.assert_allclose(last["feature"][last["video"] == "right.avi"], expected, rtol=1e-5)


class Stopped(Exception):
    """Raised in place of a process that is killed."""


def test_a_killed_run_resumes_to_the_same_bytes(
    raw_shards: ShardSet, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (raw_shards.paths[0].parent, "--weights", pretrained, *SMALL)
    whole, cut = tmp_path / "whole.npz", tmp_path / "cut.npz"
    assert run(main, *command, "--out", whole) == EXIT_FAILURES
    finish, finished = FeatureStore.finish, []

    def stop(self: FeatureStore, *args: object) -> None:
        finish(self, *args)  # type: ignore[arg-type]
        finished.append(args[0])
        if len(finished) == 3:  # what a killed process leaves on the disk
            shutil.copytree(self.folder, tmp_path / "killed")
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "finish", stop)
        with pytest.raises(Stopped):
            main([str(arg) for arg in (*command, "--out", cut)])
    folder = tmp_path / ".cut.npz.partial"
    shutil.rmtree(folder)
    shutil.move(tmp_path / "killed", folder)
    for name, rest in ((FEATURES_FILE, b"\x01" * 7), (VIDEOS_FILE, b'{"video": "x", "rows')):
        with (folder / name).open("ab") as file:  # a video that was not finished
            file.write(rest)
    counted: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "finish", lambda self, *args: counted.append(finish(self, *args)))
        assert run(main, *command, "--out", cut) == EXIT_FAILURES
    assert len(counted) == 9 - 3
    assert cut.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {whole.name, cut.name}


def test_leftovers_that_a_disk_has_damaged_are_computed_again(raw_shards: ShardSet, tmp_path: Path) -> None:
    feature = np.arange(4, dtype=np.float32)
    with FeatureStore(tmp_path / "f.npz", {"layer": "mean"}, 4) as store:
        for name in "abc":
            store.add(name, feature)
            store.finish(name, [{"video": name}], name == "a")
        assert store.done == {"a": True, "b": False, "c": False}
    file = store.folder / FEATURES_FILE
    content = bytearray(file.read_bytes())
    content[20] ^= 1  # in the feature of b
    file.write_bytes(content)
    with FeatureStore(tmp_path / "f.npz", {"layer": "mean"}, 4) as store:
        assert store.done == {"a": True} and file.stat().st_size == 16


@pytest.mark.parametrize("named", ["0.1.0", "not installed"])
def test_features_that_an_earlier_version_began_are_completed(tmp_path: Path, named: str) -> None:
    with FeatureStore(tmp_path / "f.npz", {"versions": {"mas-video": named, "av": "1"}}, 4) as store:
        store.finish("a", [{"video": "a"}], False)
    with FeatureStore(tmp_path / "f.npz", {"versions": {"mas-video": __version__, "av": "1"}}, 4) as store:
        assert store.done == {"a": False}


def test_videos_that_the_machine_could_not_read_are_tried_again(tmp_path: Path) -> None:
    with FeatureStore(tmp_path / "f.npz", {}, 4) as store:
        for name in "abc":
            store.finish(name, [{"video": name}], name == "b", again=name == "b")
    with FeatureStore(tmp_path / "f.npz", {}, 4) as store:
        assert store.done == {"a": False}


def test_a_full_disk_is_told_also_where_only_closing_finds_it(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = FeatureStore(tmp_path / "f.npz", {}, 8)
    try:
        with pytest.raises(StorageError, match=r"f\.npz.*make room"), store:
            store.add("a", np.ones(8, np.float32))  # in memory until the file is closed
            resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
