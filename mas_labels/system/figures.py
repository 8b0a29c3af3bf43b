"""Figures without pyplot, so without global state or a display (extra ``[inspect]``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mas_labels.system.extras import load_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(size_inches: tuple[float, float], layout: Literal["constrained"] | None = None) -> Figure:
    """Return an empty white figure.

    Parameters
    ----------
    size_inches
        (width, height).
    layout
        ``"constrained"``: matplotlib arranges the axes so that no texts overlap; None: the caller does.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    matplotlib = load_extra("matplotlib.figure", "pictures need", "inspect")
    return matplotlib.figure.Figure(figsize=size_inches, layout=layout, facecolor="white")
