"""Stability of labels, counted by hand and against a loop."""

from __future__ import annotations

import numpy as np
import pytest

from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.report.stability import LabelStability, stability_section
from mas_labels.schema import LABEL_NAMES, ORIENTATION_NAMES

VIEWS = np.array([[8, 29, 0], [8, 29, 1], [0, 37, 0], [16, 29, 0], [8, 12, 0]], np.int16)
"""The centre, the same mirrored, two that are near, one that is far."""


def test_pairs_are_counted_by_hand() -> None:
    labels = np.ones((3, 5, 27), np.uint8)
    uo = LABEL_NAMES.index("grid_uo")
    labels[:, 0, uo] = [8, 1, 5]  # an eighth of a turn on; then, in another video, half of one
    labels[0, 2, uo] = 8  # one of the two near views agrees
    found = LabelStability()
    found.add(labels, VIEWS, np.array([4, 4, 7]))
    assert (found.near_pairs, found.next_pairs) == (6, 1)
    assert found.near_same[uo] == 1 + 2 and found.near_same[0] == 6  # the second clip's views are all 1
    assert found.next_same[uo] == 0 and found.next_same[0] == 1
    assert found.turned[ORIENTATION_NAMES.index("grid_uo")].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    assert found.turned_by()[ORIENTATION_NAMES.index("grid_uo")].tolist() == [0, 1, 0, 0, 0]
    assert found.by_chance[uo] == pytest.approx(1 / 3) and found.by_chance[0] == 1


def test_shards_add_up_to_the_counts_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    found, near, following, turned, pairs = LabelStability(), 0, 0, [0] * 5, 0
    place, row = LABEL_NAMES.index("rings_vo"), ORIENTATION_NAMES.index("rings_vo")
    for _ in range(3):
        labels = rng.integers(0, np.array(DEFAULT_GEOMETRY.label_max) + 1, (20, 5, 27)).astype(np.uint8)
        videos = np.sort(rng.integers(0, 4, 20))
        found.add(labels, VIEWS, videos)
        for clip in range(20):
            own = labels[clip, 0, place]
            near += sum(int(labels[clip, view, place] == own) for view in (2, 3))
            if clip < 19 and videos[clip] == videos[clip + 1]:
                other = labels[clip + 1, 0, place]
                following += int(own == other)
                if own and other:  # 0 has no direction
                    turn = abs(int(own) - int(other))
                    turned[min(turn, 8 - turn)] += 1
                    pairs += 1
    assert found.near_same[place] == near and found.next_same[place] == following
    np.testing.assert_allclose(found.turned_by()[row], np.array(turned) / pairs)


def test_the_section_is_left_out_if_there_is_nothing_to_compare() -> None:
    assert stability_section(LabelStability()) == ""
    found = LabelStability()
    found.add(np.ones((1, 5, 27), np.uint8), VIEWS, np.array([0]))
    text = stability_section(found)
    assert "<td>100%</td><td>100%</td><td>-</td>" in text and "turned" not in text
    found.add(np.ones((2, 5, 27), np.uint8), VIEWS, np.array([0, 0]))
    assert "<td>rings_uo</td><td>100%</td><td>0%</td>" in stability_section(found)
