"""The page of the small experiment: tables, comparisons, pictures, commands, versions, machine."""

from __future__ import annotations

import json
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
from mas_train.evaluation.intervals import format_interval
from mas_train.evaluation.published import TABLES
from mas_train.reproduce.measure import MEASURES, Cell, LabelFit, compare, read_cells, read_label_fits
from mas_train.reproduce.plan import Step, show_command
from mas_train.reproduce.plots import draw_accuracies, draw_labels
from mas_train.reproduce.run import read_mark
from mas_train.reproduce.small import CONDITIONS, PIXELS, Experiment
from mas_train.runtime.markdown import markdown_table, show_percent

PACKAGES: Final = ("torch", "numpy", "opencv-contrib-python", "h5py", "scikit-learn")
BEGIN_MARK: Final = "<!-- results/small: begin -->"
END_MARK: Final = "<!-- results/small: end -->"
TITLES: Final = {PIXELS: "averaged 4 x 4 pixels", **{name: c.title for name, c in CONDITIONS.items()}}
COMPARED: Final = (
    *((name, "random") for name in ("joint", "motion", "appearance", "raw")),
    *(("joint", name) for name in ("shuffled", PIXELS)),
)
"""Rows that are compared, the second being the baseline."""
PAPER_ROWS: Final = {
    "random": "From scratch",
    "motion": "Motion",
    "appearance": "Appearance",
    "joint": "Joint",
}
"""Rows of the paper's table 3, by condition."""


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
        Folder of the page: README.md, results.json, commands.txt and pictures.
    readme
        A file in which the main table replaces the lines between `BEGIN_MARK` and `END_MARK`.

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
    facts = {"machine": describe_machine(), "versions": describe_versions(), "minutes": round(minutes)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        draw_accuracies(cells, TITLES, out / "accuracies.png")
        draw_labels(fits, TITLES, out / "labels.png")
        write_text(out / "commands.txt", "".join(f"{show_command(step)}\n" for step in steps))
        content = {
            **facts,
            "steps": {"done": len(done), "planned": len(steps)},
            "cells": [cell.entries for cell in cells],
            "labels": [asdict(fit) for fit in fits],
        }
        write_text(out / "results.json", json.dumps(content, indent=1) + "\n")
        page = out / "README.md"
        write_text(page, _page(experiment, steps, done, cells, fits, facts))
        if readme is not None:
            write_text(readme, _between_marks(readme, _main_table(cells, cells[0].split)))
    except OSError as error:
        raise ConfigError(f"cannot write the page ({reason_of(error)}): give another --out") from error
    return page


def describe_machine() -> str:
    """Return the name of the processor and the number of its cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def describe_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results may depend on."""
    return {"python": platform.python_version(), **package_versions(*PACKAGES)}


def _page(
    experiment: Experiment,
    steps: Sequence[Step],
    done: Sequence[Step],
    cells: Sequence[Cell],
    fits: Sequence[LabelFit],
    facts: dict[str, Any],
) -> str:
    """Return the page as Markdown."""
    parts = [
        "# Does it learn? A small reproduction",
        INTRODUCTION.format(
            seeds=len(experiment.seeds),
            epochs=experiment.epochs,
            network=" ".join(experiment.network),
            options="\n".join(f"- {c.title}: `{' '.join(c.options)}`" for c in CONDITIONS.values()),
        ),
    ]
    if any(cell.values and cell.right is None for cell in cells):
        parts.append(NO_OUTCOMES)
    missing = [step.name for step in steps if step not in done]
    if missing:
        parts.append(
            f"**Not complete:** {len(done)} of {len(steps)} steps are done; the same command runs the "
            f"rest. Missing: {', '.join(missing)}."
        )
    for split in experiment.splits:
        of_split = [cell for cell in cells if cell.split == split.name]
        videos = max((cell.videos for cell in of_split if cell.measure == MEASURES[0].title), default=0)
        parts += [
            f"## Split {split.name}: trained on `{split.train}`, {videos} test videos of `{split.test}`",
            _main_table(cells, split.name),
        ]
    parts += ["![accuracies](accuracies.png)", "## Comparisons", _comparisons(cells)]
    parts += ["## The pretext task, on held-out clips", _labels_table(fits), "![R^2 by label](labels.png)"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    parts += ["## Made by", COMMANDS, f"Machine: {facts['machine']}. Versions: {versions}."]
    parts += [
        f"The steps took {facts['minutes']} minutes in total (of interrupted steps the last part only)."
    ]
    return "\n\n".join(parts) + "\n"


INTRODUCTION: Final = """\
The claim: a network that learnt to predict the statistics of motion and appearance, without human
labels, has features that help to recognise actions. Here the claim is tested at a scale that two CPU
cores can afford, so only the comparison of rows is meaningful; **no figure here can be compared with the
paper's**, whose networks are larger, whose data are 101 classes, and whose training is longer.

{seeds} networks per row, one per seed. Pre-training takes {epochs} epochs over every second clip of the
training videos: `{network}`, and per row

{options}

(the first row takes no step: weights stay random, batch norm learns its statistics). Frozen features
are the last convolution, pooled, averaged over a video's clips; the probe is a logistic regression, its C
chosen within the training videos. *Averaged 4 x 4 pixels* uses no network: it shows how far colour and scene
alone go. *Labels of other clips* is the same training with nothing to learn. *Raw targets* differ from
*joint* in coding, rate and clipping of gradients, too. Weizmann: 10 actions of 9 persons in front of one
wall, each person tested with the other eight as training. The recipe was chosen on split 1, with its test
videos in view, from a few trial runs; it was fixed before split 2 was evaluated. The effect of each of its
choices is measured in [pilots.md](pilots.md), by `make reproduce-pilots`.

In percent; in square brackets the 95 % interval of the mean, by a bootstrap over networks and over groups of
test videos: those of one UCF101 group are cut from one recording, those of one person of Weizmann are alike.
The number of networks is in round brackets where some are missing. Intervals take each comparison by itself:
of 20 comparisons without any difference one is expected to exclude 0."""
NO_OUTCOMES: Final = """\
**Some results kept no outcomes of single videos**, since an older version measured them: their rows have no
intervals, but ± the standard deviation over networks."""

COMMANDS: Final = """\
    make reproduce-small ROOT=... WEIZMANN=...

which runs the commands in [commands.txt](commands.txt), in that order except where one must wait for another,
and resumes where it was stopped. The figures of each network are in [results.json](results.json).
Networks with the first seed come along in [weights](weights/README.md)."""


def _main_table(cells: Sequence[Cell], split: str) -> str:
    """Return the table of all accuracies on one split, with one row per condition."""
    of_split = [cell for cell in cells if cell.split == split]
    measures = [m.title for m in MEASURES if any(cell.measure == m.title for cell in of_split)]
    rows = []
    published = {row.method: row.figures[0] for row in TABLES[3].rows}
    for condition, title in TITLES.items():
        row = {cell.measure: cell for cell in of_split if cell.condition == condition}
        if row:
            paper = published.get(PAPER_ROWS.get(condition, ""))
            shown = [format_cell(row[name]) if name in row else "" for name in measures]
            rows.append([title, *shown, "" if paper is None else f"{paper:g}"])
    return markdown_table(["pre-training", *measures, "the paper, UCF101"], rows)


def format_cell(cell: Cell) -> str:
    """Return the mean in percent with its interval, and the number of networks if some are missing."""
    if not cell.values:
        return "not done"
    count = "" if len(cell.values) == cell.expected else f" ({len(cell.values)})"
    return (show_percent(cell.values) if cell.right is None else format_interval(cell.interval)) + count


def _comparisons(cells: Sequence[Cell]) -> str:
    """Return the table that compares pre-training with random weights and with the controls."""
    lines = [
        "Difference of means in points with its 95 % interval, paired over test videos and over networks of "
        "the same seed; whether the interval holds 0, which is no difference.",
        "",
    ]
    rows = []
    for condition, baseline in COMPARED:
        for cell, other, shown in compare(cells, condition, baseline):
            points = (
                f"{100 * (cell.mean - other.mean):+.1f}" if shown is None else format_interval(shown, True)
            )
            holds_0 = "no interval" if shown is None or shown.low is None else "excludes 0"
            holds_0 = "includes 0" if holds_0 == "excludes 0" and shown and not shown.excludes_0 else holds_0
            compared = f"{TITLES[condition]} - {TITLES[baseline]}"
            rows.append([compared, cell.split, cell.measure, points, holds_0])
    lines.append(markdown_table(["rows", "split", "measure", "points", "interval"], rows))
    return "\n".join(lines)


def _labels_table(fits: Sequence[LabelFit]) -> str:
    """Return the table of R^2 and accuracy by label, means over seeds."""
    conditions = [name for name in TITLES if any(fit.condition == name for fit in fits)]
    lines = [
        "R^2 (1 - loss / loss of the best constant; 0 is learning nothing), then the share of clips whose "
        "label is the nearest to the prediction; mean over networks, centre views of split 1's test videos. "
        "R^2 of an orientation is that of its sine and cosine, except for raw targets.",
        "",
    ]
    rows = []
    for label in dict.fromkeys(fit.label for fit in fits):
        row = {fit.condition: fit for fit in fits if fit.label == label}
        shown = [
            f"{fmean(row[name].r2):.2f}, {fmean(row[name].accuracy):.2f}" if name in row else ""
            for name in conditions
        ]
        frequent = next(iter(row.values())).mode_accuracy
        rows.append([f"`{label}`", f"{frequent:.2f}", *shown])
    lines.append(markdown_table(["label", "most frequent", *(TITLES[name] for name in conditions)], rows))
    return "\n".join(lines)


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
