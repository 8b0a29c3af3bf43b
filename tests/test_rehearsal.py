"""Every protocol from videos to tables, as a user runs them: on the demo data set, and on real footage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mas_labels.demo import make_demo
from mas_train.evaluation.results import Result, read_results

ROOT = Path(__file__).parents[1]
COMPUTE = ["--device", "cpu", "--threads", "1", "--workers", "0"]

pytestmark = pytest.mark.slow


def run(module: str, *args: object, status: int = 0) -> str:
    """Run a command line as a process of its own; return what it printed."""
    command = [sys.executable, "-m", module, *map(str, args)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def make(recipe: str, root: Path, out: Path, *options: object, status: int = 0) -> Path:
    manifest = ROOT / "data_manifests" / f"{recipe}.yaml"
    run("mas_labels", "make", "--manifest", manifest, "--root", root, "--out", out, *options, status=status)
    return out


def result(folder: Path) -> Result:
    (found,) = read_results([folder])
    return found


def numbered_copies(videos: list[Path], folder: Path) -> list[int]:
    """Copy videos under ASLAN's names; return the class of each."""
    folder.mkdir()
    for number, path in enumerate(videos, 1):
        shutil.copy(path, folder / f"{number:04}{path.suffix}")
    names = sorted({path.parent.name for path in videos})
    return [names.index(path.parent.name) for path in videos]


def write_pairs(classes: list[int], path: Path) -> None:
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    first, second = rng.integers(0, len(classes), (2, 24, 10))
    of = np.array(classes)
    table = np.stack([first + 1, second + 1, of[first] == of[second], of[first], of[second]], axis=1)
    savemat(path, {"action_splits_pairs": table.astype(float)})


def test_every_protocol_on_the_demo(tmp_path: Path) -> None:
    make_demo(tmp_path / "videos")
    labels = make("demo", tmp_path / "videos", tmp_path / "labels", "--split", "train", "--flow", "dis")
    tests = make("demo", tmp_path / "videos", tmp_path / "tests", "--split", "test", "--frames-only")
    scenes = make(
        "folder", tmp_path / "videos/train", tmp_path / "scenes", "--frames-only", "--clip-stride", 8
    )
    videos = sorted((tmp_path / "videos" / "train").rglob("*.*"))
    classes = numbered_copies(videos, tmp_path / "aslan")
    write_pairs(classes, tmp_path / "View2.mat")
    pairs = make("aslan", tmp_path / "aslan", tmp_path / "pairs", "--frames-only", "--clip-stride", 8)

    small = ["--width", 0.0625, "--fc-width", 32, "--batch-size", 8, "--max-steps", 12]
    pre, tuned, out = tmp_path / "pre", tmp_path / "runs" / "tuned", tmp_path / "results"
    run("mas_train", "--shards", labels, "--out", pre, *small, *COMPUTE)
    few = ["--epochs", 2, "--fc-width", 32, "--batch-size", 8]
    run(
        "mas_train.finetune_cli",
        "--init",
        pre,
        "--shards",
        labels,
        "--test-shards",
        tests,
        "--out",
        tuned,
        *few,
        *COMPUTE,
    )
    found = result(tuned)
    assert (found.dataset, found.split, found.videos, found.failed) == ("demo", "test", 8, [])
    assert np.sum(found.details["confusion"]) == 8

    evaluate = "mas_train.evaluation.cli"
    run(evaluate, "accuracy", "--checkpoint", tuned, "--shards", tests, "--out", out / "accuracy", *COMPUTE)
    assert result(out / "accuracy").figures == found.figures
    gallery = ["--gallery", labels, "--shards", tests]
    run(evaluate, "retrieval", "--checkpoint", pre, *gallery, "--out", out / "retrieval", *COMPUTE)
    assert result(out / "retrieval").figures["top-50"] == 1.0  # only 32 videos: each class is among 50
    run(evaluate, "yupenn", "--checkpoint", pre, "--shards", scenes, "--out", out / "yupenn", *COMPUTE)
    assert result(out / "yupenn").videos == 32 and result(out / "yupenn").random_initialisation
    view2 = ["--view2", tmp_path / "View2.mat"]
    run(evaluate, "aslan", "--checkpoint", pre, "--shards", pairs, *view2, "--out", out / "aslan", *COMPUTE)
    assert result(out / "aslan").details["pairs"] == 240
    picture = tmp_path / "attention.png"
    run(
        evaluate,
        "attention",
        "--checkpoint",
        pre,
        "--shards",
        labels,
        "--clip",
        0,
        9,
        "--out",
        picture,
        *COMPUTE,
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    table = run(evaluate, "table", tmp_path / "runs", out)
    row = next(line for line in table.splitlines() if "C3D, self-supervised" in line)
    assert row.endswith(f"{100 * result(out / 'aslan').figures['accuracy']:.1f}: 32 of 3697 videos) |")


def test_accuracy_and_retrieval_on_real_videos(
    shared_videos: Path, shared_splits: Path, tmp_path: Path
) -> None:
    root = tmp_path / "UCF-101"  # the first two groups to test, two others to train: 5 classes
    for path in sorted((shared_videos / "ucf101").rglob("*_g0[1289]_c0[1-4].avi")):
        (root / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path.parent.name)
    options = ["--splits", shared_splits / "ucf101", "--frames-only"]
    train = make("ucf101", root, tmp_path / "train1", "--split", "train1", *options)
    tests = make("ucf101", root, tmp_path / "test1", "--split", "test1", *options)
    small = ["--width", 0.0625, "--fc-width", 32, "--epochs", 1, *COMPUTE]
    shards = ["--shards", train, "--test-shards", tests]
    run("mas_train.finetune_cli", "--init", "scratch", *shards, "--out", tmp_path / "run", *small)
    found = result(tmp_path / "run")
    assert (found.dataset, found.split) == ("ucf101", "test1") and found.videos >= 10
    assert np.sum(found.details["confusion"]) == found.videos and len(found.details["classes"]) == 101
    gallery = ["--gallery", train, "--shards", tests, "--no-baseline", "--out", tmp_path / "retrieval"]
    run("mas_train.evaluation.cli", "retrieval", "--checkpoint", tmp_path / "run", *gallery, *COMPUTE)
    figures = list(result(tmp_path / "retrieval").figures.values())
    assert figures == sorted(figures) and 0 < figures[-1] <= 1
