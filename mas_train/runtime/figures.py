"""Figures of the trainer and the protocols, and how they are written (extra `[inspect]`)."""

from __future__ import annotations

import contextlib
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mas_labels.errors import ConfigError, reason_of
from mas_labels.schema import PICTURE_DESCRIPTION
from mas_labels.shards import printable
from mas_labels.system.figures import new_figure
from mas_labels.system.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 120
COLOURS: Final = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
"""Paul Tol's "bright" colours, which colour-blind people tell apart."""
MISSING_GLYPH: Final = "Glyph .* missing from font"
"""Beginning of matplotlib's warnings about letters that its font lacks."""


def make_figure(size_inches: tuple[float, float]) -> Figure:
    """Return an empty white figure whose layout is arranged automatically; see `new_figure`."""
    return new_figure(size_inches, "constrained")


def shorten(name: str, letters: int) -> str:
    """Return a name as it fits into a picture: printable, and with an ellipsis for the middle of a long one.

    >>> shorten("v_ApplyEyeMakeup_g01_c02.avi", 15)
    'v_Apply…c02.avi'
    """
    text = printable(name)
    if len(text) <= letters:
        return text
    start, end = (letters - 1) // 2, letters // 2
    return f"{text[:start]}\u2026{text[-end:]}"


def save_figure(figure: Figure, path: Path, description: str = "") -> None:
    """Write a figure as a PNG file, atomically; the same figure gives the same bytes.

    A description (ASCII) is kept in the file, and shown below the picture on a run's page. Letters that
    matplotlib's font lacks are drawn as boxes, which one line on stderr says.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    texts = {"Software": None, **({PICTURE_DESCRIPTION: description} if description else {})}
    try:
        with atomic_path(path) as hidden, _one_line_for_glyphs(path):
            figure.savefig(hidden, format="png", dpi=DOTS_PER_INCH, metadata=texts)
    except OSError as error:
        raise ConfigError(
            f"cannot write the picture {path}: {reason_of(error)}. Choose a writable path"
        ) from error


@contextlib.contextmanager
def _one_line_for_glyphs(path: Path) -> Iterator[None]:
    """Print one line instead of matplotlib's warnings about each letter that its font lacks."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", MISSING_GLYPH)
        yield
    glyphs = [warning for warning in caught if re.match(MISSING_GLYPH, str(warning.message))]
    for other in caught:
        if other not in glyphs:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    if glyphs:
        print(f"note: {path}: matplotlib's font lacks some letters of names: they are boxes", file=sys.stderr)
