from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import mas_labels
from mas_labels.errors import InputError
from mas_labels.labels.conventions import PAPER
from mas_labels.labels.motion import octants, orientation_votes
from mas_labels.labels.motion_boundary import MAX_FLOW, check_sums, magnitudes

FIELD = np.float32([[0, 1, 3], [0, 2, 6], [4, 4, 4]])


def test_central_differences_by_hand():
    flow = np.zeros((2, 3, 3, 2), np.float32)
    flow[0, ..., 0] = FIELD
    flow[1, ..., 0] = FIELD
    mu, mv = mas_labels.motion_boundaries(flow)
    np.testing.assert_array_equal(mu[..., 0], 2 * np.float32([[1, 1.5, 2], [2, 3, 4], [0, 0, 0]]))
    np.testing.assert_array_equal(mu[..., 1], 2 * np.float32([[0, 1, 3], [2, 1.5, 0.5], [4, 2, -2]]))
    assert not mv.any()


def test_prewitt_by_hand_has_the_opposite_sign_and_a_repeated_edge():
    flow = np.zeros((1, 3, 3, 2), np.float32)
    flow[0, ..., 1] = FIELD
    mu, mv = mas_labels.motion_boundaries(flow, "authors")
    assert not mu.any()
    # centre: -((3 + 6 + 4) - (0 + 0 + 4)) and -((4 + 4 + 4) - (0 + 1 + 3))
    assert mv[1, 1].tolist() == [-9.0, -8.0]
    # top left corner, row and column repeated: -((1 + 1 + 2) - (0 + 0 + 0)) and -((0 + 0 + 2) - (0 + 0 + 1))
    assert mv[0, 0].tolist() == [-4.0, -1.0]


def test_sums_over_fields_lose_no_small_motion():
    """In float32 the sum 2**14 + 2**-11 - 2**14 is 0."""
    steps = np.float32([2**14, 2**-11, -(2**14)])
    flow = np.zeros((3, 2, 2, 2), np.float32)
    flow[:, :, 1, 0] = steps[:, None]
    mu, _ = mas_labels.motion_boundaries(flow)
    assert (mu[..., 0] == 2**-11).all()


def test_votes_of_every_combination_of_choices_by_hand():
    """One pixel of length 1 at 60 degrees on the screen: a third of the way into its bin, 45 to 90."""
    right, up = np.cos(np.pi / 3), np.sin(np.pi / 3)
    gradient = np.float32([[[right, -up]]])
    unit = 2.0**20
    for angle, vote, expected in (
        ("counter-clockwise", "whole", {1: 1}),
        ("counter-clockwise", "split", {1: 2 / 3, 2: 1 / 3}),
        ("clockwise", "whole", {6: 1}),
        ("clockwise", "split", {6: 1 / 3, 7: 2 / 3}),
    ):
        bins, votes = orientation_votes(
            gradient, magnitudes(gradient), replace(PAPER, angle=angle, vote=vote)
        )
        found = dict(zip(bins.ravel().tolist(), (votes.ravel() / unit).tolist(), strict=True))
        assert found == pytest.approx(expected, abs=0.01), (angle, vote)


def test_octants_by_hand_count_counter_clockwise_on_the_screen():
    degrees = np.arange(0, 360, 15)
    d_col, d_row = np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))
    off_edges = degrees % 45 != 0
    expected = degrees // 45
    assert octants(d_col[off_edges], d_row[off_edges]).tolist() == expected[off_edges].tolist()
    # exactly on an edge: the higher bin. Right, up right, up, up left, left, down left, down, down right
    d_col, d_row = np.float32([1, 1, 0, -1, -1, -1, 0, 1]), np.float32([0, -1, -1, -1, 0, 1, 1, 1])
    assert octants(d_col, d_row).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


finite = st.floats(-100, 100, width=32)


@settings(max_examples=50)
@given(
    arrays(np.float32, (2, 5, 6, 2), elements=finite), finite, finite, st.sampled_from(["paper", "authors"])
)
def test_a_constant_flow_added_changes_nothing(flow, u, v, convention):
    before = mas_labels.motion_boundaries(flow, convention)
    after = mas_labels.motion_boundaries(flow + np.float32([u, v]), convention)
    np.testing.assert_allclose(before, after, atol=1e-3)


@settings(max_examples=50)
@given(arrays(np.float32, (3, 5, 6, 2), elements=finite), st.sampled_from(["paper", "authors"]))
def test_mirroring_changes_signs_as_stated_to_the_last_bit(flow, convention):
    mu, mv = mas_labels.motion_boundaries(flow, convention)
    mirrored = flow[:, :, ::-1] * np.float32([-1, 1])
    mu_mirrored, mv_mirrored = mas_labels.motion_boundaries(mirrored, convention)
    np.testing.assert_array_equal(mu_mirrored, mu[:, ::-1] * np.float32([1, -1]))
    np.testing.assert_array_equal(mv_mirrored, mv[:, ::-1] * np.float32([-1, 1]))


def test_rotation_and_expansion_have_known_boundaries():
    """u = -w (row - c), v = w (col - c): du/drow = -w and dv/dcol = w everywhere, the rest 0."""
    row, col = np.indices((20, 30), np.float32)
    flow = np.stack([-0.5 * row, 0.5 * col], axis=-1)[None].repeat(15, axis=0)
    mu, mv = mas_labels.motion_boundaries(flow)
    np.testing.assert_allclose(mu, np.broadcast_to([0, -7.5], mu.shape), atol=1e-4)
    np.testing.assert_allclose(mv, np.broadcast_to([7.5, 0], mv.shape), atol=1e-4)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 16385, -16385])
def test_impossible_flow_is_refused(wrong):
    flow = np.zeros((2, 8, 8, 2), np.float32)
    flow[1, 3, 4, 1] = wrong
    with pytest.raises(InputError, match="finite values of at most 16384 pixels"):
        mas_labels.motion_boundaries(flow)


@pytest.mark.parametrize("shape", [(15, 128, 171), (15, 128, 171, 3), (0, 8, 8, 2), (1, 1, 8, 2)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(InputError, match=r"expected shape \(fields, rows, cols, 2\)"):
        mas_labels.motion_boundaries(np.zeros(shape, np.float32))


def test_sums_of_magnitudes_beyond_64_bits_are_refused():
    """256 fields of the largest flow that alternates from pixel to pixel, by the larger derivative."""
    largest = magnitudes(np.float32([[255 * 6 * MAX_FLOW, 255 * 6 * MAX_FLOW]]))
    check_sums(largest, 498**2)
    assert int(largest.max()) * 498**2 < 2**63 <= int(largest.max()) * 500**2
    with pytest.raises(InputError, match="less than 35184372 pixels in views of 250000 pixels, found 3545"):
        check_sums(largest, 500**2)
