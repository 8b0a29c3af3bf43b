"""Every protocol on real footage laid out like the data sets, with the official lists where there are any."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.rehearsing import (
    COMPUTE,
    EVALUATE,
    FINETUNE,
    PRETRAIN,
    make,
    numbered_copies,
    result,
    run,
    write_pairs,
)

pytestmark = pytest.mark.slow

TINY = ["--fc-width", 32, *COMPUTE]
SCENES = ["--frames-only", "--clip-stride", 8]


@pytest.fixture(scope="module")
def ucf101(shared_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the first video of groups 1, 2 (test part of split 1) and 8 (training part) of five classes."""
    root = tmp_path_factory.mktemp("ucf101") / "UCF-101"
    for folder in (shared_videos / "ucf101").iterdir():
        (root / folder.name).mkdir(parents=True)
        for group in ("01", "02", "08"):
            shutil.copy(min(folder.glob(f"*_g{group}_*")), root / folder.name)
    return root


@pytest.fixture(scope="module")
def splits(ucf101: Path, shared_splits: Path) -> tuple[Path, Path]:
    """Return shards of both parts of split 1: of the training part with labels, of the test part without."""
    options = ["--splits", shared_splits / "ucf101"]
    labels = [*options, "--split", "train1", "--view-stride", 29]
    train = make("ucf101", ucf101, ucf101.parent / "train1", *labels)
    return train, make(
        "ucf101", ucf101, ucf101.parent / "test1", *options, "--split", "test1", "--frames-only"
    )


@pytest.fixture(scope="module")
def pretrained(splits: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "ucf101"
    small = ["--width", 0.0625, "--batch-size", 8, "--max-steps", 6, *TINY]
    run(PRETRAIN, "--shards", splits[0], "--out", out, *small)
    return out


def finetune(pretrained: Path, train: Path, tests: Path, out: Path) -> tuple[Path, Path]:
    """Fine-tune from scratch and from the pre-trained network, as on the data sets' pages."""
    shards = ["--shards", train, "--test-shards", tests, "--epochs", 1, *TINY]
    scratch, tuned = out / "scratch", out / "tuned"
    run(FINETUNE, "--init", "scratch", "--width", 0.0625, *shards, "--out", scratch)
    run(FINETUNE, "--init", pretrained, "--scratch-run", scratch, *shards, "--out", tuned)
    return scratch, tuned


@pytest.fixture(scope="module")
def finetuned(
    pretrained: Path, splits: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    return finetune(pretrained, *splits, tmp_path_factory.mktemp("finetuned"))


def test_ucf101(
    pretrained: Path, finetuned: tuple[Path, Path], splits: tuple[Path, Path], tmp_path: Path
) -> None:
    scratch, tuned = finetuned
    outcome = result(tuned)
    assert (outcome.dataset, outcome.split, outcome.videos, outcome.failed) == ("ucf101", "test1", 10, [])
    assert np.sum(outcome.details["confusion"]) == 10 and len(outcome.details["classes"]) == 101
    assert outcome.random_initialisation == result(scratch).figures and outcome.details["leaks"] == []
    gallery = ["--gallery", splits[0], "--shards", splits[1], "--out", tmp_path / "retrieval"]
    run(EVALUATE, "retrieval", "--checkpoint", pretrained, *gallery, *COMPUTE)
    retrieved = result(tmp_path / "retrieval")
    assert list(retrieved.figures) == ["top-1"]  # 5 training videos: no larger rank, no ten neighbours
    assert retrieved.random_initialisation.keys() == retrieved.figures.keys()
    table = run(EVALUATE, "table", tuned.parent)
    assert f"| Joint | 58.8 | ({100 * outcome.figures['top-1']:.1f} [" in table
    assert "]: 10 of 3783 videos) |" in table


def test_attention(pretrained: Path, splits: tuple[Path, Path], tmp_path: Path) -> None:
    picture = tmp_path / "attention.png"
    args = ["--checkpoint", pretrained, "--shards", splits[0], "--clip", 0, 20, "--out", picture]
    run(EVALUATE, "attention", *args, *COMPUTE)
    assert picture.read_bytes().startswith(b"\x89PNG")
    run(EVALUATE, "look", "--run", pretrained, "--shards", splits[0], "--queries", splits[1], *COMPUTE)
    assert (pretrained / "attention.png").exists() and (pretrained / "neighbours.png").exists()


def test_hmdb51(shared_videos: Path, shared_splits: Path, pretrained: Path, tmp_path: Path) -> None:
    lists = ["--splits", shared_splits / "hmdb51" / "testTrainMulti_7030_splits", "--frames-only"]
    root = shared_videos / "hmdb51"
    train = make("hmdb51", root, tmp_path / "train1", "--split", "train1", *lists)
    tests = make("hmdb51", root, tmp_path / "test1", "--split", "test1", *lists)
    scratch, tuned = finetune(pretrained, train, tests, tmp_path / "runs")
    outcome = result(tuned)
    assert (outcome.dataset, outcome.split, outcome.videos, outcome.failed) == ("hmdb51", "test1", 2, [])
    assert len(outcome.details["classes"]) == 4  # those that are there
    assert outcome.random_initialisation == result(scratch).figures
    assert "of 1530 videos" in run(EVALUATE, "table", tmp_path / "runs")


def test_kinetics400(shared_videos: Path, tmp_path: Path) -> None:
    root = tmp_path / "k400"
    rows = []
    for number, path in enumerate(sorted((shared_videos / "kinetics").glob("*.mp4"))):
        clip, label = path.stem[:11], ("air drumming", "zumba")[number % 2]
        (root / "train" / label.replace(" ", "_")).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / "train" / label.replace(" ", "_") / f"{clip}_000002_000012.mp4")
        rows.append((label, clip, 2, 12, "train"))
    (root / "annotations").mkdir()
    with (root / "annotations" / "train.csv").open("w", newline="") as file:
        head = ("label", "youtube_id", "time_start", "time_end", "split")
        csv.writer(file).writerows([head, *rows, ("zumba", "gone_gone_g", 0, 10, "train")])
    assert "missing: 1 listed videos are not on disk" in run(
        "mas_labels", "list", "--manifest", "kinetics400", "--root", root
    )
    options = ["--split", "train", "--flow", "dis", "--view-stride", 29]
    labels = make("kinetics400", root, tmp_path / "labels", *options)
    small = ["--preset", "kinetics400", "--width", 0.0625, "--batch-size", 4, "--max-steps", 3, *TINY]
    text = run(PRETRAIN, "--shards", labels, "--out", tmp_path / "run", *small)
    assert "kinetics400" in text and (tmp_path / "run" / "checkpoints").is_dir()


def test_aslan(ucf101: Path, pretrained: Path, finetuned: tuple[Path, Path], tmp_path: Path) -> None:
    videos = sorted(ucf101.rglob("*_g0[12]_*.avi"))
    write_pairs(numbered_copies(videos, tmp_path / "samples"), tmp_path / "View2.mat")
    shards = make("aslan", tmp_path / "samples", tmp_path / "shards", *SCENES)
    view2 = ["--shards", shards, "--view2", tmp_path / "View2.mat"]
    results = tmp_path / "results"
    for weights, row in (
        (pretrained, "self-supervised"),
        (finetuned[0], "supervised"),
        (finetuned[1], "fine-tuned"),
    ):
        run(EVALUATE, "aslan", "--checkpoint", weights, *view2, "--out", results / row, *COMPUTE)
        outcome = result(results / row)
        assert (outcome.weights["kind"], outcome.videos, outcome.details["pairs"]) == (row, 10, 240)
        assert outcome.random_initialisation.keys() == outcome.figures.keys()
        assert (results / row / "roc.png").exists()
    table = run(EVALUATE, "table", results)
    assert table.count("10 of 3697 videos") == 3


def test_yupenn(ucf101: Path, pretrained: Path, tmp_path: Path) -> None:
    root = tmp_path / "yupenn"
    names = ("Beach", "Windmill Farm", "Sky-Clouds", "Street", "Ocean")
    for number, path in enumerate(sorted(ucf101.rglob("*.avi"))):
        (root / names[number // 3]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / names[number // 3])
    shards = make("yupenn", root, tmp_path / "shards", *SCENES)
    out = tmp_path / "results"
    run(EVALUATE, "yupenn", "--checkpoint", pretrained, "--shards", shards, "--out", out, *COMPUTE)
    outcome = result(out)
    assert (outcome.videos, outcome.failed) == (15, []) and outcome.random_initialisation.keys() == {
        "accuracy"
    }
    assert "15 of 420 videos" in run(EVALUATE, "table", out)
