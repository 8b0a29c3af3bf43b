"""Claims of the small experiment: words for what is shown, which follow from its intervals alone.

Notes
-----
The comparisons are tested in a fixed order, each at the full level, and the first that is not shown ends the
claims: so the chance of one wrong claim or more is that of a single comparison (Westfall and Krishen, Journal
of Statistical Planning and Inference 99, 2001).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from mas_train.evaluation.intervals import Interval, format_interval
from mas_train.reproduce.measure import FEW_LABELS, NEAREST, Cell, Measure, compare


class Comparison(NamedTuple):
    """Two rows that are compared by one measure; the second is the baseline."""

    row: str
    baseline: str
    measure: Measure


COMPARISONS: Final = tuple(
    Comparison(row, baseline, measure)
    for row, baseline in (("best", "random"), ("joint", "random"), ("best", "joint"), ("best", "pace"))
    for measure in (FEW_LABELS, NEAREST)
)
"""The comparisons in the order in which they are tested; the first is the primary one."""


def state_claims(cells: Sequence[Cell], split: str, titles: Mapping[str, str]) -> list[str]:
    """Return one sentence per comparison that is planned: whether it is shown on some splits.

    Nothing is said of a comparison, and of those after it, before all its networks are done.

    Parameters
    ----------
    cells
        The results.
    split
        Name of the split, or of the splits together.
    titles
        Title of each row.
    """
    sentences, is_open = [], True
    for comparison in COMPARISONS:
        planned = _compared_cells(cells, split, comparison)
        if len(planned) < 2:
            continue
        rows = f"{titles[comparison.row]} - {titles[comparison.baseline]}, {comparison.measure.title}"
        found = _difference(cells, split, comparison)
        if found is None:
            counts = ", ".join(f"{len(cell.values)} of {cell.expected} networks" for cell in planned)
            sentences.append(f"{rows}: not done ({counts})")
            is_open = False
            continue
        is_shown = found.excludes_0 and found.estimate > 0
        verdict = describe_difference(found) if is_open else f"{describe_difference(found)}; {NOT_TESTED}"
        sentences.append(f"{rows}: {format_interval(found, is_difference=True)}: {verdict}")
        is_open = is_open and is_shown
    return sentences


NOT_TESTED: Final = "no claim, since a comparison before it was not shown, or is not done"


def describe_difference(found: Interval) -> str:
    """Return what an interval of a difference says."""
    if found.low is None or found.high is None:
        return "too few groups for an interval: nothing is shown"
    if not found.excludes_0:
        return "not shown, the interval holds 0"
    return "shown" if found.estimate > 0 else "the opposite: it is worse, and the interval leaves 0 out"


def headline(cells: Sequence[Cell], split: str, titles: Mapping[str, str]) -> str:
    """Return the sentence about pre-training against random networks that stands above the first table."""
    sentences = []
    for row in ("joint", "best"):
        compared = [Comparison(row, "random", measure) for measure in (FEW_LABELS, NEAREST)]
        found = [(c.measure.title, _difference(cells, split, c)) for c in compared]
        parts = [
            f"{_beats(interval)} ({title}: {format_interval(interval, is_difference=True)} points)"
            for title, interval in found
            if interval is not None
        ]
        if parts:
            sentences.append(f"**{titles[row]}** {'; '.join(parts)}.")
    return " ".join(sentences)


def _beats(found: Interval) -> str:
    """Return the verb of a row that is compared with random networks."""
    if not found.excludes_0:
        return "does not beat random networks by the interval"
    return "beats random networks" if found.estimate > 0 else "is worse than random networks"


def _compared_cells(cells: Sequence[Cell], split: str, comparison: Comparison) -> list[Cell]:
    """Return the two cells that are compared, as far as they are planned."""
    rows, measure = (comparison.row, comparison.baseline), comparison.measure.title
    return [c for row in rows for c in cells if (c.split, c.row, c.measure) == (split, row, measure)]


def _difference(cells: Sequence[Cell], split: str, comparison: Comparison) -> Interval | None:
    """Return the difference of two rows by one measure on some splits; None until all networks are done."""
    compared = _compared_cells(cells, split, comparison)
    if len(compared) < 2 or any(len(cell.values) < cell.expected for cell in compared):
        return None
    ((_, found),) = compare(compared, comparison.row, comparison.baseline)
    return found
