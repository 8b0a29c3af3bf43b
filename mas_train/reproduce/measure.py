"""Reads the results of the small experiment: figures of each network, their mean and spread over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mas_labels.schema import HELDOUT_FILE, LABEL_KINDS, LABEL_NAMES
from mas_train.evaluation.results import Result, read_results
from mas_train.reproduce.plan import Step
from mas_train.reproduce.run import done_steps
from mas_train.reproduce.small import PIXELS, Experiment, Split, network_name
from mas_train.training.heldout import read_heldout


@dataclass(frozen=True)
class Measure:
    """One column of the tables: an accuracy, and where its step writes it."""

    title: str
    folder: str
    """Folder of the result; ``{name}`` stands for the network's name."""
    protocol: str
    figure: str
    step: str
    """Name of the step without the network's name at its end."""


MEASURES: Final = (
    Measure("probe, all labels", "results/{name}", "probe", "accuracy", "probe-"),
    Measure("probe, 10 % of labels", "results/{name}", "probe", "accuracy, 10% of labels", "probe-"),
    Measure("retrieval, top-1", "results/{name}", "retrieval", "top-1", "retrieval-"),
    Measure("retrieval, top-5", "results/{name}", "retrieval", "top-5", "retrieval-"),
    Measure("Weizmann, probe", "results/weizmann-{name}", "groups", "accuracy", "weizmann-"),
    Measure("fine-tuned, all labels", "finetuned/all-{name}", "accuracy", "top-1", "finetune-all-"),
    Measure("fine-tuned, 10 % of labels", "finetuned/few-{name}", "accuracy", "top-1", "finetune-few-"),
)
"""Those of frozen features first."""


@dataclass(frozen=True)
class Cell:
    """Results of one condition and measure on one split.

    Attributes
    ----------
    split, condition, measure
        Names of the split, condition and measure.
    values
        One accuracy from 0 to 1 per seed that is done, in the order of seeds.
    expected
        Number of values once all seeds are done.
    videos
        Number of test videos.
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
        """Standard error of one accuracy, from the number of test videos (binomial)."""
        return math.sqrt(self.mean * (1 - self.mean) / self.videos) if self.videos else math.nan


def read_cells(experiment: Experiment, steps: Sequence[Step], work: Path) -> list[Cell]:
    """Read the results so far: one cell per split, condition and measure of the plan.

    Parameters
    ----------
    experiment, steps
        The experiment and its plan.
    work
        The work folder.

    Raises
    ------
    ConfigError
        If the work folder holds another plan's results.
    DatasetError
        If a result is corrupt.
    """
    done = done_steps(steps, work)
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
                results = [
                    read_measure(work, measure, name) for name in names if f"{measure.step}{name}" in done
                ]
                values = tuple(result.figures[measure.figure] for result in results)
                videos = results[0].videos if results else 0
                cells.append(Cell(split.name, condition, measure.title, values, len(names), videos))
    return [cell for cell in cells if cell.expected]


def network_names(experiment: Experiment, split: Split, condition: str) -> list[str]:
    """Return the names of a condition's networks, one per seed; averaged pixels have a single name."""
    if condition == PIXELS:
        return [f"split{split.name}-{PIXELS}"]
    return [network_name(split, condition, seed) for seed in experiment.seeds]


def read_measure(work: Path, measure: Measure, name: str) -> Result:
    """Read the result of one measure of a network."""
    folder = work / measure.folder.format(name=name)
    return next(result for result in read_results([folder]) if result.protocol == measure.protocol)


@dataclass(frozen=True)
class LabelFit:
    """Scores of one label on held-out clips, by seed."""

    condition: str
    label: str
    r2: tuple[float, ...]
    accuracy: tuple[float, ...]
    mode_accuracy: float
    """Accuracy of always predicting the training clips' most frequent label."""


def read_label_fits(experiment: Experiment, steps: Sequence[Step], work: Path) -> list[LabelFit]:
    """Read R^2 and accuracy of each label, of the networks of the first split, at the end of training."""
    split = experiment.splits[0]
    done = done_steps(steps, work)
    fits = []
    for condition in split.conditions:
        names = [n for n in network_names(experiment, split, condition) if f"pretrain-{n}" in done]
        runs = [last_scores(work / "runs" / name) for name in names]
        for label in (*LABEL_NAMES, *LABEL_KINDS):
            scores = [run[label] for run in runs if label in run]
            if scores:
                r2 = tuple(score["r2"] for score in scores)
                accuracy = tuple(score["accuracy"] for score in scores)
                fits.append(LabelFit(condition, label, r2, accuracy, scores[0]["mode_accuracy"]))
    return fits


def last_scores(run: Path) -> dict[str, dict[str, float]]:
    """Return the scores of a run's last measurement by label; none if no clips were held out."""
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
    """Pair the cells of two conditions, with the difference of their means in units of their spread.

    The spread is the square root of the mean of both variances; the ratio is NaN where a spread is unknown.
    """
    done = [cell for cell in cells if cell.values]
    baselines = {(cell.split, cell.measure): cell for cell in done if cell.condition == baseline}
    pairs = [
        (cell, baselines[cell.split, cell.measure])
        for cell in done
        if cell.condition == condition and (cell.split, cell.measure) in baselines
    ]
    return [(cell, other, _ratio(cell, other)) for cell, other in pairs]


def _ratio(cell: Cell, other: Cell) -> float:
    """Return the difference of the means of two cells over their spread; NaN if the spread is unknown."""
    spread = math.sqrt((cell.spread**2 + other.spread**2) / 2)
    return (cell.mean - other.mean) / spread if spread > 0 else math.nan
