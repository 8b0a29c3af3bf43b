"""Panels of a clip's picture that show one pattern: its blocks, the labelled ones, arrows and swatches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.labels.conventions import Convention
from mas_labels.labels.patterns import block_maps
from mas_labels.schema import ORIENTATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OCTANT_NAMES: Final = ("black", "blue", "green", "cyan", "red", "magenta", "yellow", "white")
"""Names of the octants of the RGB cube, by index 4 [R >= 128] + 2 [G >= 128] + [B >= 128]."""

MARK_STYLES: Final[dict[str, dict[str, Any]]] = {
    "u": {"color": "#e8442a", "linestyle": "-", "halo": "white"},
    "v": {"color": "#1b4fa0", "linestyle": (0, (3, 1.6)), "halo": "white"},
    "pd": {"color": "#ffd21f", "linestyle": "-", "halo": "black"},
    "ps": {"color": "#2c6fdb", "linestyle": (0, (3, 1.6)), "halo": "white"},
}
"""Line styles. The two lines of a panel differ in colour, brightness and dashes: also in grey print."""
ARROW_REACH: Final = 10 / 112
ARROW_ASIDE: Final = 6 / 112
"""Half of an arrow's length, and its distance from the block's middle, as shares of the view's side."""
TEXT_STYLE: Final[dict[str, Any]] = {"fontsize": 8.5, "color": "#222222"}


def octant_of(colour: int, convention: Convention) -> int:
    """Return the octant of RGB, 0 to 7, of a colour label."""
    return convention.colour_numbers.index(colour)


def arrow_of(orientation: int, convention: Convention) -> tuple[float, float]:
    """Return the unit vector (d_row, d_col) of the middle of an orientation bin, as seen on the screen."""
    # with split votes, the vote is highest at the bin's lower edge
    bins = orientation - 1 + (0.5 if convention.vote == "whole" else 0.0)
    angle = 2 * np.pi * bins / ORIENTATIONS
    upwards = -1 if convention.angle == "counter-clockwise" else 1
    return upwards * float(np.sin(angle)), float(np.cos(angle))


def label_axes(axes: Axes, title: str) -> None:
    """Remove ticks and frame from axes, and set a title."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title, pad=4, **TEXT_STYLE)


def draw_motion(
    axes: Axes,
    picture: NDArray[np.uint8],
    pattern: str,
    labels: dict[str, int],
    convention: Convention,
    geometry: Geometry = DEFAULT_GEOMETRY,
) -> None:
    """Draw the blocks of largest Mu and Mv and their orientations over the faded frame."""
    grey = picture.astype(np.float32).mean(axis=2)
    axes.imshow(0.45 * grey + 0.55 * 255, cmap="gray", vmin=0, vmax=255)
    label_axes(axes, f"{pattern}: largest motion")
    draw_blocks(axes, pattern, geometry)
    for number, key in enumerate("uv"):
        block, orientation = labels[f"{pattern}_{key}l"], labels[f"{pattern}_{key}o"]
        if block:  # 0: a motionless grid of the authors' convention
            _outline_block(axes, pattern, block, key, geometry)
            position = _arrow_position(pattern, block, number, geometry)
            reach = ARROW_REACH * geometry.view_size
            _draw_orientation(axes, position, arrow_of(orientation, convention), key, reach)
        text = f"M{key}: block {block}, orientation {orientation}" if block else f"M{key}: nothing moves"
        _write_caption(axes, number, key, text)


def draw_appearance(
    axes: Axes,
    picture: NDArray[np.uint8],
    pattern: str,
    labels: dict[str, int],
    convention: Convention,
    geometry: Geometry = DEFAULT_GEOMETRY,
) -> None:
    """Draw the blocks of highest and lowest colour diversity, with their dominant colours."""
    axes.imshow(picture)
    label_axes(axes, f"{pattern}: colour diversity")
    draw_blocks(axes, pattern, geometry)
    for number, (block_name, colour_name, word) in enumerate((("pd", "cd", "most"), ("ps", "cs", "least"))):
        block, colour = labels[f"{pattern}_{block_name}"], labels[f"{pattern}_{colour_name}"]
        octant = octant_of(colour, convention)
        _outline_block(axes, pattern, block, block_name, geometry)
        _write_caption(
            axes, number, block_name, f"{word}: block {block}, colour {colour} {OCTANT_NAMES[octant]}", octant
        )


def draw_blocks(axes: Axes, pattern: str, geometry: Geometry = DEFAULT_GEOMETRY) -> None:
    """Draw the thin outlines of a pattern's blocks over axes that show a view."""
    from matplotlib import patheffects

    blocks = block_maps(geometry)[pattern]
    for block in range(1, int(blocks.max())):
        lines = axes.contour(blocks == block, levels=[0.5], colors="black", linewidths=0.35)
        lines.set_path_effects([patheffects.withStroke(linewidth=1.0, foreground="white")])


def _outline_block(axes: Axes, pattern: str, block: int, key: str, geometry: Geometry) -> None:
    from matplotlib import patheffects

    mark = MARK_STYLES[key]
    mask = np.pad(block_maps(geometry)[pattern] == block, 1).astype(np.float32)
    pixels = np.arange(-1, geometry.view_size + 1)
    lines = axes.contour(pixels, pixels, mask, levels=[0.5], colors=mark["color"], linewidths=2.2)
    if key in ("u", "pd"):
        lines.set_path_effects([patheffects.withStroke(linewidth=4.0, foreground=mark["halo"])])
    else:
        lines.set_linestyle(mark["linestyle"])
    lines.set_clip_on(False)


def _arrow_position(pattern: str, block: int, number: int, geometry: Geometry) -> tuple[float, float]:
    """Return (row, col) of arrow 0 or 1 of a block; the centre of a ring is not in the ring."""
    if pattern == "rings" and block > 1:
        radius = (block - 0.5) * geometry.ring_width
        centre = (geometry.view_size - 1) / 2
        return (centre - radius, centre) if number == 0 else (centre + radius, centre)
    rows, cols = np.nonzero(block_maps(geometry)[pattern] == block)
    aside = (-1 if number == 0 else 1) * ARROW_ASIDE * geometry.view_size
    return float(rows.mean()), float(cols.mean()) + aside


def _draw_orientation(
    axes: Axes, at: tuple[float, float], direction: tuple[float, float], key: str, reach: float
) -> None:
    from matplotlib import patheffects

    (row, col), (d_row, d_col) = at, direction
    arrow = axes.annotate(
        "",
        xy=(col + reach * d_col, row + reach * d_row),
        xytext=(col - reach * d_col, row - reach * d_row),
        arrowprops={"arrowstyle": "-|>", "color": MARK_STYLES[key]["color"], "lw": 2.0, "mutation_scale": 13},
        annotation_clip=False,
    )
    if arrow.arrow_patch is not None:
        arrow.arrow_patch.set_path_effects([patheffects.withStroke(linewidth=4.0, foreground="white")])


def _write_caption(axes: Axes, line: int, key: str, text: str, octant: int | None = None) -> None:
    """Write a line under a panel, after a sample of the outline and, with an octant, a colour swatch."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    height = -0.065 - 0.085 * line
    mark = MARK_STYLES[key]
    sample = Line2D([0.0, 0.1], [height, height], color=mark["color"], linestyle=mark["linestyle"], lw=2.2)
    sample.set(transform=axes.transAxes, clip_on=False)
    axes.add_line(sample)
    left = 0.13
    if octant is not None:
        colour = [(192 if octant & bit else 64) / 255 for bit in (4, 2, 1)]
        swatch = Rectangle((left, height - 0.032), 0.07, 0.064, fc=colour, ec="#222222", lw=0.7)
        swatch.set(transform=axes.transAxes, clip_on=False)
        axes.add_patch(swatch)
        left += 0.1
    axes.text(left, height, text, transform=axes.transAxes, va="center", **TEXT_STYLE)
