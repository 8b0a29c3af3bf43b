"""Figures without pyplot: nothing global is touched, no display is needed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mas_labels.errors import ConfigError, MissingDependencyError, reason_of
from mas_labels.system.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110


@dataclass(frozen=True)
class Picture:
    """A figure that a notebook shows by itself.

    Attributes
    ----------
    figure
        matplotlib's Figure, for whoever wants to draw more.
    """

    figure: Figure

    def save(self, out: Path | str) -> None:
        """Write the picture; the file's ending says the format.

        Raises
        ------
        ConfigError
            If it cannot be written.
        """
        try:
            with atomic_path(Path(out)) as hidden:
                self.figure.savefig(hidden, dpi=DPI)
        except (OSError, ValueError) as error:  # ValueError: a format matplotlib does not know
            raise ConfigError(f"cannot write the picture {out}: {reason_of(error)}") from error

    def _repr_png_(self) -> bytes:
        return figure_png(self.figure)


def new_figure(size_inches: tuple[float, float]) -> Figure:
    """Make an empty white figure, (width, height) inches.

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
    return Figure(figsize=size_inches, facecolor="white")


def figure_png(figure: Figure, dpi: int = DPI) -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
