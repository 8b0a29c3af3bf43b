"""Intervals of accuracies and of their differences: bootstrap over groups of test videos and over networks.

Notes
-----
Videos of one group (of UCF101: cut from one recording; of Weizmann: of one person) are not independent, so
groups are drawn, not videos. Networks and groups cross each other, since every network is tested on all
groups; both are drawn, independently of each other (the pigeonhole bootstrap; Owen, Annals of Applied
Statistics 1(2), 2007, who shows that it does not understate the variance). Quantiles of few units are too
near to each other, and draws never leave the range of a few networks; so the bounds' distances from the
estimate are stretched, by one factor, to the half-width sqrt(sum of t^2 s^2) over the variances s^2 of groups
and of networks, each with Student's t of its own degrees of freedom (Banerjee, Sankhya 22, 1960, who shows
that it holds the mean of normal values at least as often as it says): wide for 2 or 3 networks.

Where all groups have the same mean (all videos right, or none), nothing varies to be drawn: the bounds then
allow for the share of unlike groups that G alike ones leave possible (Clopper and Pearson, Biometrika 26,
1934), as extreme as can be. With 5 groups of unequal sizes intervals hold a little less often than they say.

A difference is paired over groups: both rows are drawn with the same ones. Its networks are drawn for each
row alone, unless they are paired, that is, began with the same seeds: then the differences of the pairs are
drawn. To pair what two methods share, and to draw anew what they do not, is what Bouthillier et al. advise
(Accounting for Variance in Machine Learning Benchmarks, MLSys 2021).

One network alone says nothing about other networks of its row: its interval is over groups only, and a
difference from a row of one network is the difference from that network. Intervals take each comparison by
itself; they are not corrected for how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mas_labels.errors import InputError
from mas_labels.schema import RESULT_INTERVALS

LEVEL: Final = 0.95
"""Share of such intervals that hold the true value."""
DRAWS: Final = 2000
"""Number of bootstrap draws."""
BLOCK_DRAWS: Final = 200
"""Draws that are held in memory at a time."""
SEED: Final = 0
"""Seed of the draws: the same results always give the same interval."""
MIN_GROUPS: Final = 5
"""Fewest groups that an interval is computed from."""


@dataclass(frozen=True)
class Interval:
    """An accuracy, or a difference of two, with its bounds; shares, not percent.

    Attributes
    ----------
    estimate
        The mean over videos and networks, or the difference of two.
    low, high
        Bounds at `LEVEL`; None where there are too few groups.
    networks
        Number of networks; of a difference, that of the row with fewer.
    groups
        Number of groups of videos.
    """

    estimate: float
    low: float | None
    high: float | None
    networks: int
    groups: int

    @property
    def excludes_0(self) -> bool:
        """True if 0 lies outside of the bounds."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def interval(right: ArrayLike, groups: Sequence[Hashable] | NDArray | None = None) -> Interval:
    """Return the mean of videos that were recognised, with its interval.

    Parameters
    ----------
    right
        (N, V) or (V,) numbers from 0 to 1: whether each network recognised each video, or in which share of
        several tries.
    groups
        (V,), the group of each video; None for each video alone.

    Raises
    ------
    InputError
        If a shape is wrong, or there is no video.
    """
    return _combine([_by_group(right, groups)], lowest=0)


def difference(
    first: ArrayLike,
    second: ArrayLike,
    groups: Sequence[Hashable] | NDArray | None = None,
    is_paired: bool = False,
) -> Interval:
    """Return the difference of two rows' means, first less second, with its interval.

    Parameters
    ----------
    first, second
        As in `interval`, of the same videos in the same order.
    groups
        As in `interval`.
    is_paired
        Whether network i of both began with the same seed.

    Raises
    ------
    InputError
        As in `interval`, or if the videos differ, or numbers of paired networks do.
    """
    rows = [np.atleast_2d(np.asarray(row, np.float64)) for row in (first, second)]
    if rows[0].shape[1] != rows[1].shape[1] or (is_paired and len(rows[0]) != len(rows[1])):
        raise InputError(f"expected two rows of the same videos, found {rows[0].shape} and {rows[1].shape}")
    if is_paired:
        return _combine([_by_group(rows[0] - rows[1], groups)], lowest=-1)
    return _combine([_by_group(rows[0], groups), _by_group(-rows[1], groups)], lowest=-1)


def format_interval(shown: Interval, is_difference: bool = False) -> str:
    """Return an interval in percent, such as ``74.7 [70.1, 78.9]``; signed if it is a difference.

    An estimate without bounds is shown alone.
    """
    sign = "+" if is_difference else ""
    text = f"{100 * shown.estimate:{sign}.1f}"
    if shown.low is None or shown.high is None:
        return text
    return f"{text} [{100 * shown.low:{sign}.1f}, {100 * shown.high:{sign}.1f}]"


@dataclass(frozen=True)
class _Sums:
    """Sums over the videos of each group: (N, G), and numbers of videos, (G,)."""

    sums: NDArray[np.float64]
    sizes: NDArray[np.float64]

    @property
    def means(self) -> NDArray[np.float64]:
        """(N,), the mean of each network."""
        return self.sums.sum(axis=1) / self.sizes.sum()


def _by_group(right: ArrayLike, groups: Sequence[Hashable] | NDArray | None) -> _Sums:
    """Sum over the videos of each group."""
    rows = np.atleast_2d(np.asarray(right, np.float64))
    names = np.arange(rows.shape[-1]) if groups is None else np.asarray(groups)
    if rows.ndim != 2 or not rows.size or names.shape != rows.shape[1:] or not np.isfinite(rows).all():
        raise InputError(f"expected (N, V) finite numbers and (V,) groups, found {rows.shape}, {names.shape}")
    _, numbers = np.unique(names, return_inverse=True)
    sums = np.stack([np.bincount(numbers, row).astype(np.float64) for row in rows])
    return _Sums(sums, np.bincount(numbers).astype(np.float64))


def _combine(rows: Sequence[_Sums], lowest: float) -> Interval:
    """Return the sum of the rows' means, all of the same groups, with its interval within `lowest` and 1."""
    sizes, networks = rows[0].sizes, min(len(row.sums) for row in rows)
    estimate = float(sum(row.means.mean() for row in rows))
    if len(sizes) < MIN_GROUPS:
        return Interval(estimate, None, None, networks, len(sizes))
    drawn = _draw(rows)
    deviation = float(drawn.std())
    if deviation < 1e-12:  # all groups alike
        unlike = 1 - ((1 - LEVEL) / 2) ** (1 / len(sizes))
        low, high = estimate - unlike * (estimate - lowest), estimate + unlike * (1 - estimate)
    else:
        stretch = _half_width(rows, estimate) / (NormalDist().inv_cdf((1 + LEVEL) / 2) * deviation)
        quantiles = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low, high = np.clip(estimate + stretch * (quantiles - estimate), lowest, 1)
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate), networks, len(sizes))


def _half_width(rows: Sequence[_Sums], estimate: float) -> float:
    """Return half the width of an interval, from the variances of the mean over groups and over networks."""
    sizes = rows[0].sizes
    residuals = sum(row.sums.mean(axis=0) for row in rows) - estimate * sizes  # (G,)
    parts = [(float((residuals**2).sum()) * len(sizes) / sizes.sum() ** 2 / (len(sizes) - 1), len(sizes) - 1)]
    parts += [(row.means.var(ddof=1) / len(row.sums), len(row.sums) - 1) for row in rows if len(row.sums) > 1]
    return math.sqrt(sum(variance * _student_quantile(freedom) ** 2 for variance, freedom in parts))


def _student_quantile(freedom: int) -> float:
    """Return the quantile of Student's t at the upper bound, within 1 % (Abramowitz and Stegun, 26.7.5)."""
    if freedom == 1:
        return math.tan(math.pi * LEVEL / 2)
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def _draw(rows: Sequence[_Sums]) -> NDArray[np.float64]:
    """Draw groups, the same for all rows, and each row's networks; return the sum of means of each draw."""
    generator, sizes = np.random.default_rng(SEED), rows[0].sizes
    drawn = []
    for _ in range(0, DRAWS, BLOCK_DRAWS):
        groups = _count_drawn(generator, len(sizes))
        total = np.zeros(BLOCK_DRAWS)
        for row in rows:
            networks = _count_drawn(generator, len(row.sums))
            total += ((networks @ row.sums) * groups).sum(axis=1) / len(row.sums)
        drawn.append(total / (groups @ sizes))
    return np.concatenate(drawn)


def _count_drawn(generator: np.random.Generator, units: int) -> NDArray[np.float64]:
    """Draw as many units as there are, with replacement; return how often each is drawn, (draws, units)."""
    drawn = generator.integers(units, size=(BLOCK_DRAWS, units)) + units * np.arange(BLOCK_DRAWS)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=BLOCK_DRAWS * units)
    return counts.reshape(BLOCK_DRAWS, units).astype(np.float64)


@dataclass(frozen=True)
class Outcomes:
    """Outcome of every test video, as small as a result's file can keep it.

    Attributes
    ----------
    videos
        Digest of the videos' names, in order: only outcomes of the same videos are compared.
    unit
        Words for what `groups` are.
    groups
        (V,), number of each video's group.
    right
        Name of a figure -> one text per try (such as a draw of few labels), with a digit for each video: 1 if
        it was recognised.
    random
        The same of random weights; empty if they were not measured.
    """

    videos: str
    unit: str
    groups: Sequence[int]
    right: Mapping[str, Sequence[str]]
    random: Mapping[str, Sequence[str]]

    @property
    def bounds(self) -> dict[str, dict[str, list[float]]]:
        """Intervals, as a result's file keeps them for pages: none where there are too few groups.

        ``"figures"`` and ``"random_initialisation"``: name -> low, high; ``"difference"``, of these two: name
        -> estimate, low, high.
        """
        found: dict[str, dict[str, list[float]]] = {kind: {} for kind in RESULT_INTERVALS}
        for name, texts in self.right.items():
            ours = decode_right(texts)
            shown = {"figures": interval(ours, self.groups)}
            if name in self.random:
                theirs = decode_right(self.random[name])
                shown["random_initialisation"] = interval(theirs, self.groups)
                shown["difference"] = difference(ours, theirs, self.groups)
            for kind, one in shown.items():
                if one.low is not None and one.high is not None:
                    estimate = [one.estimate] if kind == "difference" else []
                    found[kind][name] = [*estimate, one.low, one.high]
        return found


def encode_right(right: NDArray[np.bool_]) -> list[str]:
    """Return whether videos were recognised, (V,) or (tries, V) bool, as texts of `Outcomes`."""
    return ["".join("01"[int(value)] for value in row) for row in np.atleast_2d(right)]


def decode_right(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the share of the tries that recognised each video, (V,)."""
    return np.array([[int(digit) for digit in text] for text in texts], np.float64).mean(axis=0)
