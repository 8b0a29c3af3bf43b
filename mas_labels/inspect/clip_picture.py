"""One clip, one picture: frames, flow, motion boundaries, patterns, 27 labels (paper, figures 1, 3 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from mas_labels.errors import ConfigError, InputError
from mas_labels.inspect import panels
from mas_labels.inspect.pattern_panels import TEXT_STYLE, draw_appearance, draw_motion
from mas_labels.inspect.picture import Picture
from mas_labels.inspect.seen_clip import COMPUTED, SeenClip, SeenSource
from mas_labels.names import printable
from mas_labels.schema import PATTERNS
from mas_labels.system.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mas_labels.labels.label_counts import LabelCounts

STRIP_FRAMES: Final = 6
"""Most frames of the clip in the film strip."""
PICTURE_INCHES: Final = (12.6, 12.2)


def clip_figure(clip: SeenSource, view: int = 0, counts: LabelCounts | None = None) -> Figure:
    """Draw one view of a clip.

    Parameters
    ----------
    clip
        A clip with labels, such as one of `mas_labels.open_shards`.
    view
        Row of the clip's table of views; 0 is the centre view.
    counts
        Label counts of the data set, for the share of each value; None: shares are left out.

    Returns
    -------
    matplotlib.figure.Figure
        The film strip with the crop; flow in Middlebury colours, ``|Mu|`` and ``|Mv|``, all of the whole
        frame; the magnitudes that `ui` and `vi` come from; for each pattern the blocks of largest motion of
        Mu and Mv with their orientations, and the blocks of highest and lowest colour diversity with their
        dominant colours; the 27 labels by name.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If the clip has no labels, or no such view.
    """
    seen = SeenClip(clip, view)
    figure = new_figure(PICTURE_INCHES)
    _write_title(figure, seen, counts)
    _draw_strip(figure, seen)
    _draw_motion_row(figure, seen)
    grid = figure.add_gridspec(
        2,
        4,
        left=0.03,
        right=0.97,
        top=0.545,
        bottom=0.09,
        hspace=0.32,
        wspace=0.1,
        width_ratios=(1, 1, 1, 1),
    )
    for column, pattern in enumerate(PATTERNS):
        for row, draw in enumerate((draw_motion, draw_appearance)):
            axes = figure.add_subplot(grid[row, column])
            draw(axes, seen.middle, pattern, seen.labels, seen.convention, clip.geometry)
    panels.draw_label_values(figure.add_subplot(grid[:, 3]), seen.labels, counts)
    return figure


class ShownClip(Protocol):
    """A clip with a method that draws it, such as `mas_labels.shards.Clip`."""

    def show(self, view: int = 0) -> Picture:
        """Draw one view of the clip."""


def save_clip_figure(clips: Sequence[ShownClip], index: int, view: int, out: Path) -> None:
    """Write the picture of clip `index` to a file, whose suffix decides the format.

    Raises
    ------
    ConfigError
        If there is no such clip or view, or the file cannot be written.
    MissingDependencyError
        If matplotlib is not installed.
    """
    if not 0 <= index < len(clips):
        raise ConfigError(f"expected a clip from 0 to {len(clips) - 1}, found {index}")
    try:
        picture = clips[index].show(view)
    except InputError as error:
        raise ConfigError(str(error)) from error
    picture.save(out)


def _write_title(figure: Figure, seen: SeenClip, counts: LabelCounts | None) -> None:
    clip = seen.clip
    name = printable(clip.video)
    name = name if len(name) <= 90 else f"{name[:44]} ... {name[-41:]}"
    top, left = seen.corner
    options, geometry = clip.options, clip.geometry
    start, step = clip.start_frame, geometry.frame_step
    last = start + geometry.extent - 1
    numbers = f"{start} to {last}" if step == 1 else f"{start}, {start + step}, ..., {last}"
    details = (
        f"clip {clip.index}, frames {numbers}{', across a shot cut' if clip.cut else ''}   |   "
        f"class {printable(clip.class_name or 'none')}   |   "
        f"view {seen.view}: top {top}, left {left}, {'mirrored' if seen.mirrored else 'not mirrored'}   |   "
        f"flow {options['flow']}, convention {options['convention']}, frames {options['frames']}"
    )
    # a file name may contain dollar signs, which do not mark a formula
    figure.text(0.03, 0.975, name, fontsize=13, fontweight="bold", parse_math=False, va="center")
    figure.text(0.03, 0.953, details, parse_math=False, va="center", **TEXT_STYLE)
    note = f"Flow: {seen.flow_source}. |Mu| and |Mv|: {seen.boundaries_source}."
    if seen.flow_source == COMPUTED:
        note += " Recomputed data may differ slightly from the data that the labels were computed from."
    note += "\n"
    if seen.mirrored:
        note += "Frames, flow and |Mu|, |Mv| are not mirrored; the view below them is. "
    if counts is not None:
        of_all = "" if counts.clips == counts.of_clips else f" of {counts.of_clips:,}"
        note += f"Shares: all views of {counts.clips:,}{of_all} clips."
    figure.text(0.03, 0.02, note, linespacing=1.5, va="center", **TEXT_STYLE)


def _draw_strip(figure: Figure, seen: SeenClip) -> None:
    space = {"left": 0.03, "right": 0.97, "top": 0.925, "bottom": 0.795, "wspace": 0.03}
    count, size = len(seen.frames), seen.clip.geometry.view_size
    numbers = np.linspace(0, count - 1, min(count, STRIP_FRAMES)).round().astype(int).tolist()
    grid = figure.add_gridspec(1, len(numbers), **space)
    for column, number in enumerate(numbers):
        title = f"frame {number + 1} of {count}"
        panels.draw_frame(figure.add_subplot(grid[column]), seen.frames[number], title, seen.corner, size)


def _draw_motion_row(figure: Figure, seen: SeenClip) -> None:
    """Draw flow, ``|Mu|``, ``|Mv|`` and the magnitudes of the fields' boundaries."""
    space = {"left": 0.03, "right": 0.97, "top": 0.765, "bottom": 0.605, "wspace": 0.22}
    grid = figure.add_gridspec(1, 4, **space)
    fields, size = len(seen.flow), seen.clip.geometry.view_size
    title = f"flow, frame {fields // 2 + 1} to {fields // 2 + 2}"
    panels.draw_flow(figure.add_subplot(grid[0]), seen.flow[fields // 2], title, seen.corner, view_size=size)
    largest = panels.largest_magnitude(*seen.boundaries)  # one scale for both
    for column, (name, boundary) in enumerate(zip(("|Mu|", "|Mv|"), seen.boundaries, strict=True), start=1):
        axes = figure.add_subplot(grid[column])
        title = f"{name}, sum of {fields} fields"
        panels.draw_boundary(axes, boundary, title, seen.corner, largest, size)
    panels.draw_fields(figure.add_subplot(grid[3]), seen.field_magnitudes, seen.labels)
