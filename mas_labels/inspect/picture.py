"""Pictures that notebooks display and that are written to files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mas_labels.errors import ConfigError, reason_of
from mas_labels.system.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE_DPI: Final = 110


@dataclass(frozen=True)
class Picture:
    """A figure that notebooks display.

    Attributes
    ----------
    figure
        The matplotlib Figure, to which more can be added.
    """

    figure: Figure

    def save(self, out: Path | str) -> None:
        """Write the picture to a file, whose suffix decides the format.

        Raises
        ------
        ConfigError
            If it cannot be written.
        """
        try:
            with atomic_path(Path(out)) as hidden:
                self.figure.savefig(hidden, dpi=PICTURE_DPI)
        except (OSError, ValueError) as error:  # ValueError: a format matplotlib does not know
            raise ConfigError(
                f"cannot write the picture {out}: {reason_of(error)}. Choose a writable path"
            ) from error

    def _repr_png_(self) -> bytes:
        return figure_png(self.figure)


def figure_png(figure: Figure, dpi: int = PICTURE_DPI) -> bytes:
    """Return a figure as PNG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
