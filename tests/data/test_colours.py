"""Random changes of colour, against one pixel after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mas_train.data.colours import HUE_TURNS, YIQ, change_colours, draw_colour_changes

MEAN = (102.0, 98.0, 90.0)
CLIPS = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 5, 6)).astype(np.float32)
"""(B, 3, frames, rows, cols)."""


def views_of(clips: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(clips - np.float32(MEAN)[:, None, None, None])


def changed_pixel(pixel: np.ndarray, clip_grey: float, changes: list[float]) -> np.ndarray:
    """One pixel, change after change: grey values, then the hue as an angle in the plane of I and Q."""
    brightness, contrast, saturation, hue = changes
    pixel = pixel * brightness
    pixel = clip_grey * brightness + contrast * (pixel - clip_grey * brightness)
    grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]
    pixel = grey + saturation * (pixel - grey)
    luma, i, q = YIQ.numpy() @ pixel
    angle, length = math.atan2(q, i) + 2 * math.pi * hue, math.hypot(i, q)
    turned = np.linalg.solve(YIQ.numpy(), [luma, length * math.cos(angle), length * math.sin(angle)])
    return turned.clip(0, 255)


def test_changes_equal_those_of_one_pixel_after_the_other() -> None:
    changes = torch.tensor(
        [[1.3, 0.7, 1.2, 0.05], [0.8, 1.4, 0.6, -0.1], [1, 1, 0, 0.2]], dtype=torch.float64
    )
    found = change_colours(views_of(CLIPS), changes, MEAN)
    assert found.shape == CLIPS.shape and found.dtype == torch.float32
    for clip, row, values in zip(CLIPS, changes.tolist(), found.numpy(), strict=True):
        pixels = clip.reshape(3, -1).T.astype(np.float64)
        grey = float((pixels @ [0.299, 0.587, 0.114]).mean())
        expected = np.array([changed_pixel(pixel, grey, row) for pixel in pixels]) - MEAN
        np.testing.assert_allclose(values.reshape(3, -1).T, expected, atol=0.02)


def test_factors_of_one_change_nothing_and_grey_clips_keep_to_grey() -> None:
    nothing = torch.tensor([[1.0, 1.0, 1.0, 0.0]] * 3, dtype=torch.float64)
    torch.testing.assert_close(
        change_colours(views_of(CLIPS), nothing, MEAN), views_of(CLIPS), atol=1e-3, rtol=0
    )
    grey = np.repeat(CLIPS[:, :1], 3, axis=1)
    coloured = torch.tensor([[1.0, 1.0, 1.8, 0.2]] * 3, dtype=torch.float64)
    torch.testing.assert_close(
        change_colours(views_of(grey), coloured, MEAN), views_of(grey), atol=0.1, rtol=0
    )


def test_draws_fill_their_ranges_and_follow_seed_epoch_and_clip() -> None:
    drawn = draw_colour_changes(3, 1, torch.arange(4000), 0.4)
    centre, half = torch.tensor([1, 1, 1, 0.0]), torch.tensor([0.4, 0.4, 0.4, 0.4 * HUE_TURNS])
    scaled = (drawn - centre) / half
    assert scaled.abs().max() <= 1
    for column in scaled.T:
        assert torch.histc(column.float(), 8, -1, 1).tolist() == pytest.approx([500] * 8, rel=0.2)
    assert torch.corrcoef(drawn.T).fill_diagonal_(0).abs().max() < 0.06
    torch.testing.assert_close(draw_colour_changes(3, 1, torch.tensor([70, 8]), 0.4), drawn[[70, 8]])
    for other in (
        draw_colour_changes(3, 2, torch.arange(4000), 0.4),
        draw_colour_changes(4, 1, torch.arange(4000), 0.4),
    ):
        assert not torch.isclose(other, drawn).any(dim=1).all()
