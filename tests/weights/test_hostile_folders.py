"""Weights folders that are damaged, or made to do harm: refused in one line, without taking memory."""

from __future__ import annotations

import hashlib
import json
import pickle
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.coloured import SMALL, run
from safetensors.torch import load_file, save_file

from mas_labels.errors import CheckpointError, MissingDependencyError
from mas_train.cli.embed import main as embed_main
from mas_train.weights.backbone_file import BackboneConfig, read_backbone, write_safetensors
from mas_train.weights.backbone_weights import load_classifier, load_weights
from mas_train.weights.weights_folder import read_weights_folder
from mas_train.weights.weights_source import CONFIG_FILE, WEIGHTS_FILE

ALONG = Path(__file__).parents[2] / "results" / "small" / "weights" / "joint-finetuned"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A weights folder with classes."""
    return Path(shutil.copytree(ALONG, tmp_path / "weights"))


def change(folder: Path, **entries: Any) -> None:
    """Change entries of a folder's configuration; its digest becomes that of its weights."""
    path = folder / CONFIG_FILE
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    config = {**json.loads(path.read_text(encoding="utf-8")), "model_sha256": digest, **entries}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not ...}))


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ({"backbone": ["c3d"]}, "backbone"),
        ({"width": 1e308}, "infinity"),
        ({"width": "1"}, "width"),
        ({"pixel_mean": 0}, "pixel_mean"),
        ({"pixel_mean": [1, 2]}, "three numbers"),
        ({"pretraining": 3}, "pretraining"),
        ({"pretraining": {"targets": "../x"}}, "targets"),
        ({"pretraining": ...}, "lacks pretraining"),
        ({"init": [1]}, "init"),
        ({"classes": "abc"}, "classes"),
        ({"classes": ["a", "a"]}, "classes"),
        ({"classes": [1, 2]}, "classes"),
        ({"frozen": 1}, "frozen"),
        ({"content_hashes": [[1]]}, "content_hashes"),
        ({"data": [{}]}, "data"),
        ({"data": [{"manifest": "x", "split": "all", "clips": "many"}]}, "data"),
        ({"geometry": {"frame_step": 1.5}}, "frame_step"),
        ({"geometry": {"view_size": 10**9}}, "view_size"),
    ],
)
def test_entries_of_other_types_are_refused(folder: Path, entries: dict[str, Any], found: str) -> None:
    change(folder, **entries)
    with pytest.raises(CheckpointError, match=found) as caught:
        _ = load_weights(folder).geometry
    assert "\n" not in str(caught.value)


def test_sizes_are_compared_before_memory_is_taken(folder: Path) -> None:
    recipe = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["recipe"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    change(folder, width=20.0)  # 7 GB
    with pytest.raises(CheckpointError, match="size mismatch"):
        load_weights(folder)
    change(folder, width=0.25, recipe={**recipe, "fc_width": 40_000})  # 6 GB
    with pytest.raises(CheckpointError, match="inconsistent"):
        load_classifier(load_weights(folder))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", '{"format": "mas-weights", "version": 1}', "\x00"])
def test_configurations_that_are_none_are_refused(folder: Path, text: str) -> None:
    (folder / CONFIG_FILE).write_text(text)
    with pytest.raises(CheckpointError):
        load_weights(folder)


def test_a_missing_library_is_not_called_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(MissingDependencyError, match=r"^files of weights need safetensors"):
        read_weights_folder(folder)


def test_a_pickle_called_safetensors_is_not_run(folder: Path, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
            return Path.touch, (tmp_path / "run",)

    (folder / WEIGHTS_FILE).write_bytes(pickle.dumps(Attack()))
    change(folder)
    with pytest.raises(CheckpointError, match="safetensors"):
        load_weights(folder)
    assert not (tmp_path / "run").exists()


def test_files_of_weights_with_another_mean_are_refused(tmp_path: Path) -> None:
    network = load_weights("scratch", width=1 / 32)
    path = tmp_path / "backbone.safetensors"
    write_safetensors(path, network.backbone, BackboneConfig("c3d", 1 / 32, (1.0, float("nan"), 2.0), "x"))
    with pytest.raises(CheckpointError, match="pixel_mean"):
        read_backbone(path)


def test_features_that_are_not_finite_are_no_features(
    folder: Path, tiny_videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    save_file({**weights, "conv1.weight": weights["conv1.weight"] * torch.nan}, folder / WEIGHTS_FILE)
    change(folder)
    out = tmp_path / "features.npz"
    assert run(embed_main, tiny_videos, "--weights", folder, "--out", out, *SMALL) == 1
    assert "finite features" in capsys.readouterr().err and not out.exists()
