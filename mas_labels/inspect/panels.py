"""Panels of a clip's picture that show whole frames and numbers; each is drawn into given axes.

Panels that show a pattern are in `mas_labels.inspect.pattern_panels`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.inspect.flow_colour import colour_wheel, flow_colours, largest_length
from mas_labels.inspect.pattern_panels import MARK_STYLES, TEXT_STYLE, label_axes
from mas_labels.labels.label_counts import LabelCounts
from mas_labels.schema import LABEL_NAMES, PATTERNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ARROW_SPACING: Final = 14 / 128
"""Distance between two arrows over the flow's colours, as a share of the frame's height."""
WHEEL_BOX: Final = (0.755, 0.02, 0.235, 0.32)
"""Position of the legend in the flow's panel: left, bottom, width, height, as fractions."""


def draw_frame(
    axes: Axes,
    frame: NDArray[np.uint8],
    title: str = "",
    corner: tuple[int, int] | None = None,
    view_size: int = DEFAULT_GEOMETRY.view_size,
) -> None:
    """Draw a frame, (rows, cols, 3) uint8, with the outline of the view whose (top, left) is `corner`."""
    axes.imshow(frame)
    if corner is not None:
        draw_crop(axes, corner, view_size)
    label_axes(axes, title)


def draw_crop(axes: Axes, corner: tuple[int, int], view_size: int = DEFAULT_GEOMETRY.view_size) -> None:
    """Draw the outline of the view whose (top, left) is `corner` in a whole frame."""
    from matplotlib.patches import Rectangle

    top, left = corner
    for width, colour in ((2.4, "black"), (1.2, "white")):
        box = Rectangle((left - 0.5, top - 0.5), view_size, view_size, fill=False, lw=width, ec=colour)
        axes.add_patch(box)


def draw_flow(
    axes: Axes,
    field: NDArray[np.floating],
    title: str = "",
    corner: tuple[int, int] | None = None,
    largest: float | None = None,
    view_size: int = DEFAULT_GEOMETRY.view_size,
) -> None:
    """Draw a flow field in Middlebury colours, with arrows, and the colour wheel with its scale as legend.

    Parameters other than these are those of `draw_frame`.

    Parameters
    ----------
    field
        (rows, cols, 2), (u, v) in pixels per frame.
    largest
        Length of full saturation, in pixels; by default `largest_length` of this field.
    """
    largest = largest_length(field) if largest is None else largest
    axes.imshow(flow_colours(field, largest))
    spacing = max(1, round(ARROW_SPACING * field.shape[0]))
    rows, cols = (np.arange(spacing // 2, extent, spacing) for extent in field.shape[:2])
    u, v = np.moveaxis(field[np.ix_(rows, cols)], -1, 0)
    scale = 0.9 * spacing / largest
    axes.quiver(
        cols,
        rows,
        scale * u,
        scale * v,
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.0032,
        color="#222222",
        minlength=0.6,
    )
    if corner is not None:
        draw_crop(axes, corner, view_size)
    label_axes(axes, title)
    draw_wheel(axes.inset_axes(WHEEL_BOX), largest)


def draw_wheel(axes: Axes, largest: float) -> None:
    """Draw the colour wheel; its rim stands for flow of `largest` pixels per frame."""
    axes.imshow(colour_wheel(), extent=(-1, 1, 1, -1))
    label_axes(axes, "")
    axes.set(xlim=(-1.15, 1.15), ylim=(1.75, -1.15))
    axes.patch.set(facecolor="white", alpha=0.92)
    axes.text(0, 1.42, f"{largest:.2g} px", ha="center", va="center", fontsize=7.5, color="#222222")
    for angle in (0, 90, 180, 270):
        end = (0.82 * np.cos(np.radians(angle)), 0.82 * np.sin(np.radians(angle)))
        axes.annotate("", end, (0, 0), arrowprops={"arrowstyle": "->", "lw": 0.7, "color": "#222222"})


def draw_boundary(
    axes: Axes,
    boundary: NDArray[np.floating],
    title: str = "",
    corner: tuple[int, int] | None = None,
    largest: float | None = None,
    view_size: int = DEFAULT_GEOMETRY.view_size,
) -> None:
    """Draw the magnitude of Mu or Mv (paper, figure 3) with its scale.

    Parameters other than these are those of `draw_frame`.

    Parameters
    ----------
    boundary
        (rows, cols, 2): Mu or Mv.
    largest
        Magnitude of the brightest colour; by default `largest_magnitude` of this boundary.
    """
    largest = largest_magnitude(boundary) if largest is None else largest
    image = axes.imshow(np.hypot(boundary[..., 0], boundary[..., 1]), cmap="magma", vmin=0, vmax=largest)
    if corner is not None:
        draw_crop(axes, corner, view_size)
    label_axes(axes, title)
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.02, 0, 0.035, 1)), extend="max")
    bar.ax.tick_params(labelsize=7)


def largest_magnitude(*boundaries: NDArray[np.floating]) -> float:
    """Return a common scale of boundaries (rows, cols, 2): the largest of their 99.9 % quantiles, never 0."""
    return max(float(np.quantile(np.hypot(b[..., 0], b[..., 1]), 0.999)) for b in boundaries) or 1.0


def draw_fields(axes: Axes, magnitudes: NDArray[np.floating], labels: dict[str, int]) -> None:
    """Draw the magnitude of each field's own motion boundary, and mark the fields that `ui` and `vi` name.

    Parameters
    ----------
    axes
        Where to draw.
    magnitudes
        (2, fields), of u and of v; see `mas_labels.inspect.seen_clip.SeenClip.field_magnitudes`.
    labels
        Contains ``"ui"`` and ``"vi"``, counted from 1.
    """
    last = magnitudes.shape[1]
    fields = np.arange(1, last + 1)
    for component, values, marker in zip("uv", magnitudes, "os", strict=True):
        style = {"color": MARK_STYLES[component]["color"], "linestyle": MARK_STYLES[component]["linestyle"]}
        field = labels[f"{component}i"]
        axes.plot(fields, values, lw=1.4, **style)
        axes.plot(
            [field], [values[field - 1]], marker, ms=7, color=style["color"], label=f"{component}i = {field}"
        )
    axes.set_title("each field's own boundary, in the view", pad=4, **TEXT_STYLE)
    ticks = sorted({1, round(last / 3), round(2 * last / 3)} - {0, last})
    axes.set_xticks([*ticks, last], [*map(str, ticks), f"field {last}"])
    axes.set_ylim(0, 1.45 * max(1e-6, float(np.max(magnitudes))))
    axes.set_yticks([])
    axes.tick_params(labelsize=7, length=2)
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.legend(loc="upper center", ncols=2, fontsize=8, frameon=False, handlelength=1.2)


def draw_label_values(axes: Axes, labels: dict[str, int], counts: LabelCounts | None = None) -> None:
    """Write the 27 labels, one per line, with the share of each value in the data set.

    Parameters
    ----------
    axes
        Where to draw, in portrait format.
    labels
        The 27 values by name.
    counts
        Label counts of the data set; None: shares are left out.
    """
    groups = [(p, [name for name in LABEL_NAMES if name.startswith(f"{p}_")]) for p in PATTERNS]
    groups.append(("global", [name for name in LABEL_NAMES if "_" not in name]))
    lines = len(LABEL_NAMES) + 0.6 * len(groups)
    axes.set(xlim=(0, 1), ylim=(lines, -0.4), xticks=[], yticks=[])
    axes.set_axis_off()
    if counts is not None:
        axes.set_title("label, value, share of it here", pad=4, **TEXT_STYLE)
    line = 0.0
    for _, names in groups:
        for name in names:
            _write_label(axes, line + 0.5, name, labels[name], counts)
            line += 1
        line += 0.6


def _write_label(axes: Axes, line: float, name: str, value: int, counts: LabelCounts | None) -> None:
    """Write one label: name, value, and the share as a bar and a number."""
    from matplotlib.patches import Rectangle

    axes.text(0, line, name, va="center", fontsize=8.5, color="#444444")
    axes.text(0.5, line, str(value), va="center", ha="right", fontsize=9.5, fontweight="bold")
    if counts is None:
        return
    share = counts.shares(name).get(value, 0.0)
    axes.add_patch(Rectangle((0.56, line - 0.32), 0.29, 0.64, fc="#e9edf2", ec="none"))
    axes.add_patch(Rectangle((0.56, line - 0.32), 0.29 * share, 0.64, fc="#4f81bd", ec="none"))
    axes.text(1, line, f"{share:.0%}", va="center", ha="right", fontsize=8.5, color="#222222")
