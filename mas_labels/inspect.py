"""One clip, one picture: frames, motion boundaries, patterns and 27 labels (paper, figures 1, 3 and 4)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.conventions import get_convention
from mas_labels.errors import ConfigError, InputError, MissingDependencyError
from mas_labels.folder import printable
from mas_labels.pattern_panels import TEXT, draw_appearance, draw_motion, label_axes
from mas_labels.schema import CLIP_FRAMES, LABEL_NAMES, PATTERNS, VIEW_SIZE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mas_labels.shard import Clip, ShardSet

STRIP_FRAMES: Final = (0, 3, 6, 9, 12, 15)
"""Frames of the clip that the film strip shows."""


def clip_figure(clip: Clip, view: int = 0) -> Figure:
    """Draw one clip as one view sees it.

    Parameters
    ----------
    clip
        A clip of `mas_labels.open_shards`, with labels.
    view
        Row of the clip's table of views; 0 is the centre view.

    Returns
    -------
    matplotlib Figure: the film strip with the crop; for each pattern the blocks of largest motion of Mu and
    Mv with their orientations, and those of most and least colour diversity with their dominant colours;
    |Mu| and |Mv|; the 27 labels by name.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    InputError
        The clip has no labels, or no such view.
    """
    figure = _new_figure((12.6, 10.0))
    if not clip.shards.has_labels:
        raise InputError("expected a clip with labels, found frames only: make shards without --frames-only")
    if not 0 <= view < len(clip.views):
        raise InputError(f"expected a view from 0 to {len(clip.views) - 1}, found {view}")
    top, left, mirrored = (int(value) for value in clip.views[view])
    frames = clip.frames
    seen = frames[:, top : top + VIEW_SIZE, left : left + VIEW_SIZE]
    middle = seen[CLIP_FRAMES // 2, :, ::-1] if mirrored else seen[CLIP_FRAMES // 2]
    labels = dict(zip(LABEL_NAMES, clip.view_labels[view].tolist(), strict=True))
    convention = get_convention(clip.shards.config["convention"])

    _write_title(figure, clip, view)
    _draw_strip(figure, frames, (top, left))
    space = {"left": 0.03, "right": 0.945, "top": 0.705, "bottom": 0.175, "hspace": 0.36, "wspace": 0.1}
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.45), **space)
    for column, pattern in enumerate(PATTERNS):
        draw_motion(figure.add_subplot(grid[0, column]), middle, pattern, labels, convention)
        draw_appearance(figure.add_subplot(grid[1, column]), middle, pattern, labels, convention)
    axes = (figure.add_subplot(grid[0, 3]), figure.add_subplot(grid[1, 3]))
    _draw_boundaries(figure, axes, clip.motion_boundaries, (top, left))
    _write_labels(figure, labels)
    return figure


def save_clip_figure(shards: ShardSet, index: int, view: int, out: Path) -> None:
    """Write the picture of clip `index` to a file; its ending says the format.

    Raises
    ------
    ConfigError
        There is no such clip or view, or the file cannot be written.
    MissingDependencyError
        matplotlib is not installed.
    """
    if not 0 <= index < len(shards):
        raise ConfigError(f"expected a clip from 0 to {len(shards) - 1}, found {index}")
    try:
        figure = clip_figure(shards[index], view)
    except InputError as error:
        raise ConfigError(str(error)) from error
    try:
        figure.savefig(out, dpi=110)
    except (OSError, ValueError) as error:  # ValueError: a format matplotlib does not know
        raise ConfigError(f"cannot write the picture {out}: {error}") from error


def figure_png(figure: Figure, dpi: int = 110) -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def _new_figure(size: tuple[float, float]) -> Figure:
    """Make a figure without pyplot, so that nothing global is touched and no display is needed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            f'pictures need matplotlib, which does not load ({error}): pip install "mas-video[inspect]"'
        ) from error
    return Figure(figsize=size, facecolor="white")


def _write_title(figure: Figure, clip: Clip, view: int) -> None:
    top, left, mirrored = (int(value) for value in clip.views[view])
    name = printable(clip.video)
    name = name if len(name) <= 90 else f"{name[:44]} ... {name[-41:]}"
    options = clip.shards.config
    details = (
        f"frames {clip.start_frame} to {clip.start_frame + CLIP_FRAMES - 1}   |   "
        f"class {printable(clip.class_name or 'none')}   |   "
        f"view {view}: top {top}, left {left}, {'mirrored' if mirrored else 'not mirrored'}   |   "
        f"flow {options['flow']}, convention {options['convention']}"
    )
    # a file name may hold dollar signs, which are no formula
    figure.text(0.03, 0.97, name, fontsize=13, fontweight="bold", parse_math=False, va="center")
    figure.text(0.03, 0.943, details, parse_math=False, va="center", **TEXT)


def _draw_strip(figure: Figure, frames: NDArray[np.uint8], corner: tuple[int, int]) -> None:
    grid = figure.add_gridspec(
        1, len(STRIP_FRAMES), left=0.03, right=0.97, top=0.905, bottom=0.755, wspace=0.03
    )
    for column, number in enumerate(STRIP_FRAMES):
        axes = figure.add_subplot(grid[column])
        axes.imshow(frames[number])
        _draw_crop(axes, corner)
        label_axes(axes, f"frame {number + 1} of {CLIP_FRAMES}")


def _draw_crop(axes: Axes, corner: tuple[int, int]) -> None:
    """Outline the view in a whole frame."""
    from matplotlib.patches import Rectangle

    top, left = corner
    for width, colour in ((2.4, "black"), (1.2, "white")):
        box = Rectangle((left - 0.5, top - 0.5), VIEW_SIZE, VIEW_SIZE, fill=False, lw=width, ec=colour)
        axes.add_patch(box)


def _draw_boundaries(
    figure: Figure,
    panels: Sequence[Axes],
    boundaries: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    corner: tuple[int, int],
) -> None:
    """Show |Mu| and |Mv| of the whole frame on one scale."""
    if boundaries is None:
        for axes, name in zip(panels, ("|Mu|", "|Mv|"), strict=True):
            label_axes(axes, name)
            axes.text(0.5, 0.5, "not stored in this shard", transform=axes.transAxes, ha="center", **TEXT)
        return
    magnitudes = [np.hypot(field[..., 0], field[..., 1]) for field in boundaries]
    highest = max(float(np.quantile(magnitude, 0.999)) for magnitude in magnitudes) or 1.0
    for axes, name, magnitude in zip(panels, ("|Mu|", "|Mv|"), magnitudes, strict=True):
        image = axes.imshow(magnitude, cmap="magma", vmin=0, vmax=highest)
        _draw_crop(axes, corner)
        label_axes(axes, f"{name}, sum of 15 fields")
        bar = figure.colorbar(image, ax=axes, fraction=0.035, pad=0.03, extend="max")
        bar.ax.tick_params(labelsize=7.5)


def _write_labels(figure: Figure, labels: dict[str, int]) -> None:
    """Write the 27 labels: a row a pattern, then the global ones."""
    lines = [(p, [name for name in LABEL_NAMES if name.startswith(f"{p}_")]) for p in PATTERNS]
    lines.append(("global", [name for name in LABEL_NAMES if "_" not in name]))
    for row, (title, names) in enumerate(lines):
        height = 0.098 - 0.024 * row
        figure.text(0.03, height, title, fontweight="bold", va="center", **TEXT)
        for column, name in enumerate(names):
            left = 0.105 + 0.111 * column
            figure.text(left, height, name, va="center", fontsize=8.5, color="#666666")
            figure.text(
                left + 0.087,
                height,
                str(labels[name]),
                va="center",
                ha="right",
                fontsize=10,
                fontweight="bold",
            )
