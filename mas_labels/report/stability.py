"""How steady labels are: whether a view moved a little, and the video's next clip, have the same ones.

A label that changes with both is hard to predict, and one that never changes teaches nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.report.page import table
from mas_labels.schema import LABEL_MAX, LABEL_NAMES, LABELS, ORIENTATIONS

NEAR_PIXELS: Final = 8
"""Views whose rows and columns are moved by no more than this are near the centre view."""
TURNED_NAMES: Final = tuple(name for name in LABEL_NAMES if name.endswith(("_uo", "_vo")))
"""The six orientations."""
_TURNED: Final = [LABEL_NAMES.index(name) for name in TURNED_NAMES]
_VALUES: Final = max(LABEL_MAX) + 1


@dataclass
class LabelStability:
    """Counted agreement of the centre view's labels with others.

    Attributes
    ----------
    near_pairs, next_pairs
        Pairs that were compared: with the near views of the clip, and with the next clip of the video.
    near_same, next_same
        (27,) int64: pairs with the same value.
    turned
        (6, 8) int64: by how many eighths of a turn each orientation of the next clip differs.
    values
        (27, 17) int64: how often the centre view has each value.
    """

    near_pairs: int = 0
    next_pairs: int = 0
    near_same: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LABELS, np.int64))
    next_same: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LABELS, np.int64))
    turned: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(_TURNED), ORIENTATIONS), np.int64)
    )
    values: NDArray[np.int64] = field(default_factory=lambda: np.zeros((LABELS, _VALUES), np.int64))

    def add(self, labels: NDArray[np.uint8], views: NDArray[np.int16], videos: NDArray[np.integer]) -> None:
        """Count the clips of one shard.

        Parameters
        ----------
        labels
            (N, V, 27), of which view 0 is the centre view.
        views
            (V, 3): top, left, mirrored.
        videos
            (N,), the number of each clip's video; a video's clips follow one another.
        """
        centre = labels[:, 0]  # (N, 27)
        moved = np.abs(views[:, :2].astype(int) - views[0, :2]).max(axis=1)
        near = np.flatnonzero((moved > 0) & (moved <= NEAR_PIXELS) & (views[:, 2] == views[0, 2]))
        self.near_pairs += len(labels) * len(near)
        self.near_same += (labels[:, near] == centre[:, None]).sum(axis=(0, 1))
        follows = np.flatnonzero(videos[1:] == videos[:-1])
        before, after = centre[follows].astype(int), centre[follows + 1].astype(int)
        self.next_pairs += len(follows)
        self.next_same += (before == after).sum(axis=0)
        for row, column in enumerate(_TURNED):
            known = (before[:, column] > 0) & (after[:, column] > 0)  # 0: motionless, without a direction
            turns = (after[known, column] - before[known, column]) % ORIENTATIONS
            self.turned[row] += np.bincount(turns, minlength=ORIENTATIONS)
        for row, column in enumerate(centre.T):
            self.values[row] += np.bincount(column, minlength=_VALUES)

    @property
    def by_chance(self) -> NDArray[np.float64]:
        """(27,): how often two clips drawn at random agree."""
        shares = self.values / np.maximum(1, self.values.sum(axis=1, keepdims=True))
        return (shares**2).sum(axis=1)

    def turned_by(self) -> NDArray[np.float64]:
        """Return (6, 5): share of next clips whose orientation is turned by 0, 45, 90, 135, 180 degrees.

        Turns to either side are added up: orientations drawn evenly give 1/8, 1/4, 1/4, 1/4, 1/8.
        """
        half = ORIENTATIONS // 2
        folded = self.turned[:, : half + 1].astype(float)
        folded[:, 1:half] += self.turned[:, :half:-1]
        return folded / np.maximum(1, folded.sum(axis=1, keepdims=True))


TURNS: Final = ("0\u00b0", "45\u00b0", "90\u00b0", "135\u00b0", "180\u00b0")


def stability_section(found: LabelStability) -> str:
    """Return the agreement of labels with near views and with next clips, and how orientations turn."""
    if not found.near_pairs and not found.next_pairs:
        return ""
    columns = (
        found.by_chance,
        found.near_same / found.near_pairs if found.near_pairs else None,
        found.next_same / found.next_pairs if found.next_pairs else None,
    )
    rows = [
        (name, *("-" if shares is None else f"{shares[place]:.0%}" for shares in columns))
        for place, name in enumerate(LABEL_NAMES)
    ]
    heads = ("label", "by chance", f"view moved by {NEAR_PIXELS} pixels or less", "next clip")
    words = (
        "How often the centre view's label is the same in a view that is moved a little, and in the next "
        "clip of the video; by chance: in two clips drawn at random."
    )
    parts = [f"<h2>How steady labels are</h2><p>{words}</p>", '<div class="wide"><div>', table(heads, rows)]
    if found.next_pairs:
        turned = [
            (name, *(f"{share:.0%}" for share in shares))
            for name, shares in zip(TURNED_NAMES, found.turned_by(), strict=True)
        ]
        evenly = ("evenly drawn", "12%", "25%", "25%", "25%", "12%")
        parts.append(
            "</div><div><p>By how much orientations are turned in the next clip, to either side:</p>"
        )
        parts.append(table(("label", *TURNS), [*turned, evenly]))
    return "".join([*parts, "</div></div>"])
