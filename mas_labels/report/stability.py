"""Stability of labels: how often a slightly shifted view, and the video's next clip, have the same labels.

A label that changes with both is hard to predict, and one that never changes teaches nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import MAX_LABEL
from mas_labels.report.page import html_table
from mas_labels.schema import LABEL_NAMES, LABELS, ORIENTATION_NAMES, ORIENTATIONS

NEAR_PIXELS: Final = 8
"""Views that are shifted by at most this many rows and columns are near the centre view."""
TURNS: Final = ("0\u00b0", "45\u00b0", "90\u00b0", "135\u00b0", "180\u00b0")
UNIFORM: Final = ("12%", "25%", "25%", "25%", "12%")
"""Shares of `TURNS` if orientations were drawn uniformly."""
_ORIENTATION_COLUMNS: Final = [LABEL_NAMES.index(name) for name in ORIENTATION_NAMES]
_VALUES: Final = MAX_LABEL + 1


@dataclass
class LabelStability:
    """Counts of how often other views and clips have the labels of the centre view.

    Attributes
    ----------
    near_pairs, next_pairs
        Number of compared pairs: centre view and near view of a clip; a clip and the video's next clip.
    near_same, next_same
        (27,) int64: number of pairs with the same value.
    turned
        (6, 8) int64: number of pairs by the eighths of a turn from a clip's orientation to the next one's.
    values
        (27, 256) int64: how often the centre view has each value.
    """

    near_pairs: int = 0
    next_pairs: int = 0
    near_same: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LABELS, np.int64))
    next_same: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LABELS, np.int64))
    turned: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(_ORIENTATION_COLUMNS), ORIENTATIONS), np.int64)
    )
    values: NDArray[np.int64] = field(default_factory=lambda: np.zeros((LABELS, _VALUES), np.int64))

    def add(self, labels: NDArray[np.uint8], views: NDArray[np.int16], videos: NDArray[np.integer]) -> None:
        """Count the clips of one shard.

        Parameters
        ----------
        labels
            (N, V, 27) labels; view 0 is the centre view.
        views
            (V, 3): top, left, mirrored.
        videos
            (N,) number of each clip's video; the clips of a video follow one another.
        """
        centre = labels[:, 0]  # (N, 27)
        shift = np.abs(views[:, :2].astype(int) - views[0, :2]).max(axis=1)
        near = np.flatnonzero((shift > 0) & (shift <= NEAR_PIXELS) & (views[:, 2] == views[0, 2]))
        self.near_pairs += len(labels) * len(near)
        self.near_same += (labels[:, near] == centre[:, None]).sum(axis=(0, 1))
        follows = np.flatnonzero(videos[1:] == videos[:-1])
        before, after = centre[follows].astype(int), centre[follows + 1].astype(int)
        self.next_pairs += len(follows)
        self.next_same += (before == after).sum(axis=0)
        for row, column in enumerate(_ORIENTATION_COLUMNS):
            known = (before[:, column] > 0) & (after[:, column] > 0)  # 0: motionless, without a direction
            turns = (after[known, column] - before[known, column]) % ORIENTATIONS
            self.turned[row] += np.bincount(turns, minlength=ORIENTATIONS)
        for row, column in enumerate(centre.T):
            self.values[row] += np.bincount(column, minlength=_VALUES)

    @property
    def by_chance(self) -> NDArray[np.float64]:
        """(27,) share of pairs of clips, drawn at random, with the same value."""
        shares = self.values / np.maximum(1, self.values.sum(axis=1, keepdims=True))
        return (shares**2).sum(axis=1)

    def turned_by(self) -> NDArray[np.float64]:
        """Return (6, 5), the share of next clips whose orientation is turned by 0, 45, 90, 135, 180 degrees.

        Turns to either side are added up: uniform orientations give 1/8, 1/4, 1/4, 1/4, 1/8.
        """
        half = ORIENTATIONS // 2
        folded = self.turned[:, : half + 1].astype(float)
        folded[:, 1:half] += self.turned[:, :half:-1]
        return folded / np.maximum(1, folded.sum(axis=1, keepdims=True))


def stability_section(stability: LabelStability) -> str:
    """Return tables of how often labels stay the same, and of how far orientations turn."""
    if not stability.near_pairs and not stability.next_pairs:
        return ""
    columns = (
        stability.by_chance,
        stability.near_same / stability.near_pairs if stability.near_pairs else None,
        stability.next_same / stability.next_pairs if stability.next_pairs else None,
    )
    rows = [
        (name, *("-" if shares is None else f"{shares[place]:.0%}" for shares in columns))
        for place, name in enumerate(LABEL_NAMES)
    ]
    heads = ("label", "by chance", f"view shifted by {NEAR_PIXELS} pixels or less", "next clip")
    explanation = (
        "How often the centre view's label is the same in a view that is shifted a little, and in the next "
        "clip of the video; by chance: in two clips drawn at random."
    )
    parts = [
        f"<h2>Stability of labels</h2><p>{explanation}</p>",
        '<div class="wide"><div>',
        html_table(heads, rows),
    ]
    if stability.next_pairs:
        turned = [
            (name, *(f"{share:.0%}" for share in shares))
            for name, shares in zip(ORIENTATION_NAMES, stability.turned_by(), strict=True)
        ]
        parts.append("</div><div><p>How far orientations turn in the next clip, to either side:</p>")
        parts.append(html_table(("label", *TURNS), [*turned, ("uniform", *UNIFORM)]))
    return "".join([*parts, "</div></div>"])
