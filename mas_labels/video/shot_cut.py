"""Finds shot cuts in a clip: labels of a clip that lies across one describe no motion.

Frames are reduced to small grey pictures. The distance of two of them is the part of their variance that the
best shift of one against the other leaves unexplained: 0 for the same picture, however bright; about 1 for
unrelated pictures. Between two frames lies a cut if their distance is large, several times larger than those
of the clip's other neighbours, and if the frames just before are as far from the frames just after: a flash
returns to the picture before it. benchmarks/shot_cuts.md has the errors of this rule.

Notes
-----
Comparing a distance with those of its neighbourhood goes back to Yeo and Liu (1995); that motion explains
most of a difference within a shot is how video encoders tell a cut. Dissolves and fades over more than two
frames are no cuts. The paper does not mention cuts: it trains on UCF101, whose videos have few.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mas_labels.video.clips import check_frames

ROWS: Final = 12
COLS: Final = 16
"""Size of the small pictures."""
MAX_SHIFT: Final = 2
"""Largest shift that is tried, in pixels of the small pictures: an eighth to a sixth of the frame."""
NOISE: Final = 16.0
"""Variance in squared grey levels that tells nothing: noise, and the artefacts of compression."""
MIN_DISTANCE: Final = 0.2
MIN_RATIO: Final = 3.0
"""Defaults of `shot_cuts`, chosen on half of the footage in benchmarks/shot_cuts.md."""
OTHERS: Final = 0.85
"""Quantile of the other distances that it is compared with: a clip may have several cuts, and flashes."""
FLASH_FRAMES: Final = 3
"""Longest flash, in frames."""

Pictures = NDArray[np.float32]


def has_cut(frames: NDArray[np.uint8]) -> bool:
    """Return whether a shot cut lies between two frames of a clip; see `shot_cuts`."""
    return len(shot_cuts(frames)) > 0


def shot_cuts(
    frames: NDArray[np.uint8], min_distance: float = MIN_DISTANCE, min_ratio: float = MIN_RATIO
) -> list[int]:
    """Find the shot cuts of a clip.

    Parameters
    ----------
    frames
        (T, H, W, 3) uint8 RGB.
    min_distance
        Smallest distance across a cut.
    min_ratio
        Smallest ratio of this distance to those of the clip's other neighbours.

    Returns
    -------
    list of int
        Numbers of the frames that a new shot begins with, from 1 to T - 1, ascending.

    Raises
    ------
    InputError
        If `frames` are not RGB as uint8.
    """
    check_frames(frames)
    small = _small_pictures(frames)
    least = float(small.var(axis=(1, 2)).mean()) + NOISE
    distances = _distances(small[:-1], small[1:], least)
    cuts = []
    for before in np.flatnonzero(distances > min_distance).tolist():
        others = np.delete(distances, before)
        usual = np.quantile(others, OTHERS) if len(others) else 0.0
        if distances[before] > min_ratio * usual and _shortest(small, before + 1, least) > min_distance:
            cuts.append(before + 1)
    return cuts


def _small_pictures(frames: NDArray[np.uint8]) -> Pictures:
    """Reduce frames to (T, ROWS, COLS) grey levels, by averages over areas."""
    # frame by frame: each fits into the processor's cache
    greys = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames)
    return np.stack([cv2.resize(grey, (COLS, ROWS), interpolation=cv2.INTER_AREA) for grey in greys])


def _distances(first: Pictures, second: Pictures, least: float) -> NDArray[np.float32]:
    """Return the distance of each two pictures: (P,) float32, 0 to about 1.

    Parameters
    ----------
    first, second
        (P, ROWS, COLS) grey levels.
    least
        Variance that the unexplained one is compared with at least; with that of the two pictures alone, the
        last steps of a fade to black would be as large as a cut.
    """
    margin, count, area = (MAX_SHIFT, MAX_SHIFT), len(first), ROWS * COLS
    first = first - first.mean(axis=(1, 2), keepdims=True)
    second = second - second.mean(axis=(1, 2), keepdims=True)
    padded = np.pad(second, ((0, 0), margin, margin), mode="edge")
    shifted = sliding_window_view(padded, (ROWS, COLS), axis=(1, 2))
    shifted = shifted.reshape(count, (2 * MAX_SHIFT + 1) ** 2, area)
    # var(a - b) = var(a) + var(b) - 2 cov(a, b), in a third of the time
    own = np.square(first).mean(axis=(1, 2))
    of_shifted = np.einsum("psk,psk->ps", shifted, shifted) / area - np.square(shifted.mean(axis=2))
    common = np.matmul(shifted, first.reshape(count, area, 1))[..., 0] / area
    unexplained = (own[:, None] + of_shifted - 2 * common).min(axis=1)
    both = own + np.square(second).mean(axis=(1, 2)) + NOISE
    distances: NDArray[np.float32] = unexplained / np.maximum(both, least)
    return distances


def _shortest(small: Pictures, cut: int, least: float) -> float:
    """Return the shortest distance of pictures shortly before and soon after a cut: small for a flash."""
    before = small[max(0, cut - 1 - FLASH_FRAMES) : cut]
    after = small[cut : cut + 1 + FLASH_FRAMES]
    first, second = np.repeat(before, len(after), axis=0), np.tile(after, (len(before), 1, 1))
    return float(_distances(first, second, least).min())
