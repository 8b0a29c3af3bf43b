"""Pilots of the small experiment, on split 1 alone: its recipe with one choice changed, or said if more.

They make the two choices that the protocol leaves to them, by its rule: the coding of the targets, and the
optimiser of fine-tuning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mas_labels.errors import ConfigError, reason_of
from mas_labels.system.files import write_text
from mas_train.evaluation.intervals import format_interval
from mas_train.reproduce.measure import FROZEN, Cell, compare, last_scores, read_cell, tuning_measure
from mas_train.reproduce.page import format_cell
from mas_train.reproduce.plan import Step
from mas_train.reproduce.run import done_steps
from mas_train.reproduce.small import (
    LEARNING,
    ROWS,
    Experiment,
    Tuning,
    finetune_step,
    label_steps,
    network_steps,
)
from mas_train.runtime.markdown import markdown_table

SEEDS: Final = (0, 1)
PAGE_FILE: Final = "pilots.md"
BASELINE: Final = "random"


@dataclass(frozen=True)
class Pilot:
    """The recipe with one choice changed.

    Attributes
    ----------
    title
        What it changes, and what else.
    options
        Its options of `mas-train`.
    is_candidate
        True if it may become the row of the best coding.
    """

    title: str
    options: tuple[str, ...]
    is_candidate: bool = True


def _coded(coding: str, targets: str = "joint") -> tuple[str, ...]:
    return (*LEARNING, "--targets", targets, "--coding", coding)


NO_BATCH_NORM: Final = ("--backbone", "c3d", "--init", "authors", "--clip-grad-norm", "10")
PILOTS: Final[Mapping[str, Pilot]] = {
    BASELINE: Pilot("random", ROWS["random"].options, is_candidate=False),
    "number": Pilot("joint, the paper's numbers", _coded("number")),
    "axis": Pilot("orientations as axes", _coded("axis")),
    "recoded": Pilot("recoded: blocks as row and column, axes, colours", _coded("recoded")),
    "recoded-motion": Pilot("recoded; also no appearance", _coded("recoded", "motion")),
    "magnitudes": Pilot("dense magnitudes", _coded("magnitudes")),
    "magnitudes-motion": Pilot("dense magnitudes; also no appearance", _coded("magnitudes", "motion")),
    "dense": Pilot("dense magnitudes and axes", _coded("dense")),
    "dense-motion": Pilot("dense magnitudes and axes; also no appearance", _coded("dense", "motion")),
    "pace": Pilot("playback pace", ROWS["pace"].options, is_candidate=False),
    "no-bn": Pilot(
        "no batch norm; also another initialisation, clipped gradients",
        (*_coded("number"), *NO_BATCH_NORM),
        is_candidate=False,
    ),
}
TUNED: Final = ("random", "recoded")
"""Pilots whose networks are fine-tuned."""
OPTIMISERS: Final[Mapping[str, tuple[str, ...]]] = {
    "adamw": ("--optimizer", "adamw", "--lr", "0.0003"),
    "sgd": ("--optimizer", "sgd", "--lr", "0.01", "--weight-decay", "0.0005"),
}
"""Optimisers of fine-tuning that are compared, each with a rate and a decay that suit it."""


def pilot_experiment(experiment: Experiment) -> Experiment:
    """Return the experiment of the pilots: split 1, without Weizmann, fine-tuned with each optimiser."""
    tunings = {
        name: Tuning(f"fine-tuned by {name}, 10 % of labels", (*experiment.few_labels, *optimiser))
        for name, optimiser in OPTIMISERS.items()
    }
    return replace(experiment, splits=(experiment.pilot_split,), weizmann=False, tunings=tunings)


def pilot_name(pilot: str, seed: int) -> str:
    """Return the name of a pilot's network."""
    return f"pilot-{pilot}-seed{seed}"


def pilot_plan(experiment: Experiment) -> list[Step]:
    """Return the steps: the labels of all parts, each network with its frozen measures, fine-tuning."""
    pilots = pilot_experiment(experiment)
    (split,) = pilots.splits
    steps = label_steps(pilots)
    for seed in SEEDS:
        for name, pilot in PILOTS.items():
            options = with_options(pilots.network, pilot.options)
            steps += network_steps(pilots, split, pilot_name(name, seed), options, seed)
    for seed in SEEDS:
        for tuning in pilots.tunings:
            steps += [finetune_step(pilots, split, pilot_name(name, seed), tuning, seed) for name in TUNED]
    return steps


def with_options(options: Sequence[str], changes: Sequence[str]) -> tuple[str, ...]:
    """Return options, each a name and a value, with some values changed and new options added."""
    words = (*options, *changes)
    values = dict(zip(words[::2], words[1::2], strict=True))
    return tuple(word for option in values.items() for word in option)


def read_pilots(experiment: Experiment, steps: Sequence[Step], work: Path) -> list[Cell]:
    """Read the results of the pilots so far; see `mas_train.reproduce.measure.read_cell`."""
    done, planned = done_steps(steps, work), {step.name for step in steps}
    pilots = pilot_experiment(experiment)
    measures = [*FROZEN, *(tuning_measure(name, tuning) for name, tuning in pilots.tunings.items())]
    cells = []
    for name in PILOTS:
        names = {pilots.pilot_split.name: [pilot_name(name, seed) for seed in SEEDS]}
        cells += [read_cell(work, done, planned, names, name, measure) for measure in measures]
    return [cell for cell in cells if cell.expected]


def choose(cells: Sequence[Cell]) -> dict[str, str]:
    """Return the choices by the rule of the protocol, of what is done.

    The coding is that of the candidate with the highest mean of the first two endpoints; the optimiser that
    with the highest mean accuracy of the networks that were fine-tuned by it, random ones included.
    """
    means = {(cell.row, cell.measure): cell.mean for cell in cells if len(cell.values) == cell.expected}
    codings = {
        name: sum(means[name, measure.title] for measure in FROZEN[:2])
        for name, pilot in PILOTS.items()
        if pilot.is_candidate and all((name, measure.title) in means for measure in FROZEN[:2])
    }
    titles = {name: f"fine-tuned by {name}, 10 % of labels" for name in OPTIMISERS}
    optimisers = {
        name: sum(means[row, title] for row in TUNED)
        for name, title in titles.items()
        if all((row, title) in means for row in TUNED)
    }
    found = {"coding": codings, "optimiser": optimisers}
    return {what: max(scores, key=scores.__getitem__) for what, scores in found.items() if scores}


def write_pilots(experiment: Experiment, steps: Sequence[Step], work: Path, out: Path) -> Path:
    """Write the tables of the pilots that are done, and what they choose.

    Parameters
    ----------
    experiment, steps
        The experiment and the steps of its pilots.
    work
        The work folder.
    out
        Folder of the page.

    Returns
    -------
    The page.

    Raises
    ------
    ConfigError
        If it cannot be written.
    DatasetError
        If a result is corrupt.
    """
    cells = read_pilots(experiment, steps, work)
    chosen = choose(cells)
    lines = [f"- {what}: `{name}`" for what, name in chosen.items()] or ["- nothing yet: pilots are missing"]
    first = [f"pretrain-{pilot_name(name, SEEDS[0])}" for name in PILOTS]
    commands = "\n".join(f"    {' '.join(step.command)}" for step in steps if step.name in first)
    text = PAGE.format(
        seeds=len(SEEDS),
        videos=max((cell.videos for cell in cells), default=0),
        table=_table(cells, work),
        differences=_differences(cells),
        chosen="\n".join(lines),
        commands=commands,
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / PAGE_FILE, text)
    except OSError as error:
        raise ConfigError(f"cannot write the page ({reason_of(error)}): give another --out") from error
    return out / PAGE_FILE


def _table(cells: Sequence[Cell], work: Path) -> str:
    """Return the table of accuracies with intervals, and R^2 of the last measurement."""
    measures = list(dict.fromkeys(cell.measure for cell in cells))
    rows = []
    for name, pilot in PILOTS.items():
        found = {cell.measure: cell for cell in cells if cell.row == name}
        scores = [last_scores(work / "runs" / pilot_name(name, seed)) for seed in SEEDS]
        r2 = [
            ", ".join(_show_r2(s[kind]["r2"], s[kind]["moved_r2"]) for s in scores if kind in s)
            for kind in ("motion", "appearance")
        ]
        rows.append([pilot.title, *(format_cell(found[m]) if m in found else "" for m in measures), *r2])
    return markdown_table(["pilot", *measures, "R^2, motion", "R^2, appearance"], rows)


def _show_r2(r2: float, ceiling: float) -> str:
    """Return R^2 with its noise ceiling in brackets, if that was measured."""
    return f"{r2:.2f}" if math.isnan(ceiling) else f"{r2:.2f} ({ceiling:.2f})"


def _differences(cells: Sequence[Cell]) -> str:
    """Return the table of differences to random networks."""
    measures = list(dict.fromkeys(cell.measure for cell in cells))
    rows = []
    for name, pilot in PILOTS.items():
        found = {cell.measure: difference for cell, difference in compare(cells, name, BASELINE)}
        if found and name != BASELINE:
            shown = [format_interval(found[m], is_difference=True) if m in found else "" for m in measures]
            rows.append([pilot.title, *shown])
    return markdown_table(["pilot - random", *measures], rows)


PAGE: Final = """\
# Pilots on split 1

The recipe of the [small experiment](README.md) with one choice changed at a time, or the row says what else
changed. {seeds} networks each, on split 1 alone: {videos} test videos. Accuracy in percent with its 95 %
interval, by a bootstrap over groups of test videos and over networks. R^2 on held-out clips (1 - loss / loss
of the best constant) of each network, in brackets that of the targets of a moved view, the noise ceiling:
codings predict different numbers, so R^2 is not compared across them.

{table}

Differences to random networks in points, each with the 95 % interval of that comparison alone; with so many
of them some leave 0 out by chance. They choose, they show nothing: that is for splits 2 and 3.

{differences}

By the rule of [the protocol](protocol.md) they choose

{chosen}

Made by `make reproduce-pilots ROOT=...`, which trains networks by these commands, once more with the other
seed, and evaluates and fine-tunes them as the small experiment does

{commands}
"""
