"""Reads the results of the small experiment: outcomes of test videos by network, and scores of labels."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError
from mas_labels.schema import HELDOUT_FILE
from mas_train.evaluation.intervals import Interval, Outcomes, decode_right, difference, interval
from mas_train.evaluation.results import Result, read_results
from mas_train.reproduce.plan import Step
from mas_train.reproduce.run import done_steps
from mas_train.reproduce.small import PIXELS, TUNINGS, Experiment, Split, Tuning, network_name
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
    is_shared: bool = False
    """True if networks of all splits are tested on the same videos."""


def tuning_measure(name: str, tuning: Tuning) -> Measure:
    """Return the column of a way of fine-tuning."""
    return Measure(tuning.title, f"finetuned/{name}-{{name}}", "accuracy", "top-1", f"finetune-{name}-")


FEW_LABELS: Final = Measure(
    "probe, 10 % of labels", "results/{name}", "probe", "accuracy, 10% of labels", "probe-"
)
NEAREST: Final = Measure("retrieval, top-1", "results/{name}", "retrieval", "top-1", "retrieval-")
FROZEN: Final = (
    FEW_LABELS,
    NEAREST,
    Measure("probe, all labels", "results/{name}", "probe", "accuracy", "probe-"),
    Measure("precision at 10", "results/{name}", "retrieval", "precision at 10", "retrieval-"),
)
"""Of frozen features, in the order of the protocol."""
MEASURES: Final = (
    *FROZEN,
    Measure("Weizmann, probe", "results/weizmann-{name}", "groups", "accuracy", "weizmann-", is_shared=True),
    *(tuning_measure(name, tuning) for name, tuning in TUNINGS.items()),
)


@dataclass(frozen=True)
class Cell:
    """Results of one row and measure on one split, or on several together.

    Attributes
    ----------
    split
        Name of the split, or of several, joined by " + ".
    row, measure
        Key of the row, and title of the measure.
    values
        One accuracy from 0 to 1 per seed that is done, in the order of seeds.
    expected
        Number of values once all seeds are done.
    videos
        Number of test videos.
    right
        (N, V): the share of tries in which each network recognised each video.
    groups
        (V,), name of each video's group.
    tested
        Digest of the test videos of each split.
    """

    split: str
    row: str
    measure: str
    values: tuple[float, ...]
    expected: int
    videos: int
    right: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)), repr=False, compare=False)
    groups: tuple[str, ...] = field(default=(), repr=False, compare=False)
    tested: tuple[str, ...] = field(default=(), repr=False, compare=False, kw_only=True)

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN without any."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def interval(self) -> Interval:
        """The mean with its interval over groups and networks."""
        return interval(self.right, self.groups)


def read_cells(experiment: Experiment, steps: Sequence[Step], work: Path) -> list[Cell]:
    """Read the results so far: one cell per split, row and measure of the plan; last those of all splits.

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
    done, planned = done_steps(steps, work), {step.name for step in steps}
    splits = [{split.name: split} for split in experiment.splits]
    if len(splits) > 1:
        splits.append({split.name: split for split in experiment.splits})
    cells = []
    for chosen in splits:
        for row in (PIXELS, *experiment.rows):
            names = {name: network_names(experiment, split, row) for name, split in chosen.items()}
            cells += [read_cell(work, done, planned, names, row, measure) for measure in MEASURES]
    return [cell for cell in cells if cell.expected]


def read_cell(
    work: Path,
    done: Collection[str],
    planned: Collection[str],
    names: Mapping[str, Sequence[str]],
    row: str,
    measure: Measure,
) -> Cell:
    """Read the results of a row's networks by one measure; only seeds that are done on all splits count.

    Parameters
    ----------
    work
        The work folder.
    done, planned
        Names of the steps that are done, and of all.
    names
        Name of each split -> names of the row's networks, by seed.
    row, measure
        The row, and the measure.

    Raises
    ------
    DatasetError
        If a result is corrupt, has no outcomes, or is of other videos than that of another network.
    """
    steps = [[f"{measure.step}{name}" for name in of_split] for of_split in names.values()]
    seeds = [seed for seed, of_seed in enumerate(zip(*steps, strict=True)) if set(of_seed) <= set(done)]
    rights: list[NDArray[np.float64]] = []
    groups: list[str] = []
    tested: list[str] = []
    for split, of_split in names.items() if seeds else ():
        outcomes = [_outcomes(read_measure(work, measure, of_split[seed]), measure) for seed in seeds]
        if len({outcome.videos for outcome in outcomes}) > 1:
            raise DatasetError(f"results of {row}, {measure.title}, are of different videos: evaluate again")
        rights.append(np.stack([decode_right(outcome.right[measure.figure]) for outcome in outcomes]))
        prefix = "" if measure.is_shared else f"{split}/"
        groups += [f"{prefix}{group}" for group in outcomes[0].groups]
        tested.append(outcomes[0].videos)
    right = np.concatenate(rights, axis=1) if seeds else np.empty((0, 0))
    expected = min(len(set(of_split) & set(planned)) for of_split in steps)
    values = tuple(right.mean(axis=1).tolist()) if seeds else ()
    facts = " + ".join(names), row, measure.title, values, expected, right.shape[1]
    return Cell(*facts, right, tuple(groups), tested=tuple(tested))


def _outcomes(result: Result, measure: Measure) -> Outcomes:
    """Return a result's outcomes of each video.

    Raises
    ------
    DatasetError
        If it has none.
    """
    try:
        outcomes = Outcomes(**result.outcomes)
        outcomes.right[measure.figure]
        return outcomes
    except (KeyError, TypeError) as error:
        raise DatasetError(
            f"the result of {result.command!r} has no outcomes of {measure.figure}: evaluate again"
        ) from error


def network_names(experiment: Experiment, split: Split, row: str) -> list[str]:
    """Return the names of a row's networks, one per seed; averaged pixels have a single name."""
    if row == PIXELS:
        return [f"split{split.name}-{PIXELS}"]
    return [network_name(split, row, seed) for seed in experiment.seeds]


def read_measure(work: Path, measure: Measure, name: str) -> Result:
    """Read the result of one measure of a network."""
    folder = work / measure.folder.format(name=name)
    return next(result for result in read_results([folder]) if result.protocol == measure.protocol)


def compare(cells: Sequence[Cell], row: str, baseline: str) -> list[tuple[Cell, Interval]]:
    """Return the differences of two rows, row less baseline, in each split and measure that both have.

    Networks of one seed began with the same weights; they are paired where both rows are complete.

    Raises
    ------
    DatasetError
        If the two were tested on different videos.
    """
    done = [cell for cell in cells if cell.values]
    baselines = {(cell.split, cell.measure): cell for cell in done if cell.row == baseline}
    found = []
    for cell in done:
        other = baselines.get((cell.split, cell.measure))
        if cell.row == row and other is not None:
            if cell.tested != other.tested:
                raise DatasetError(
                    f"results of {row} and {baseline}, {cell.measure}, are of different videos: evaluate "
                    "again"
                )
            is_paired = len({len(cell.values), cell.expected, len(other.values), other.expected}) == 1
            found.append((cell, difference(cell.right, other.right, cell.groups, is_paired)))
    return found


@dataclass(frozen=True)
class LabelFit:
    """Scores of one label on held-out clips, by seed."""

    row: str
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
    for row in experiment.rows:
        names = [n for n in network_names(experiment, split, row) if f"pretrain-{n}" in done]
        runs = [last_scores(work / "runs" / name) for name in names]
        for label in dict.fromkeys(label for run in runs for label in run):
            scores = [run[label] for run in runs if label in run]
            r2 = tuple(score["r2"] for score in scores)
            accuracy = tuple(score["accuracy"] for score in scores)
            fits.append(LabelFit(row, label, r2, accuracy, scores[0]["mode_accuracy"]))
    return fits


def last_scores(run: Path) -> dict[str, dict[str, float]]:
    """Return the scores of a run's last measurement by label; none if nothing was measured.

    ``moved_r2`` is the noise ceiling (`mas_labels.schema.NOISE_COLUMNS`).
    """
    if not (run / HELDOUT_FILE).exists():
        return {}
    rows = read_heldout(run)
    last = max((float(row["step"]) for row in rows), default=0.0)
    keys = ("r2", "accuracy", "mode_accuracy", "moved_r2")
    return {
        str(row["label"]): {key: float(row.get(key, math.nan)) for key in keys}
        for row in rows
        if row["step"] == last
    }
