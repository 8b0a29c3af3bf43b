"""Reads the results of the small experiment: figures of each network, their mean and its interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.schema import HELDOUT_FILE, LABEL_KINDS, LABEL_NAMES
from mas_train.evaluation.intervals import Interval, difference, interval
from mas_train.evaluation.results import Result, read_results, right_of
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
    right
        (N, V): which videos each of these networks recognised, or in which share of several tries; None if a
        result keeps no outcomes.
    groups
        (V,), the group of each video.
    """

    split: str
    condition: str
    measure: str
    values: tuple[float, ...]
    expected: int
    videos: int
    right: NDArray[np.float64] | None = field(default=None, compare=False)
    groups: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN without any."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; NaN for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def interval(self) -> Interval:
        """The mean with its interval; without bounds if there are no outcomes."""
        if self.right is None:
            return Interval(self.mean, None, None, len(self.values), 0)
        return interval(self.right, self.groups)

    @property
    def entries(self) -> dict[str, Any]:
        """Entries of ``results.json``: all but the outcomes, with mean, spread and bounds of the interval."""
        names = ("split", "condition", "measure", "values", "expected", "videos")
        numbers = {"mean": self.mean, "spread": self.spread}
        known = {name: None if math.isnan(value) else value for name, value in numbers.items()}
        bounds = {"low": self.interval.low, "high": self.interval.high}
        return {**{name: getattr(self, name) for name in names}, **known, **bounds}


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
                right = right_of(results, measure.figure)
                groups = () if right is None else tuple(results[0].outcomes["groups"])
                found = (split.name, condition, measure.title, values, len(names), videos)
                cells.append(Cell(*found, right, groups))
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


def compare(cells: Sequence[Cell], condition: str, baseline: str) -> list[tuple[Cell, Cell, Interval | None]]:
    """Pair the cells of two conditions, with the interval of the difference of their means.

    Networks of one seed began with the same weights, so they are paired where all of both rows are done. None
    where a row has no outcomes.
    """
    done = [cell for cell in cells if cell.values]
    baselines = {(cell.split, cell.measure): cell for cell in done if cell.condition == baseline}
    pairs = [
        (cell, baselines[cell.split, cell.measure])
        for cell in done
        if cell.condition == condition and (cell.split, cell.measure) in baselines
    ]
    return [(cell, other, _difference(cell, other)) for cell, other in pairs]


def _difference(cell: Cell, other: Cell) -> Interval | None:
    """Return the difference of the means of two cells; None without outcomes of the same videos."""
    if cell.right is None or other.right is None or cell.groups != other.groups:
        return None
    counts = {len(cell.values), cell.expected, len(other.values), other.expected}
    return difference(cell.right, other.right, cell.groups, is_paired=len(counts) == 1)
