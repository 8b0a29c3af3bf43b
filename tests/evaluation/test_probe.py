"""Linear probe on frozen features: planted classes, groups, refused input."""

from __future__ import annotations

import numpy as np
import pytest

from mas_labels.errors import InputError
from mas_train.evaluation.linear import C_GRID, TOO_FEW_C, ChoiceOfC, describe_c, inner_folds
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


def test_c_is_chosen_within_the_training_part_and_divides_no_group() -> None:
    classes, groups = np.tile([0, 1, 2], 12), np.repeat(np.arange(9), 4)
    folds = inner_folds(classes, groups)
    assert len(folds) == 3 and sorted(np.concatenate([rest for _, rest in folds])) == list(range(36))
    assert all(not set(groups[fit]) & set(groups[rest]) for fit, rest in folds)
    rng = np.random.default_rng(0)
    planted = np.eye(3)[classes] + 0.1 * rng.normal(size=(36, 3))
    choice = ChoiceOfC()
    classify(planted, classes, planted[:1] + 1e6, choice, groups)  # the tested video plays no part
    again = ChoiceOfC()
    classify(planted, classes, planted, again, groups)
    assert choice.chosen == again.chosen and choice.fits == 3 * len(C_GRID)
    assert inner_folds(np.array([0, 1]), None) == []
    assert inner_folds(classes, classes) == []  # each class one group: no fold has what it tests
    alone = ChoiceOfC()
    assert classify(np.eye(2), np.array([0, 1]), np.eye(2), alone).tolist() == [0, 1]
    assert alone.chosen == [TOO_FEW_C] and "too few videos" in describe_c(alone.facts)


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
