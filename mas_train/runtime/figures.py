"""Figures of the trainer and the protocols, and how they are written (extra `[inspect]`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mas_labels.errors import ConfigError, reason_of
from mas_labels.system.figures import new_figure
from mas_labels.system.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 120


def make_figure(size_inches: tuple[float, float]) -> Figure:
    """Return an empty white figure whose layout is arranged automatically; see `new_figure`."""
    return new_figure(size_inches, "constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, atomically; the same figure gives the same bytes.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    try:
        with atomic_path(path) as hidden:
            figure.savefig(hidden, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    except OSError as error:
        raise ConfigError(
            f"cannot write the picture {path}: {reason_of(error)}. Choose a writable path"
        ) from error
