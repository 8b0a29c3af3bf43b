"""Every protocol from videos to tables by the commands, on the demo data set."""

from __future__ import annotations

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

from mas_labels.datasets.demo import make_demo

pytestmark = pytest.mark.slow


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
    run(PRETRAIN, "--shards", labels, "--out", pre, *small, *COMPUTE)
    few = ["--epochs", 2, "--fc-width", 32, "--batch-size", 8]
    shards = ["--shards", labels, "--test-shards", tests]
    run(FINETUNE, "--init", pre, *shards, "--out", tuned, *few, *COMPUTE)
    finetuned = result(tuned)
    assert (finetuned.dataset, finetuned.split, finetuned.videos, finetuned.failed) == ("demo", "test", 8, [])
    assert np.sum(finetuned.details["confusion"]) == 8

    run(EVALUATE, "accuracy", "--checkpoint", tuned, "--shards", tests, "--out", out / "accuracy", *COMPUTE)
    assert result(out / "accuracy").figures == finetuned.figures
    gallery = ["--gallery", labels, "--shards", tests]
    run(EVALUATE, "retrieval", "--checkpoint", pre, *gallery, "--out", out / "retrieval", *COMPUTE)
    assert "top-50" not in result(out / "retrieval").figures  # the gallery has 32 videos
    run(EVALUATE, "yupenn", "--checkpoint", pre, "--shards", scenes, "--out", out / "yupenn", *COMPUTE)
    assert result(out / "yupenn").videos == 32 and result(out / "yupenn").random_initialisation
    view2 = ["--view2", tmp_path / "View2.mat"]
    run(EVALUATE, "aslan", "--checkpoint", pre, "--shards", pairs, *view2, "--out", out / "aslan", *COMPUTE)
    assert result(out / "aslan").details["pairs"] == 240
    picture = tmp_path / "attention.png"
    clips = ["--shards", labels, "--clip", 0, 9, "--out", picture]
    run(EVALUATE, "attention", "--checkpoint", pre, *clips, *COMPUTE)
    assert picture.read_bytes().startswith(b"\x89PNG")
    table = run(EVALUATE, "table", tmp_path / "runs", out)
    row = next(line for line in table.splitlines() if "C3D, self-supervised" in line)
    assert f"({100 * result(out / 'aslan').figures['accuracy']:.1f} [" in row
    assert row.endswith("]: 32 of 3697 videos) |")
