"""The page of the small experiment: tables, comparisons, pictures, commands, versions, machine."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from mas_labels.errors import ConfigError, reason_of
from mas_labels.system.extras import package_versions
from mas_labels.system.files import write_text
from mas_labels.system.linux import processor_name
from mas_train.evaluation.intervals import format_interval
from mas_train.reproduce.claims import headline, state_claims
from mas_train.reproduce.footage import describe_footage
from mas_train.reproduce.measure import MEASURES, Cell, LabelFit, compare, read_cells, read_label_fits
from mas_train.reproduce.plan import Step
from mas_train.reproduce.plots import draw_accuracies, draw_labels
from mas_train.reproduce.run import read_mark
from mas_train.reproduce.small import PIXELS, ROWS, Experiment
from mas_train.runtime.markdown import markdown_table

PACKAGES: Final = ("torch", "numpy", "opencv-contrib-python", "h5py", "scikit-learn")
BEGIN_MARK: Final = "<!-- results/small: begin -->"
END_MARK: Final = "<!-- results/small: end -->"
TITLES: Final = {PIXELS: "averaged 4 x 4 pixels", **{name: row.title for name, row in ROWS.items()}}
SHORT_MEASURES: Final = tuple(MEASURES[number].title for number in (0, 1, 4, 5))
"""Columns of the short table."""
COMPARED: Final = (
    *((row, "random") for row in ROWS if row != "random"),
    *(("best", row) for row in ("joint", "pace", "shuffled")),
    ("joint", "shuffled"),
    *((row, PIXELS) for row in ("best", "joint")),
)
"""Rows whose differences are listed, the second being the baseline."""


def write_page(
    experiment: Experiment, steps: Sequence[Step], work: Path, out: Path, readme: Path | None = None
) -> Path:
    """Write the page of the results so far; it lists the steps that are missing.

    Parameters
    ----------
    experiment, steps
        The experiment and its plan.
    work
        The work folder.
    out
        Folder of the page: README.md, results.json and pictures.
    readme
        A file in which the short table replaces the lines between `BEGIN_MARK` and `END_MARK`.

    Returns
    -------
    The page.

    Raises
    ------
    ConfigError
        If a file cannot be written, or `readme` has no such marks.
    DatasetError
        If a result is corrupt.
    """
    cells, fits = read_cells(experiment, steps, work), read_label_fits(experiment, steps, work)
    marks = {step.name: read_mark(work, step) for step in steps}
    done = [step for step in steps if marks[step.name] is not None]
    minutes = sum(mark["seconds"] for mark in marks.values() if mark is not None) / 60
    facts = {
        "machine": describe_machine(),
        "versions": describe_versions(),
        "minutes": round(minutes),
        "footage": describe_footage(experiment.footage, work),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        draw_accuracies(cells, TITLES, out / "accuracies.png")
        draw_labels(fits, TITLES, out / "labels.png")
        content = {
            **facts,
            "steps": {"done": len(done), "planned": len(steps)},
            "cells": [describe_cell(cell) for cell in cells],
            "labels": [asdict(fit) for fit in fits],
        }
        write_text(out / "results.json", json.dumps(content, indent=1) + "\n")
        page = out / "README.md"
        write_text(page, _page(experiment, steps, done, cells, fits, facts))
        if readme is not None:
            write_text(readme, _between_marks(readme, _short_table(cells)))
    except OSError as error:
        raise ConfigError(f"cannot write the page ({reason_of(error)}): give another --out") from error
    return page


def describe_machine() -> str:
    """Return the name of the processor and the number of its cores."""
    return f"{processor_name()}, {os.cpu_count()} cores"


def describe_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results may depend on."""
    return {"python": platform.python_version(), **package_versions(*PACKAGES)}


def describe_cell(cell: Cell) -> dict[str, Any]:
    """Return a cell as JSON holds it: without the outcomes of single videos."""
    shown = cell.interval if cell.right.size else None
    bounds = {} if shown is None else {"mean": cell.mean, "low": shown.low, "high": shown.high}
    names = ("split", "row", "measure", "values", "expected", "videos")
    return {**{name: getattr(cell, name) for name in names}, "groups": len(set(cell.groups)), **bounds}


def _page(
    experiment: Experiment,
    steps: Sequence[Step],
    done: Sequence[Step],
    cells: Sequence[Cell],
    fits: Sequence[LabelFit],
    facts: dict[str, Any],
) -> str:
    """Return the page as Markdown."""
    together = cells[-1].split
    first = [headline(cells, together, TITLES), _table(cells, together)]
    parts = ["# Does it learn? A small reproduction", *first]
    missing = [step.name for step in steps if step not in done]
    if missing:
        parts.append(
            f"**Not complete:** {len(done)} of {len(steps)} steps are done; the same command runs the "
            f"rest, next {missing[0]}."
        )
    parts.append(_introduction(experiment, together, facts))
    claims = state_claims(cells, together, TITLES)
    parts += ["## What is shown", CLAIMS, "\n".join(f"{n}. {text}" for n, text in enumerate(claims, 1))]
    for split in experiment.splits if len(experiment.splits) > 1 else ():
        parts += [f"## Split {split.name} alone", _table(cells, split.name)]
    parts += ["![accuracies](accuracies.png)", "## Differences", _differences(cells)]
    parts += ["## The pretext task, on held-out clips", _labels_table(fits), "![R^2 by label](labels.png)"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    parts += ["## Made by", COMMANDS, f"Machine: {facts['machine']}. Versions: {versions}."]
    parts.append(
        f"The steps took {facts['minutes']} minutes in total, each on one core (of interrupted steps the "
        "last part only)."
    )
    return "\n\n".join(filter(None, parts)) + "\n"


def _introduction(experiment: Experiment, splits: str, facts: dict[str, Any]) -> str:
    """Return the paragraphs on data, recipe and rows."""
    rows = "\n".join(f"- {ROWS[row].title}: `{' '.join(ROWS[row].options)}`" for row in experiment.rows)
    return INTRODUCTION.format(
        splits=splits,
        seeds=len(experiment.seeds),
        epochs=experiment.epochs,
        network=" ".join(experiment.network),
        footage=facts["footage"],
        rows=rows,
        tunings="\n".join(f"- {t.title}: `{' '.join(t.options)}`" for t in experiment.tunings.values()),
    )


INTRODUCTION: Final = """\
Accuracy in percent on the test videos of split {splits}; in brackets the 95 % interval, by a bootstrap over
groups of test videos (Weizmann: persons) and over networks; the number of networks where some are missing.
{seeds} networks a row, one per seed, on each split. What is compared, and what counts as shown, was written
down before any of these networks was tested on these splits: [the protocol](protocol.md). The choices were
made on split 1, by [pilots](pilots.md).

The claim: a network that learnt to predict the statistics of motion and appearance, without human labels, has
features that help to recognise actions. Here it is tested at a scale that two CPU cores can afford, so only
the comparison of rows is meaningful; **no figure here can be compared with the paper's**, whose networks are
larger, whose data are 101 classes, and whose training is longer.

Videos: {footage}

Pre-training takes {epochs} epochs over the training videos and those of other classes, without classes:
`{network}`, and per row

{rows}

(the first row takes no step: weights stay random, batch norm learns its statistics). Frozen features are the
last convolution, pooled, averaged over a video's clips; the probe is a logistic regression, its C chosen
within the training videos. *Averaged 4 x 4 pixels* uses no network: it shows how far colour and scene alone
go. *Labels of other clips* is the same training with nothing to learn; *playback pace* is another pretext
task with the same budget. Weizmann: 10 actions of 9 persons in front of one wall, each person tested with
the other eight as training. Fine-tuning, of random networks with the same options and the same budget:

{tunings}"""
CLAIMS: Final = """\
The comparisons in the order of the protocol, on the splits together: points and their 95 % interval. The
first that is not shown ends the claims. With other draws of the bootstrap a bound moves by about 0.2 points:
one that is nearer to 0 shows little."""
COMMANDS: Final = """\
    make reproduce-small ROOT=... WEIZMANN=...

which runs the commands that it prints with `ARGS=--dry-run`, in that order except where one must wait for
another, and resumes where it was stopped. The figures of each network are in [results.json](results.json).
Networks with the first seed come along in [weights](weights/README.md)."""


def _short_table(cells: Sequence[Cell]) -> str:
    """Return what another page shows: the sentence on pre-training and random networks, and a short table."""
    together = cells[-1].split
    short = [cell for cell in cells if cell.measure in SHORT_MEASURES]
    return "\n\n".join(filter(None, [headline(cells, together, TITLES), _table(short, together)]))


def _table(cells: Sequence[Cell], split: str) -> str:
    """Return the table of all accuracies on one split, or several together, with one line per row."""
    of_split = [cell for cell in cells if cell.split == split]
    measures = [m.title for m in MEASURES if any(cell.measure == m.title for cell in of_split)]
    lines = []
    for row, title in TITLES.items():
        found = {cell.measure: cell for cell in of_split if cell.row == row}
        if found:
            lines.append([title, *(format_cell(found[m]) if m in found else "" for m in measures)])
    return markdown_table(["pre-training", *measures], lines)


def format_cell(cell: Cell) -> str:
    """Return a cell in percent with its interval, and the number of networks if some are missing."""
    if not cell.values:
        return "not done"
    count = "" if len(cell.values) == cell.expected else f" ({len(cell.values)})"
    return format_interval(cell.interval) + count


def _differences(cells: Sequence[Cell]) -> str:
    """Return the table that compares pre-training with random weights and with the controls."""
    lines = [
        "Points, and the 95 % interval of each by itself. Networks of the same seed are paired. Only the "
        "comparisons above are claims; these are for the reader.",
        "",
    ]
    splits = list(dict.fromkeys(cell.split for cell in cells))
    measures = [m.title for m in MEASURES if any(cell.measure == m.title for cell in cells)]
    rows = []
    for row, baseline in COMPARED:
        found = {(c.split, c.measure): d for c, d in compare(cells, row, baseline)}
        for split in splits:
            shown = [found.get((split, measure)) for measure in measures]
            if any(shown):
                cells_shown = ["" if d is None else format_interval(d, is_difference=True) for d in shown]
                rows.append([f"{TITLES[row]} - {TITLES[baseline]}", split, *cells_shown])
    lines.append(markdown_table(["rows", "split", *measures], rows))
    return "\n".join(lines)


def _labels_table(fits: Sequence[LabelFit]) -> str:
    """Return the table of R^2 and accuracy by label, means over seeds."""
    rows = [name for name in TITLES if any(fit.row == name for fit in fits)]
    lines = [
        "R^2 (1 - loss / loss of the best constant; 0 is learning nothing), then the share of clips whose "
        "label is the nearest to the prediction; mean over networks, centre views of the test videos of the "
        "first split above. The best coding and playback pace predict other numbers than the labels: their "
        "R^2 is no measure against that of the other rows.",
        "",
    ]
    shown = []
    for label in dict.fromkeys(fit.label for fit in fits):
        found = {fit.row: fit for fit in fits if fit.label == label}
        scores = [
            _numbers(fmean(found[name].r2), fmean(found[name].accuracy)) if name in found else ""
            for name in rows
        ]
        shown.append([f"`{label}`", _numbers(next(iter(found.values())).mode_accuracy), *scores])
    lines.append(markdown_table(["label", "most frequent", *(TITLES[name] for name in rows)], shown))
    return "\n".join(lines)


def _numbers(*values: float) -> str:
    """Return numbers with two decimals, without those that are not defined."""
    return ", ".join(f"{value:.2f}" for value in values if not math.isnan(value))


def _between_marks(path: Path, table: str) -> str:
    """Return the text of a file with `table` between its two marks.

    Raises
    ------
    ConfigError
        If the file does not have each mark once.
    """
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN_MARK) != 1 or text.count(END_MARK) != 1:
        raise ConfigError(
            f"expected one line {BEGIN_MARK} and one {END_MARK} in {path}: put them where the table goes"
        )
    before, rest = text.split(BEGIN_MARK)
    return f"{before}{BEGIN_MARK}\n\n{table}\n\n{END_MARK}{rest.split(END_MARK)[1]}"
