"""What the steps of the small experiment left, as numbers: a network's, then mean and spread over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mas_labels.schema import HELDOUT_FILE, LABEL_NAMES
from mas_train.evaluation.results import Result, read_results
from mas_train.reproduce.plan import Step
from mas_train.reproduce.run import read_mark
from mas_train.reproduce.small import PIXELS, Experiment, Split, network_name
from mas_train.training.heldout import read_heldout


@dataclass(frozen=True)
class Measure:
    """One column of the tables: an accuracy, in the folder and under the name where a step left it."""

    title: str
    folder: str
    """Of the result; ``{name}`` is the network's."""
    protocol: str
    figure: str
    step: str
    """Name of the step, up to the network's."""


MEASURES: Final = (
    Measure("probe, all labels", "results/{name}", "probe", "accuracy", "probe-"),
    Measure("probe, 10 % of labels", "results/{name}", "probe", "accuracy, 10% of labels", "probe-"),
    Measure("retrieval, top-1", "results/{name}", "retrieval", "top-1", "retrieval-"),
    Measure("retrieval, top-5", "results/{name}", "retrieval", "top-5", "retrieval-"),
    Measure("Weizmann, probe", "results/weizmann-{name}", "groups", "accuracy", "weizmann-"),
    Measure("fine-tuned, all labels", "finetuned/all-{name}", "accuracy", "top-1", "finetune-all-"),
    Measure("fine-tuned, 10 % of labels", "finetuned/few-{name}", "accuracy", "top-1", "finetune-few-"),
)
"""Frozen features first."""


@dataclass(frozen=True)
class Cell:
    """One condition and measure on one split.

    Attributes
    ----------
    split, condition, measure
        Which.
    values
        An accuracy from 0 to 1 for each seed that is done, in the order of seeds.
    expected
        How many there should be in the end.
    videos
        Test videos.
    """

    split: str
    condition: str
    measure: str
    values: tuple[float, ...]
    expected: int
    videos: int

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN without any."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; NaN for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def standard_error(self) -> float:
        """Of one of the accuracies, from the number of test videos (binomial)."""
        return math.sqrt(self.mean * (1 - self.mean) / self.videos) if self.videos else math.nan


def gather(experiment: Experiment, steps: Sequence[Step], work: Path) -> list[Cell]:
    """Read what is done: a cell for each split, condition and measure of the plan.

    Parameters
    ----------
    experiment, steps
        What was to be done.
    work
        Folder of the work.

    Raises
    ------
    ConfigError
        If the folder holds another plan's results.
    DatasetError
        If a result is damaged.
    """
    done = {step.name for step in steps if read_mark(work, step) is not None}
    planned = {step.name for step in steps}
    cells = []
    for split in experiment.splits:
        for condition in (PIXELS, *split.conditions):
            for measure in MEASURES:
                names = [
                    name
                    for name in network_names(experiment, split, condition)
                    if f"{measure.step}{name}" in planned
                ]
                found = [
                    read_measure(work, measure, name) for name in names if f"{measure.step}{name}" in done
                ]
                values = tuple(result.figures[measure.figure] for result in found)
                videos = found[0].videos if found else 0
                cells.append(Cell(split.name, condition, measure.title, values, len(names), videos))
    return [cell for cell in cells if cell.expected]


def network_names(experiment: Experiment, split: Split, condition: str) -> list[str]:
    """Names of a condition's networks, one a seed; of the averaged pixels one."""
    if condition == PIXELS:
        return [f"split{split.name}-{PIXELS}"]
    return [network_name(split, condition, seed) for seed in experiment.seeds]


def read_measure(work: Path, measure: Measure, name: str) -> Result:
    """Read what a step left of a network."""
    folder = work / measure.folder.format(name=name)
    return next(result for result in read_results([folder]) if result.protocol == measure.protocol)


@dataclass(frozen=True)
class LabelFit:
    """How well one label of held-out clips is predicted, mean and spread over seeds."""

    condition: str
    label: str
    r2: tuple[float, ...]
    accuracy: tuple[float, ...]
    mode_accuracy: float
    """Of naming the training clips' most frequent label, always."""


def gather_labels(experiment: Experiment, steps: Sequence[Step], work: Path) -> list[LabelFit]:
    """Read R^2 and accuracy of each label, of the networks of the first split, at the end of training."""
    split = experiment.splits[0]
    done = {step.name for step in steps if read_mark(work, step) is not None}
    fits = []
    for condition in split.conditions:
        names = [n for n in network_names(experiment, split, condition) if f"pretrain-{n}" in done]
        tables = [last_rows(work / "runs" / name) for name in names]
        for label in (*LABEL_NAMES, "motion", "appearance"):
            rows = [table[label] for table in tables if label in table]
            if rows:
                columns = {
                    key: tuple(row[key] for row in rows) for key in ("r2", "accuracy", "mode_accuracy")
                }
                fits.append(
                    LabelFit(
                        condition, label, columns["r2"], columns["accuracy"], columns["mode_accuracy"][0]
                    )
                )
    return fits


def last_rows(run: Path) -> dict[str, dict[str, float]]:
    """Scores of a run's last measurement by label; none if nothing was held out."""
    if not (run / HELDOUT_FILE).exists():
        return {}
    rows = read_heldout(run)
    last = max(float(row["step"]) for row in rows)
    return {
        str(row["label"]): {key: float(row[key]) for key in ("r2", "accuracy", "mode_accuracy")}
        for row in rows
        if row["step"] == last
    }


def compare(cells: Sequence[Cell], condition: str, baseline: str) -> list[tuple[Cell, Cell, float]]:
    """Pair the cells of two conditions: each with the difference of means over the spread of the two.

    The spread is the root of the mean of both variances; the ratio is NaN where a spread is not known.
    """
    by_key: Callable[[Cell], tuple[str, str]] = lambda cell: (cell.split, cell.measure)  # noqa: E731
    others = {by_key(cell): cell for cell in cells if cell.condition == baseline and cell.values}
    pairs = [
        (cell, others[by_key(cell)])
        for cell in cells
        if cell.condition == condition and cell.values and by_key(cell) in others
    ]
    return [(ours, theirs, _ratio(ours, theirs)) for ours, theirs in pairs]


def _ratio(ours: Cell, theirs: Cell) -> float:
    spread = math.sqrt((ours.spread**2 + theirs.spread**2) / 2)
    return (ours.mean - theirs.mean) / spread if spread > 0 else math.nan
