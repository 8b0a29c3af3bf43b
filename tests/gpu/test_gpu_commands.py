"""Commands on a GPU: features, scores and fine-tuning beside the CPU's; one process of `torchrun`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coloured import run

from mas_labels.shards import ShardSet
from mas_train.cli.embed import main as embed_main
from mas_train.cli.evaluate import main as evaluate_main
from mas_train.cli.finetune import main as finetune_main
from mas_train.cli.predict import main as predict_main
from mas_train.cli.pretrain import main as pretrain_main
from mas_train.recipe import Recipe
from mas_train.training.metrics import read_metrics

ROOT = Path(__file__).parents[2]
EXIT_FAILURES = 3
FEATURE_ROUNDING = {"cpu": 0.0, "exact": 1e-4, "tf32": 5e-3}
"""Largest difference of a feature from the CPU's, as a share of the largest, without TF32 and with it.

Six layers deep, float32 differs by about 1e-6 and TF32, which rounds to 2^-11, by about 1e-3.
"""


def on(place: str, device: str) -> list[object]:
    """Return the options that compute on a device; the CPU beside a GPU takes all its cores."""
    return ["--device", place, *(["--threads", 1] if device == "cpu" else [])]


def network_options(recipe: Recipe) -> list[object]:
    """Return the options of the network of a recipe."""
    options = ("width", "fc_width", "input_stride")
    return [part for name in options for part in (f"--{name.replace('_', '-')}", getattr(recipe, name))]


@pytest.fixture(scope="module")
def pretrained_run(
    tiny_shards: list[Path], recipe: Recipe, device: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of `mas-train` on the device with two steps."""
    out = tmp_path_factory.mktemp("runs") / "pretrained"
    options = [*on(device, device), "--batch-size", 4, "--max-steps", 2, "--no-curves", "--workers", 0]
    shards = ["--shards", *tiny_shards]
    assert run(pretrain_main, *shards, "--out", out, *options, *network_options(recipe)) == 0
    return out


@pytest.fixture(scope="module")
def tuned_runs(
    pretrained_run: Path,
    train: ShardSet,
    test: ShardSet,
    device: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Runs of `mas-finetune` on the device and on the CPU, without dropout, which draws otherwise on each."""
    torch.backends.cudnn.allow_tf32 = False
    runs = {}
    for place in (device, "cpu") if device != "cpu" else ("cpu",):
        runs[place] = tmp_path_factory.mktemp("tuned") / place
        options = ["--fc-width", 32, "--dropout", 0, "--epochs", 2, "--batch-size", 4, "--workers", 0]
        shards = ["--shards", *train.paths, "--test-shards", *test.paths]
        compute = [*on(place, device), "--out", runs[place], "--memory-format", "channels_last_3d"]
        assert run(finetune_main, "--init", pretrained_run, *shards, *compute, *options) == 0
    return runs


def places(device: str) -> dict[str, str]:
    """Return the devices to compare by a name for their files; on a CPU there is one."""
    return {"cpu": "cpu"} if device == "cpu" else {"cpu": "cpu", "exact": device, "tf32": device}


def test_features_are_the_cpus_up_to_rounding(
    tiny_videos: Path, pretrained_run: Path, device: str, tmp_path: Path
) -> None:
    features = {}
    for name, place in places(device).items():
        torch.backends.cudnn.allow_tf32 = name == "tf32"
        out = tmp_path / f"{name}.npz"
        options = ["--weights", pretrained_run, "--layer", "pooled", "--batch-size", 5, "--workers", 1]
        assert run(embed_main, tiny_videos, "--out", out, *on(place, device), *options) == EXIT_FAILURES
        with np.load(out) as arrays:
            features[name] = arrays["feature"]
    largest = np.nanmax(features["cpu"])
    assert largest > 0 and np.isfinite(features["cpu"]).sum() == 12 * features["cpu"].shape[1]
    for name, found in features.items():
        np.testing.assert_allclose(found, features["cpu"], atol=FEATURE_ROUNDING[name] * largest, rtol=0)


def test_retrieval_gives_the_cpus_figures(
    pretrained_run: Path, train: ShardSet, test: ShardSet, device: str, tmp_path: Path
) -> None:
    figures = {}
    for name, place in places(device).items():
        out = tmp_path / name / "retrieval"
        shards = ["--shards", *test.paths, "--gallery", *train.paths]
        options = ["--checkpoint", pretrained_run, "--no-baseline", "--workers", 0, *on(place, device)]
        assert run(evaluate_main, "retrieval", *shards, *options, "--out", out) == 0
        figures[name] = json.loads((out / "retrieval.json").read_text())["figures"]
    assert all(found == figures["cpu"] for found in figures.values()) and figures["cpu"]


def test_fine_tuning_and_predictions_are_the_cpus_up_to_rounding(
    tuned_runs: dict[str, Path], test: ShardSet, device: str, tmp_path: Path
) -> None:
    losses, scores = {}, {}
    for place, tuned in tuned_runs.items():
        rows = (tuned / "metrics.csv").read_text().splitlines()[1:]
        losses[place] = [float(row.split(",")[2]) for row in rows]
        assert json.loads((tuned / "accuracy.json").read_text())["figures"]
        out = tmp_path / f"{place}.json"
        options = ["--weights", tuned_runs[device], *on(place, device), "--workers", 0, "--out", out]
        assert run(predict_main, test.paths[0].parent, *options) == EXIT_FAILURES
        videos = json.loads(out.read_text())["videos"]
        tops = [{top["class"]: top["score"] for top in video["top"]} for video in videos if video["clips"]]
        scores[place] = [[top[name] for name in sorted(top)] for top in tops]
    assert len(losses[device]) == 2 and losses[device] == pytest.approx(losses["cpu"], rel=1e-2)
    np.testing.assert_allclose(scores[device], scores["cpu"], atol=1e-4)


def test_one_process_of_torchrun_trains_as_a_process_alone(
    tiny_shards: list[Path], recipe: Recipe, device: str, on_cpu: list[list[float]], tmp_path: Path
) -> None:
    """Through torch's collectives, NCCL's on a GPU, and DistributedDataParallel; then it resumes."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    environment = {**os.environ, "NVIDIA_TF32_OVERRIDE": "0", "OMP_NUM_THREADS": "4"}
    runs: list[list[object]] = [["--max-steps", 2], ["--max-steps", 3, "--resume"]]
    if device == "cpu":  # what torchrun tells its processes; tests/runtime runs it with two
        launch, runs = [], [["--max-steps", 3]]
        group = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "alone"}
        environment |= {**group, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    options = [*on(device, device), "--batch-size", 5, "--workers", 0, "--log-steps", 1, "--no-curves"]
    options += ["--shards", *tiny_shards, "--out", tmp_path, *network_options(recipe)]
    for more in runs:
        command = [sys.executable, *launch, "-m", "mas_train", *options, *more]
        done = subprocess.run([*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "1 process, 5 clips per step in all" in done.stdout
    losses = [row["loss"] for row in read_metrics(tmp_path)]
    assert losses == pytest.approx([loss for loss, _ in on_cpu], rel=5e-4 if device == "cuda" else 1e-6)
