"""Amounts as people read them: bytes and times with a unit that fits."""

from __future__ import annotations


def format_bytes(count: float) -> str:
    """Return a number of bytes with a unit, such as 1.5 MB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5:  # more would be rounded to 1e+03
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} PB"


def format_time(seconds: float) -> str:
    """Return a time with a unit, such as 1.5 hours."""
    for unit, length in (("seconds", 1), ("minutes", 60)):
        if seconds < 99.5 * length:  # more would be rounded to 1e+02
            return f"{seconds / length:.2g} {unit}"
    hours = seconds / 3600
    return f"{hours:.2g} hours" if hours < 99.5 else f"{hours:,.0f} hours"
