"""Draws the picture of the rooms on code.md, from its tables and the real imports: `make docs-pictures`.

The picture contains a description of its content, by which a test recognises a stale one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve
from rooms import Drawing, describe

PICTURE: Final = Path(__file__).parent / "pictures" / "rooms.svg"
ROW_INCHES: Final = 0.36
WIDTH_INCHES: Final = 9.5
LEFT, RIGHT, HALF_HEIGHT = 2.2, 7.3, 0.34
"""Sides of the boxes, and half their height, in units of the picture: a row is 1 high."""
FILLS: Final = {"mas_labels": "#e8f0e4", "mas_train": "#e6ecf5"}
"""Colour of each package's boxes."""


def row_heights(packages: Sequence[str]) -> list[float]:
    """Return the height of each row, the first on top, with a gap for the heading of each package."""
    gaps = [packages[: row + 1].count(package) == 1 for row, package in enumerate(packages)]
    return [-row - sum(gaps[: row + 1]) for row in range(len(packages))]


def draw_arrow(axes: Axes, side: float, start: float, end: float, colour: str, width: float) -> None:
    """Draw a curved arrow at one side of the boxes, the further out the longer it is."""
    out = -1 if side == LEFT else 1
    reach = side + out * (0.25 + 0.5 * abs(end - start) ** 0.62)
    curve = Curve(
        [(side, start), (reach, start), (reach, end), (side, end)], [Curve.MOVETO] + 3 * [Curve.CURVE4]
    )
    arrow = FancyArrowPatch(
        path=curve, arrowstyle="-|>", mutation_scale=8, color=colour, linewidth=width, shrinkA=0, shrinkB=0
    )
    axes.add_patch(arrow)


def spread(ends: Sequence[tuple[int, int]], heights: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Yield the heights where arrows start and end: those of one box next to each other."""
    for first, second in ends:
        step = 0.16 if heights[first] > heights[second] else -0.16
        yield heights[first] - step, heights[second] + step


def draw(drawing: Drawing) -> Figure:
    """Draw boxes in rows; data at the left, imports at the right."""
    packages = [package for package, *_ in drawing.boxes]
    heights = row_heights(packages)
    figure = Figure(figsize=(WIDTH_INCHES, ROW_INCHES * (1 - heights[-1])), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH_INCHES), ylim=(heights[-1] - 0.8, 0.3))
    axes.set_axis_off()
    for (package, names, takes, gives), height, row in zip(
        drawing.boxes, heights, range(len(heights)), strict=True
    ):
        if package not in packages[:row]:
            axes.text(LEFT, height + 0.62, package, weight="bold", size=11, va="center")
        corner = (LEFT, height - HALF_HEIGHT)
        box = FancyBboxPatch(
            corner,
            RIGHT - LEFT,
            2 * HALF_HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=FILLS[package],
            edgecolor="#555555",
            linewidth=0.8,
        )
        axes.add_patch(box)
        axes.text(LEFT + 0.12, height, names, size=9.5, va="center", weight="bold")
        if takes or gives:
            axes.text(
                RIGHT - 0.12,
                height,
                f"{takes} \N{RIGHTWARDS ARROW} {gives}".rstrip(),
                size=8.5,
                va="center",
                ha="right",
            )
    for start, end in spread(drawing.data, heights):
        draw_arrow(axes, LEFT, start, end, "black", 1.1)
    for start, end in spread(drawing.imports, heights):
        draw_arrow(axes, RIGHT, start, end, "#999999", 0.8)
    axes.text(LEFT - 0.25, heights[0], "data", size=9, ha="right", va="center")
    axes.text(
        RIGHT + 0.25,
        heights[0],
        "imports (every room also\nimports the first)",
        size=9,
        va="center",
        color="#777777",
    )
    return figure


def main() -> None:
    """Draw the picture; the same rooms give the same bytes."""
    drawing = describe()
    metadata = {"Date": None, "Description": json.dumps(drawing)}
    with mpl.rc_context({"svg.hashsalt": "rooms", "font.family": "DejaVu Sans"}):
        draw(drawing).savefig(PICTURE, metadata=metadata)


if __name__ == "__main__":
    main()
