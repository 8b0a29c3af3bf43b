"""Markdown of pages and model cards: tables, and shares in percent with their spread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with as many cells in each row as its header has."""
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def show_percent(shares: Sequence[float]) -> str:
    """Return the mean of shares in percent, with their standard deviation if there are several."""
    spread = f" ± {100 * stdev(shares):.1f}" if len(shares) > 1 else ""
    return f"{100 * fmean(shares):.1f}{spread}"
