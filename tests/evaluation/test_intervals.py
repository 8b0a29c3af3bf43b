"""Intervals over groups and networks: coverage of planted values, differences, and what is refused."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_train.evaluation.intervals import (
    MIN_GROUPS,
    Interval,
    Outcomes,
    decode_right,
    difference,
    encode_right,
    format_interval,
    interval,
)

TRIALS = 120


def plant(
    rng: np.random.Generator, shape: tuple[int, int, int], networks: float, groups: float, mean: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Draw which videos are recognised; return that, their groups, and the true share over all of both.

    Networks and groups differ by normal deviations on the scale of a normal quantile, so that the true share
    is known in closed form; groups are of different sizes.
    """
    n, g, size = shape
    numbers = np.repeat(np.arange(g), 1 + np.arange(g) % (2 * size - 1))
    levels = mean + rng.normal(0, networks, (n, 1)) + rng.normal(0, groups, (1, g))
    chances = np.vectorize(NormalDist().cdf)(levels)[:, numbers]
    right = (rng.random(chances.shape) < chances).astype(np.float64)
    return right, numbers, NormalDist().cdf(mean / math.sqrt(1 + networks**2 + groups**2))


def covers(shown: Interval, true: float) -> bool:
    """Return whether an interval holds a value."""
    assert shown.low is not None and shown.high is not None and shown.low <= shown.estimate <= shown.high
    return shown.low <= true <= shown.high


@pytest.mark.parametrize(
    ("shape", "networks", "groups", "mean"),
    [
        ((1, 35, 3), 0.0, 0.7, 0.4),
        ((1, 15, 2), 0.0, 0.7, 1.6),  # at times all videos are right
        ((2, 35, 3), 0.6, 0.1, 0.4),  # two networks say little of others: quantiles alone hold 0.81
        ((6, 9, 5), 0.1, 0.4, 0.4),
        ((6, 40, 1), 0.3, 0.0, 0.4),
    ],
)
def test_intervals_hold_the_planted_share_as_often_as_they_say(
    shape: tuple[int, int, int], networks: float, groups: float, mean: float
) -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(TRIALS):
        right, numbers, true = plant(rng, shape, networks, groups, mean)
        shown = interval(right, numbers)
        held += covers(shown, true)
        assert shown.low is not None and shown.high is not None and 0 <= shown.low < shown.high <= 1
    error = math.sqrt(0.95 * 0.05 / TRIALS)
    assert 0.95 - 3 * error < held / TRIALS < 1


def test_to_count_videos_of_a_group_as_independent_holds_it_too_rarely() -> None:
    rng = np.random.default_rng(1)
    held = np.zeros(2)
    for _ in range(TRIALS // 4):
        right, numbers, true = plant(rng, (1, 20, 6), 0.0, 2.0, 0.4)
        held += covers(interval(right), true), covers(interval(right, numbers), true)
    alone, grouped = held / (TRIALS // 4)
    assert alone < 0.8 < grouped


@pytest.mark.parametrize("is_paired", [False, True])
def test_a_difference_of_equal_rows_excludes_0_as_rarely_as_it_says(is_paired: bool) -> None:
    rng = np.random.default_rng(2)
    excluded = found = 0
    for _ in range(TRIALS):
        right, numbers, _ = plant(rng, (8, 35, 3), 0.2, 0.7, 0.4)
        excluded += difference(right[:4], right[4:], numbers, is_paired).excludes_0
        better = np.maximum(
            right[4:], rng.random(right[4:].shape) < 0.5
        )  # right where the other is, and more
        found += difference(better, right[4:], numbers, is_paired).excludes_0
    assert excluded / TRIALS < 0.05 + 3 * math.sqrt(0.95 * 0.05 / TRIALS)
    assert found / TRIALS > (0.95 if is_paired else 0.5)


def test_what_rows_share_makes_their_difference_surer() -> None:
    rng = np.random.default_rng(3)
    right, numbers, _ = plant(rng, (4, 35, 3), 0.5, 0.7, 0.4)
    better = np.maximum(right, rng.random(right.shape) < 0.2)

    def width(shown: Interval) -> float:
        assert shown.low is not None and shown.high is not None
        return shown.high - shown.low

    paired, alone = (difference(better, right, numbers, pairs) for pairs in (True, False))
    assert paired.estimate == pytest.approx(alone.estimate) == pytest.approx(better.mean() - right.mean())
    assert width(paired) < width(alone) / 2
    assert width(interval(right[:1], numbers)) < width(interval(right, numbers))  # says less: one network
    assert interval(right, numbers) == interval(right, numbers)


def test_intervals_are_shown_in_percent_and_left_out_where_groups_are_few() -> None:
    right = np.tile([1, 0, 1, 1], (2, 5))
    assert format_interval(interval(right)).startswith("75.0 [")
    few = interval(right, np.arange(20) % (MIN_GROUPS - 1))
    assert format_interval(few) == "75.0" and not few.excludes_0
    for wrong in (np.ones((2, 3)), np.ones((0, 5)), np.full(5, np.nan)):
        with pytest.raises(InputError, match="expected"):
            interval(wrong, np.arange(5))
    with pytest.raises(InputError, match="two rows of the same videos"):
        difference(np.ones(4), np.ones(5))


def test_alike_groups_leave_room_for_others() -> None:
    alike = [interval(np.ones(9)), interval(np.zeros(9)), difference(np.ones(9), np.ones(9))]
    texts = [format_interval(one) for one in alike]  # nine of a share of 66.4 % have a chance of 2.5 %
    assert texts == ["100.0 [66.4, 100.0]", "0.0 [0.0, 33.6]", "0.0 [-33.6, 33.6]"]
    assert format_interval(difference(np.ones(9), np.zeros(9)), True) == "+100.0 [+32.7, +100.0]"


def test_outcomes_are_kept_as_they_were() -> None:
    tries = np.array([[True, False, True], [True, False, False]])
    assert encode_right(tries) == ["101", "100"] and encode_right(tries[0]) == ["101"]
    assert decode_right(encode_right(tries)).tolist() == [1, 0, 0.5]
    right = {"accuracy": ["10" * 10]}
    bounds = Outcomes("", "videos", list(range(20)), right, {"accuracy": ["0" * 20]}).bounds
    assert [len(bounds[kind]["accuracy"]) for kind in bounds] == [2, 2, 3]
    assert bounds["difference"]["accuracy"][0] == 0.5
