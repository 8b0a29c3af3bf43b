"""Colour coding of flow: known hues in known directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mas_labels.errors import InputError
from mas_labels.inspect.flow_colour import colour_wheel, flow_colours, largest_length, wheel_hues


@pytest.mark.parametrize(
    ("u", "v", "colour"),
    [
        (1, 0, (255, 0, 0)),  # right is red
        (0, 1, (255, 229, 0)),  # down is yellow: 13.5 of the 15 steps from red
        (-1, 0, (0, 209, 255)),  # left is cyan, two of eleven steps towards blue
        (0, -1, (88, 0, 255)),  # up is violet
        (0, 0, (255, 255, 255)),
        (0.5, 0, (255, 127, 127)),  # half the length, half the way from white
        (2, 0, (191, 0, 0)),  # beyond the scale: darker
    ],
)
def test_known_hues_in_known_directions(u: float, v: float, colour: tuple[int, int, int]) -> None:
    assert tuple(flow_colours(np.array([u, v]), 1.0).tolist()) == colour


def test_the_wheel_has_55_hues_of_full_colour() -> None:
    hues = wheel_hues()
    assert hues.shape == (55, 3)
    assert (hues.max(axis=1) == 255).all() and (hues.min(axis=1) == 0).all()
    np.testing.assert_array_equal(hues[[0, 15, 21, 25, 36, 49]] > 0, [
        (True, False, False), (True, True, False), (False, True, False), (False, True, True),
        (False, False, True), (True, False, True),
    ])  # fmt: skip


def test_the_legend_shows_each_direction_on_its_side() -> None:
    wheel = colour_wheel(101)
    assert tuple(wheel[50, 50]) == (255, 255, 255) == tuple(wheel[0, 0])
    assert tuple(wheel[50, 100]) == (255, 0, 0)
    assert tuple(wheel[100, 50]) == (255, 229, 0)


@given(st.floats(0, 2 * np.pi), st.floats(0.01, 1), st.floats(0.1, 50))
def test_only_the_length_relative_to_the_scale_counts(angle: float, length: float, scale: float) -> None:
    vector = length * np.array([np.cos(angle), np.sin(angle)])
    colours, scaled_colours = flow_colours(vector, 1.001), flow_colours(scale * vector, 1.001 * scale)
    np.testing.assert_allclose(colours.astype(int), scaled_colours.astype(int), atol=1)
    # the strongest channel is full, the weakest shows the length
    assert colours.max() >= 254 and colours.min() == pytest.approx(255 * (1 - length / 1.001), abs=1.5)


def test_the_scale_is_the_length_of_the_longest_vectors() -> None:
    flow = np.zeros((10, 10, 2))
    assert largest_length(flow) == 0.1
    flow[..., 0] = 3
    flow[..., 1] = 4
    assert largest_length(flow) == 5


def test_invalid_flow_is_refused() -> None:
    for flow, largest in ((np.zeros((3, 3)), 1.0), (np.full(2, np.nan), 1.0), (np.zeros(2), 0.0)):
        with pytest.raises(InputError):
            flow_colours(flow, largest)
