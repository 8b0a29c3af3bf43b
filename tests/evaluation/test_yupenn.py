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
from mas_train.evaluation.linear import C_GRID, ChoiceOfC
from mas_train.evaluation.results import read_results
from mas_train.evaluation.yupenn import leave_one_out


@pytest.mark.parametrize("c", [1.0, 20.0])
def test_leave_one_out_equals_a_naive_loop(c: float) -> None:
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(4), 6)
    features = np.abs(rng.uniform(0, 1, (4, 15))[classes] + 0.4 * rng.standard_normal((24, 15)))
    rows = np.array([row / math.sqrt(sum(v * v for v in row)) for row in features])
    naive = []
    for out in range(24):
        others = [i for i in range(24) if i != out]
        scale = math.sqrt(((rows[others] - rows[others].mean(axis=0)) ** 2).sum(axis=1).mean())
        machine = SVC(kernel="linear", C=c).fit(rows[others] / scale, classes[others])
        naive.append(machine.predict([rows[out] / scale])[0])
    predicted = leave_one_out(features, classes, ChoiceOfC(c))
    assert predicted.tolist() == naive
    assert 0.3 < (predicted == classes).mean() < 1


@pytest.mark.parametrize("nearness", [1.0, 0.1, 0.001])
def test_close_unit_vectors_are_told_apart_however_close_they_are(nearness: float) -> None:
    from sklearn.model_selection import LeaveOneOut, cross_val_predict
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(4), 8)
    planted = 0.2 * rng.uniform(0, 1, (4, 30))[classes] + 0.1 * rng.uniform(0, 1, (32, 30))
    features = 1 + nearness * planted
    choice = ChoiceOfC()
    predicted = leave_one_out(features, classes, choice)
    assert (predicted == classes).mean() > 0.85
    assert len(choice.chosen) == 32 and set(choice.chosen) <= set(C_GRID)
    assert choice.facts["fits"] == 32 * 3 * len(C_GRID)
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    at_1 = cross_val_predict(SVC(kernel="linear", C=1.0), rows, classes, cv=LeaveOneOut())
    assert (at_1 == classes).mean() < 0.25  # a fixed C is below chance


def test_leave_one_out_needs_two_of_each_class() -> None:
    with pytest.raises(InputError, match=r"found counts \[2, 1\]"):
        leave_one_out(np.ones((3, 2)), np.array([0, 0, 1]))


def test_yupenn_command_leaves_one_video_out(
    pretrained: Path, train: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--checkpoint", pretrained, "--shards", *train.paths, "--no-baseline", "--features", "mean"]
    assert run(eval_main, "yupenn", *args, "--out", tmp_path / "a", "--svm-c", 100, *SMALL) == 0
    assert run(eval_main, "yupenn", *args, "--out", tmp_path / "b", *SMALL) == 0
    printed = capsys.readouterr().out
    assert "self-supervised: C = 100, given" in printed and "chosen of 0.1, 1, 10, 100, 1000" in printed
    given, chosen = read_results([tmp_path])
    for result in (given, chosen):
        assert result.figures["accuracy"] >= 7 / 9 and result.videos == 9
        assert result.random_initialisation == {}
        assert result.outcomes["right"]["accuracy"][0].count("1") / 9 == result.figures["accuracy"]
    assert given.details["c"]["self-supervised"] == {"range": [100, 100], "grid": None, "fits": 0}
    assert chosen.details["c"]["self-supervised"]["grid"] == list(C_GRID)
