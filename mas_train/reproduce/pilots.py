"""Ablations of the small experiment: its recipe for the pretext task with one choice changed at a time.

Notes
-----
One network per choice, on split 1, so only large differences mean something. They are judged by R^2 on
held-out clips, which needs no classes, with the probe next to it. The table was made after the recipe of
`mas_train.reproduce.small` had been fixed: the recipe was not chosen by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Final

from mas_labels.errors import ConfigError, reason_of
from mas_labels.schema import LABEL_NAMES, ORIENTATION_NAMES
from mas_labels.system.files import write_text
from mas_train.evaluation.intervals import Interval, format_interval, interval
from mas_train.evaluation.results import right_of
from mas_train.reproduce.measure import MEASURES, last_scores, read_measure
from mas_train.reproduce.plan import Step
from mas_train.reproduce.run import done_steps
from mas_train.reproduce.small import CONDITIONS, Experiment, Split, label_steps, network_name, network_steps
from mas_train.runtime.markdown import markdown_table

SEED: Final = 0
PAGE_FILE: Final = "pilots.md"
BASE_CONDITION: Final = "joint"
"""The condition whose recipe is changed."""
SHARED_CONDITIONS: Final[Mapping[str, str]] = {"recipe": BASE_CONDITION, "raw": "raw"}
"""Pilots that are conditions of the small experiment, whose networks they share."""


@dataclass(frozen=True)
class Pilot:
    """The recipe with one choice changed.

    Attributes
    ----------
    choice
        Name of the choice.
    value
        The value that it is changed to.
    changes
        The changed options of `mas-train`, with their values.
    """

    choice: str
    value: str
    changes: Mapping[str, str]


RAW: Final = {"--target-scale": "raw", "--orientation": "number", "--lr": "0.001", "--clip-grad-norm": "10"}
NO_BATCH_NORM: Final = {"--backbone": "c3d", "--init": "authors", "--clip-grad-norm": "10"}
"""The paper's network; with He's initialisation and without clipping it diverged at the recipe's rate."""
PILOTS: Final[Mapping[str, Pilot]] = {
    "recipe": Pilot("", "the recipe", {}),
    "raw": Pilot("targets", "raw, clipped, rate 0.001", {}),
    "number": Pilot("targets", "orientations as numbers", {"--orientation": "number"}),
    "classes": Pilot("targets", "orientations as classes", {"--orientation": "classes"}),
    "no-bn": Pilot("batch norm", "none", NO_BATCH_NORM),
    "no-bn-slow": Pilot("batch norm", "none, rate 0.001", {**NO_BATCH_NORM, "--lr": "0.001"}),
    "no-bn-raw": Pilot("batch norm", "none, raw targets, rate 0.001", {**NO_BATCH_NORM, **RAW}),
    "lr-0.001": Pilot("rate", "0.001", {"--lr": "0.001"}),
    "lr-0.003": Pilot("rate", "0.003", {"--lr": "0.003"}),
    "lr-0.03": Pilot("rate", "0.03", {"--lr": "0.03"}),
    "appearance-0.25": Pilot("appearance weight", "0.25", {"--appearance-weight": "0.25"}),
    "appearance-4": Pilot("appearance weight", "4", {"--appearance-weight": "4"}),
    "epochs-2": Pilot("length", "2 epochs", {"--epochs": "2"}),
    "epochs-15": Pilot("length", "15 epochs", {"--epochs": "15"}),
    "whole-input": Pilot(
        "input", "every frame and pixel, 15 epochs", {"--input-stride": "1", "--epochs": "15"}
    ),
}
LABEL_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "motion locations": tuple(name for name in LABEL_NAMES if name.endswith(("_ul", "_vl"))),
    "orientations": ORIENTATION_NAMES,
    "fields (ui, vi)": ("ui", "vi"),
    "diversity locations": tuple(name for name in LABEL_NAMES if name.endswith(("_pd", "_ps"))),
    "colours": (*(name for name in LABEL_NAMES if name.endswith(("_cd", "_cs"))), "C"),
}
"""Columns of R^2, each the mean over some labels."""
PROBES: Final = MEASURES[:2]


def with_options(options: Sequence[str], changes: Mapping[str, str]) -> tuple[str, ...]:
    """Return options, each a name and a value, with some values changed and new options added."""
    values = dict(zip(options[::2], options[1::2], strict=True))
    return tuple(word for option in {**values, **changes}.items() for word in option)


def pilot_split(experiment: Experiment) -> Split:
    """Return the split that pilots are trained and measured on."""
    return experiment.splits[0]


def pilot_name(experiment: Experiment, pilot: str) -> str:
    """Return the name of a pilot's network."""
    if pilot in SHARED_CONDITIONS:
        return network_name(pilot_split(experiment), SHARED_CONDITIONS[pilot], SEED)
    return f"pilot-{pilot}"


def pilot_plan(experiment: Experiment) -> list[Step]:
    """Return the steps: the labels of split 1, then each network with its frozen measures."""
    split = pilot_split(experiment)
    one_split = replace(experiment, splits=(split,), weizmann=False)
    steps = label_steps(one_split)
    for name, pilot in PILOTS.items():
        condition = CONDITIONS[SHARED_CONDITIONS.get(name, BASE_CONDITION)]
        options = (*experiment.network, *condition.options, "--epochs", str(experiment.epochs))
        options = with_options(options, pilot.changes)
        steps += network_steps(one_split, split, pilot_name(experiment, name), options, SEED)
    return steps


def write_pilots(experiment: Experiment, steps: Sequence[Step], work: Path, out: Path) -> Path:
    """Write the table of the pilots that are done.

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
    done = done_steps(steps, work)
    columns = [f"R^2, {group}" for group in LABEL_GROUPS] + [measure.title for measure in PROBES]
    rows = []
    for name, pilot in PILOTS.items():
        cells = _row_cells(pilot_name(experiment, name), work, done)
        rows.append([pilot.choice, pilot.value, *cells])
    table = markdown_table(["choice", "value", *columns], rows)
    commands = "\n".join(f"    {' '.join(s.command)}" for s in steps if s.name.startswith("pretrain-"))
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / PAGE_FILE, INTRODUCTION.format(table=table, commands=commands))
    except OSError as error:
        raise ConfigError(f"cannot write the page ({reason_of(error)}): give another --out") from error
    return out / PAGE_FILE


def _row_cells(network: str, work: Path, done: set[str]) -> list[str]:
    """Return the cells of one network's row."""
    if f"pretrain-{network}" not in done:
        return ["not done"] * (len(LABEL_GROUPS) + len(PROBES))
    scores = last_scores(work / "runs" / network)
    cells = [f"{fmean(scores[label]['r2'] for label in labels):.2f}" for labels in LABEL_GROUPS.values()]
    for measure in PROBES:
        if f"{measure.step}{network}" in done:
            result = read_measure(work, measure, network)
            right = right_of([result], measure.figure)
            alone = Interval(result.figures[measure.figure], None, None, 1, 0)
            known = alone if right is None else interval(right, result.outcomes["groups"])
            cells.append(format_interval(known))
        else:
            cells.append("not done")
    return cells


INTRODUCTION: Final = """\
# Choices that make it learn at this scale

The recipe of the [small experiment](README.md), with one choice changed at a time, or a few that are told
below: one network each, so only large differences mean something. R^2 on held-out clips (1 - loss / loss of
the best constant, centre views of split 1's test videos; 0 is learning nothing), means over labels of a kind;
the probe's accuracies in percent; in brackets 95 % intervals over groups of test videos, which say nothing
about other networks. The table was made after the recipe had been fixed.

Raw targets come with another rate and coding, and clipped: the row *rate 0.001* is the one to compare them
with. Networks without batch norm start from the released code's initialisation, and their gradients are
clipped at norm 10, so their rows are not the effect of batch norm alone: from He's initialisation and
unclipped, training at the recipe's rate ended at step 1 with a gradient
that was not finite. The recipe's networks see every second frame, and means of 2 x 2 pixels; the last one,
which sees all of the input, costs eight times the work of the one above it.

{table}

Made by `make reproduce-pilots ROOT=...`, which runs

{commands}
"""
