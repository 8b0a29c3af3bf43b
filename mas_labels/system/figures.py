"""Figures without pyplot, so without global state or a display (extra ``[inspect]``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mas_labels.errors import MissingDependencyError

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
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            f'pictures need matplotlib, which does not load ({error}): pip install "mas-video[inspect]"'
        ) from error
    return Figure(figsize=size_inches, layout=layout, facecolor="white")
