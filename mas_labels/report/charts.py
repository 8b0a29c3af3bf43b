"""Bar and line charts as SVG text, coloured by the page's own style sheet (light and dark)."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

Points = Sequence[tuple[float, float]]
"""(horizontal, vertical) values of a line, in order."""


def bar_chart(shares: dict[int, float], name: str) -> str:
    """Draw one bar per value.

    Parameters
    ----------
    shares
        Value -> share of all, 0 to 1, in order. A dashed line shows equal shares.
    name
        Description of the chart for screen readers.
    """
    width, height, floor = 240, 110, 94
    highest = max(0.001, *shares.values())
    step = width / len(shares)
    even = floor * (1 - 1 / len(shares) / highest)
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(name)}">']
    for place, (value, share) in enumerate(shares.items()):
        bar_height = floor * share / highest
        parts.append(
            f'<rect class="bar" x="{place * step + 0.1 * step:.1f}" y="{floor - bar_height:.1f}" '
            f'width="{0.8 * step:.1f}" height="{bar_height:.1f}"><title>{value}: {share:.1%}</title></rect>'
        )
        if len(shares) <= 8 or value % max(4, len(shares) // 4) == 1 or value == max(shares):
            middle = (place + 0.5) * step
            parts.append(f'<text x="{middle:.1f}" y="{height - 3}" text-anchor="middle">{value}</text>')
    parts.append(f'<line class="even" x1="0" x2="{width}" y1="{even:.1f}" y2="{even:.1f}"/></svg>')
    return "".join(parts)


def line_chart(
    line: Points, baseline: float | None, name: str, dots: Points = (), level: float | None = None
) -> str:
    """Draw one line over steps, and a dashed baseline and a dotted level to compare with.

    Parameters
    ----------
    line
        The values; those that are not finite are left out.
    baseline
        Height of the baseline; None: there is none.
    name
        Description of the chart for screen readers.
    dots
        Other measurements, drawn as rings.
    level
        Height of the level; None: there is none.
    """
    width, height, left, right, top, floor = 520, 230, 46, 12, 12, 200
    points = [(x, y) for x, y in line if math.isfinite(x) and math.isfinite(y)]
    if not points:
        return "<p>No finite values yet.</p>"
    rings = [(x, y) for x, y in dots if math.isfinite(x) and math.isfinite(y)]
    lines = {"even": baseline, "level": level}
    heights = [y for _, y in (*points, *rings)] + [y for y in lines.values() if y is not None]
    ticks = _ticks(max(heights))
    last = max(x for x, _ in (*points, *rings))

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + (width - left - right) * (x / last if last else 0)
        return across, floor - (floor - top) * y / ticks[-1]

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(name)}">']
    for tick in ticks:
        y = place(0, tick)[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for step, anchor in ((0.0, "start"), (last, "end")):
        x = place(step, 0)[0]
        parts.append(f'<text x="{x:.1f}" y="{height - 10}" text-anchor="{anchor}">step {step:g}</text>')
    for kind, value in lines.items():
        if value is not None:
            y = place(0, value)[1]
            parts.append(f'<line class="{kind}" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    x, y = place(*points[-1])
    parts.append(
        f'<polyline class="curve" points="{path}"/><circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    )
    for x, y in (place(*point) for point in rings):
        parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
    return "".join(parts) + "</svg>"


def histogram_chart(counts: Sequence[int], edges: Sequence[float], name: str) -> str:
    """Draw one bar per bin; `edges` has one value more than `counts`, every fourth of them is labelled."""
    width, height, floor, left = 520, 170, 138, 4
    step = (width - 2 * left) / len(counts)
    highest = max(1, *counts)
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(name)}">']
    for place, count in enumerate(counts):
        bar_height = (floor - 6) * count / highest
        parts.append(
            f'<rect class="bar" x="{left + place * step + 1:.1f}" y="{floor - bar_height:.1f}" '
            f'width="{step - 2:.1f}" height="{bar_height:.1f}">'
            f"<title>{edges[place]:.2g} to {edges[place + 1]:.2g}: {count:,}</title></rect>"
        )
    parts.append(f'<line class="grid" x1="0" x2="{width}" y1="{floor}" y2="{floor}"/>')
    for place in range(0, len(edges), 4):
        anchor = "start" if place == 0 else "end" if place == len(edges) - 1 else "middle"
        x = left + place * step
        parts.append(f'<text x="{x:.1f}" y="{floor + 20}" text-anchor="{anchor}">{edges[place]:g}</text>')
    return "".join(parts) + "</svg>"


def score_chart(scores: Sequence[tuple[str, float]], name: str, ceilings: Sequence[float] = ()) -> str:
    """Draw one horizontal bar per score, from -0.15 to 1, with its name and number; NaN is "not defined".

    A ceiling for each score, if there are any, is drawn as a dashed line across its bar.
    """
    row, left, zero, one = 20, 118, 165, 470
    height = row * len(scores) + 8
    parts = [f'<svg viewBox="0 0 520 {height}" role="img" aria-label="{html.escape(name)}">']
    for place, (label, score) in enumerate(scores):
        y = row * place + 4
        if place < len(ceilings) and math.isfinite(ceilings[place]):
            x = zero + (one - zero) * max(-0.15, ceilings[place])
            parts.append(f'<line class="even" x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + row}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 14}" text-anchor="end">{html.escape(label)}</text>')
        if math.isfinite(score):
            end = zero + (one - zero) * min(1.0, max(-0.15, score))
            start, size = min(zero, end), abs(end - zero)
            bar = f'<rect class="bar" x="{start:.1f}" y="{y + 2}" width="{size:.1f}" height="{row - 5}"/>'
            parts.append(bar)
        text = f"{score:.3f}" if math.isfinite(score) else "not defined"
        parts.append(f'<text x="515" y="{y + 14}" text-anchor="end">{text}</text>')
    parts.append(f'<line class="grid" x1="{zero}" x2="{zero}" y1="0" y2="{height}"/>')
    return "".join(parts) + "</svg>"


def _ticks(highest: float) -> list[float]:
    """Return three to six round numbers from 0 to at least `highest`."""
    if highest <= 0:
        return [0.0, 1.0]
    size = 10.0 ** math.floor(math.log10(highest))
    step = next(size * part for part in (0.2, 0.25, 0.5, 1, 2) if highest / (size * part) <= 5)
    return [step * count for count in range(math.ceil(highest / step - 1e-9) + 1)]
