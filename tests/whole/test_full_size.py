"""The network at the paper's size: some steps of pre-training and fine-tuning, and features, on the demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.rehearsing import EVALUATE, FINETUNE, PRETRAIN, make, result, run

from mas_labels.datasets.demo import make_demo

pytestmark = pytest.mark.slow

COMPUTE = ["--device", "cpu", "--threads", "2", "--workers", "0"]
C3D = 3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 256
"""Sum over the five convolutions of input times output channels (paper, section 4.1)."""
CONVOLUTIONS = 27 * C3D + 64 + 128 + 3 * 256
BRANCH = (4096 * 2048 + 2048) + (2048 * 2048 + 2048)


def weight_count(path: Path) -> int:
    return sum(value.numel() for value in torch.load(path, weights_only=True)["model"].values())


def test_the_papers_network_learns_and_is_measured(tmp_path: Path) -> None:
    make_demo(tmp_path / "videos")
    few = ["--flow", "dis", "--view-stride", 29, "--limit", 8]
    train = make("demo", tmp_path / "videos", tmp_path / "train", "--split", "train", *few)
    tests = make(
        "demo", tmp_path / "videos", tmp_path / "test", "--split", "test", "--frames-only", "--limit", 4
    )
    own, scratch, tuned = (tmp_path / "runs" / name for name in ("own", "scratch", "tuned"))
    run(PRETRAIN, "--shards", train, "--out", own, "--batch-size", 2, "--max-steps", 2, *COMPUTE)
    last = own / "checkpoints" / "step-00000002.pt"
    assert weight_count(last) == CONVOLUTIONS + 2 * BRANCH + 2049 * (14 + 13)

    shards = ["--shards", train, "--test-shards", tests, "--epochs", 1, "--batch-size", 4, *COMPUTE]
    run(FINETUNE, "--init", "scratch", *shards, "--out", scratch)
    run(FINETUNE, "--init", own, "--scratch-run", scratch, *shards, "--out", tuned)
    tuned_result = result(tuned)
    classes = len(tuned_result.details["classes"])
    assert weight_count(tuned / "finetuned.pt") == CONVOLUTIONS + BRANCH + 2049 * classes
    assert tuned_result.weights["width"] == 1.0
    assert tuned_result.random_initialisation == result(scratch).figures
    args = ["--checkpoint", own, "--shards", tests, "--gallery", train, "--out", tmp_path / "retrieval"]
    run(EVALUATE, "retrieval", *args, "--no-baseline", *COMPUTE)
    kept = sorted(np.load(path).shape for path in (tmp_path / "features").glob("*.npy"))
    assert kept == [(4, 256), (8, 256)]  # the videos of each part
