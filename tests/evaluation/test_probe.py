"""Linear probe on frozen features: planted classes, groups, refused input."""

from __future__ import annotations

import numpy as np
import pytest

from mas_labels.errors import InputError
from mas_train.evaluation.probe import classify, leave_group_out


def test_probe_finds_planted_classes_and_no_others() -> None:
    rng = np.random.default_rng(0)
    classes = np.arange(40) % 4
    planted = np.eye(4)[classes] + 0.1 * rng.normal(size=(40, 4))
    assert (classify(planted[:20], classes[:20], planted[20:]) == classes[20:]).all()
    assert (leave_group_out(planted, classes, np.arange(40) // 8) == classes).all()
    noise = rng.normal(size=(400, 20))
    many = np.arange(400) % 4
    assert (classify(noise[:200], many[:200], noise[200:]) == many[200:]).mean() < 0.4


def test_a_group_is_never_in_its_own_training_set() -> None:
    groups = np.repeat(np.arange(6), 2)
    classes = np.tile([0, 1], 6)
    # the only feature that tells the class turns its sign in the last group
    features = np.where(classes == 1, 1.0, -1.0)[:, None] * np.where(groups == 5, -1.0, 1.0)[:, None]
    assert (leave_group_out(features, classes, groups) == classes).tolist() == [True] * 10 + [False] * 2


@pytest.mark.parametrize(
    ("train", "classes", "message"),
    [
        (np.zeros((4, 3)), np.zeros(4, int), "two different ones"),
        (np.full((4, 2), np.nan), np.arange(4) % 2, "finite"),
        (np.zeros((4, 3)), np.arange(4) % 2, "expected features"),
    ],
)
def test_invalid_probe_input_is_refused(train: np.ndarray, classes: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        classify(train, classes, np.zeros((2, 2 if "features" in message or "finite" in message else 3)))
