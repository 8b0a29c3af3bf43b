"""Dynamic scenes: leave-one-out recognition, against a naive loop, and by the command."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from helpers.coloured import SMALL, run

from mas_labels.errors import InputError
from mas_labels.shards.shard_set import ShardSet
from mas_train.cli.evaluate import main as eval_main
from mas_train.evaluation.results import read_results
from mas_train.evaluation.yupenn import leave_one_out


@pytest.mark.parametrize("c", [1.0, 20.0])
def test_leave_one_out_equals_a_naive_loop(c: float) -> None:
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(4), 6)
    features = np.abs(rng.uniform(0, 1, (4, 15))[classes] + 0.4 * rng.standard_normal((24, 15)))
    rows = [list(row / math.sqrt(sum(v * v for v in row))) for row in features]
    naive = []
    for out in range(24):
        others = [i for i in range(24) if i != out]
        machine = SVC(kernel="linear", C=c).fit([rows[i] for i in others], classes[others])
        naive.append(machine.predict([rows[out]])[0])
    predicted = leave_one_out(features, classes, c)
    assert predicted.tolist() == naive
    assert 0.3 < (predicted == classes).mean() < 1


def test_leave_one_out_needs_two_of_each_class() -> None:
    with pytest.raises(InputError, match=r"found counts \[2, 1\]"):
        leave_one_out(np.ones((3, 2)), np.array([0, 0, 1]))


def test_yupenn_command_leaves_one_video_out(pretrained: Path, train: ShardSet, tmp_path: Path) -> None:
    args = ["--checkpoint", pretrained, "--shards", *train.paths, "--out", tmp_path, "--svm-c", 100]
    assert run(eval_main, "yupenn", *args, "--no-baseline", "--features", "mean", *SMALL) == 0
    (result,) = read_results([tmp_path])
    assert result.figures["accuracy"] >= 7 / 9 and result.videos == 9
    assert result.random_initialisation == {} and result.details["svm_c"] == 100
