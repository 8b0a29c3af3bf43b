"""TV-L1 on known motion: its error is no larger than OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mas_labels.flow import tvl1

ROWS, COLS = 96, 128
MARGIN = 24


def texture(seed, rows=ROWS + 2 * MARGIN, cols=COLS + 2 * MARGIN):
    """Return a picture with detail at several scales, (rows, cols) float32 in [0, 255]."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((rows, cols), np.float32)
    for sigma in (1.5, 4, 10):
        layer = cv2.GaussianBlur(rng.uniform(-1, 1, (rows, cols)).astype(np.float32), (0, 0), sigma)
        picture += layer / layer.std()
    return cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)


def displaced(picture, u, v):
    """Return the second frame of a pair; the flow (u, v), each (H, W), is given at its pixels."""
    rows, cols = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
    return cv2.remap(picture, cols - u, rows - v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def pair(u, v, seed=0):
    """Return a pair of frames and its flow, cropped so that nothing moves in from outside the picture."""
    first = texture(seed)
    inner = np.s_[MARGIN : MARGIN + ROWS, MARGIN : MARGIN + COLS]
    frames = np.stack([first, displaced(first, u, v)])[:, inner[0], inner[1]]
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8), np.stack([u, v], axis=-1)[inner]


def field(kind):
    """Return (u, v) of a named motion over the whole texture."""
    shape = (ROWS + 2 * MARGIN, COLS + 2 * MARGIN)
    rows, cols = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    rows, cols = rows - shape[0] / 2, cols - shape[1] / 2
    if kind == "rotation":
        return -0.03 * rows, 0.03 * cols
    if kind == "zoom":
        return 0.03 * cols, 0.03 * rows
    u, v = kind
    return np.full(shape, u, np.float32), np.full(shape, v, np.float32)


def endpoint_error(flow, truth):
    return np.hypot(*np.moveaxis(flow - truth, -1, 0))[8:-8, 8:-8].mean()


def assert_no_worse_than_opencv(frames, truth, limit):
    ours = endpoint_error(tvl1.tvl1_flow(frames)[0], truth)
    reference = cv2.optflow.DualTVL1OpticalFlow_create().calc(frames[0], frames[1], None)
    assert ours < limit
    assert ours <= 1.02 * endpoint_error(reference, truth) + 2e-3  # both end where the last bit led them


MOTIONS = [(0.25, 0.0), (0.5, -0.5), (1.0, 2.0), (-3.3, 1.7), (6.0, 0.0), "rotation", "zoom"]


@pytest.mark.parametrize("kind", MOTIONS, ids=str)
def test_known_motion_is_found(kind):
    frames, truth = pair(*field(kind))
    assert_no_worse_than_opencv(frames, truth, limit=0.15)


def test_motion_of_twenty_pixels_is_found():
    rows, cols = 240, 320
    picture = cv2.GaussianBlur(texture(3, rows, cols + 20), (0, 0), 4)
    frames = np.rint(np.stack([picture[:, 20:], picture[:, :-20]])).astype(np.uint8)
    truth = np.zeros((rows, cols, 2), np.float32) + np.float32([20, 0])
    ours = tvl1.tvl1_flow(frames, nscales=12)[0]
    reference = cv2.optflow.DualTVL1OpticalFlow_create(nscales=12).calc(frames[0], frames[1], None)
    errors = [np.hypot(*np.moveaxis(flow - truth, -1, 0))[:, 24:-24].mean() for flow in (ours, reference)]
    assert errors[0] < 0.5
    assert errors[0] <= 1.02 * errors[1] + 2e-3


def test_a_square_over_a_moving_background_is_found():
    background, square = texture(1), texture(2)[: MARGIN * 2, : MARGIN * 2]
    frames = []
    for t in range(2):
        frame = np.roll(background, t, axis=1)[MARGIN : MARGIN + ROWS, MARGIN : MARGIN + COLS].copy()
        frame[20 + 2 * t : 68 + 2 * t, 30 - 3 * t : 78 - 3 * t] = square
        frames.append(frame)
    truth = np.zeros((ROWS, COLS, 2), np.float32) + np.float32([1, 0])
    truth[20:68, 30:78] = (-3, 2)
    assert_no_worse_than_opencv(np.rint(np.stack(frames)).astype(np.uint8), truth, limit=0.6)
