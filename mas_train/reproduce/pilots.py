"""What makes the pretext task learn at the small scale: one choice of the recipe changed at a time.

Notes
-----
One network a choice, on split 1, so only large differences say something. They are judged by held-out clips'
R^2, which needs no class; the probe stands beside it. Made after the recipe of `small` was fixed: it was not
chosen by this table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Final

from mas_labels.errors import ConfigError, reason_of
from mas_labels.schema import LABEL_NAMES
from mas_labels.system.files import write_text
from mas_train.reproduce.measure import MEASURES, last_rows, read_measure
from mas_train.reproduce.plan import Step
from mas_train.reproduce.run import read_mark
from mas_train.reproduce.small import CONDITIONS, Experiment, Split, label_steps, network_name, network_steps

SEED: Final = 0
PAGE: Final = "pilots.md"
RECIPE: Final = "joint"
"""The condition that pilots change."""
SHARED: Final[Mapping[str, str]] = {"recipe": RECIPE, "raw": "raw"}
"""Pilots that are conditions of the small experiment: the same networks, trained once."""


@dataclass(frozen=True)
class Pilot:
    """The recipe with some options changed.

    Attributes
    ----------
    question
        What it asks about.
    title
        Of its row.
    changes
        Options of `mas-train`, with their values.
    """

    question: str
    title: str
    changes: Mapping[str, str]


RAW: Final = {"--target-scale": "raw", "--orientation": "number", "--lr": "0.001", "--clip-grad-norm": "10"}
PLAIN: Final = {"--backbone": "c3d", "--init": "authors", "--clip-grad-norm": "10"}
"""The paper's network; from He's initialisation and unclipped, it diverged at the recipe's rate."""
PILOTS: Final[Mapping[str, Pilot]] = {
    "recipe": Pilot("", "the recipe", {}),
    "raw": Pilot("targets", "raw, clipped, rate 0.001", {}),
    "number": Pilot("targets", "orientations as numbers", {"--orientation": "number"}),
    "classes": Pilot("targets", "orientations as classes", {"--orientation": "classes"}),
    "no-bn": Pilot("batch norm", "none", PLAIN),
    "no-bn-slow": Pilot("batch norm", "none, rate 0.001", {**PLAIN, "--lr": "0.001"}),
    "no-bn-raw": Pilot("batch norm", "none, raw targets, rate 0.001", {**PLAIN, **RAW}),
    "lr-0.001": Pilot("rate", "0.001", {"--lr": "0.001"}),
    "lr-0.003": Pilot("rate", "0.003", {"--lr": "0.003"}),
    "lr-0.03": Pilot("rate", "0.03", {"--lr": "0.03"}),
    "appearance-0.25": Pilot("appearance weighs", "0.25", {"--appearance-weight": "0.25"}),
    "appearance-4": Pilot("appearance weighs", "4", {"--appearance-weight": "4"}),
    "epochs-2": Pilot("length", "2 epochs", {"--epochs": "2"}),
    "epochs-15": Pilot("length", "15 epochs", {"--epochs": "15"}),
    "whole-input": Pilot(
        "input", "every frame and pixel, 15 epochs", {"--input-stride": "1", "--epochs": "15"}
    ),
}
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "motion: where": tuple(name for name in LABEL_NAMES if name.endswith(("_ul", "_vl"))),
    "orientations": tuple(name for name in LABEL_NAMES if name.endswith(("_uo", "_vo"))),
    "fields (ui, vi)": ("ui", "vi"),
    "diversity: where": tuple(name for name in LABEL_NAMES if name.endswith(("_pd", "_ps"))),
    "colours": (*(name for name in LABEL_NAMES if name.endswith(("_cd", "_cs"))), "C"),
}
"""Columns of R^2: means over these labels."""
PROBES: Final = MEASURES[:2]


def with_options(words: Sequence[str], changes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the options with some values changed, and those added that were not there."""
    found = dict(zip(words[::2], words[1::2], strict=True))
    return tuple(word for option in {**found, **changes}.items() for word in option)


def pilot_split(experiment: Experiment) -> Split:
    """Return the split that pilots are trained and measured on."""
    return experiment.splits[0]


def pilot_name(experiment: Experiment, pilot: str) -> str:
    """Name of a pilot's network."""
    if pilot in SHARED:
        return network_name(pilot_split(experiment), SHARED[pilot], SEED)
    return f"pilot-{pilot}"


def make_pilot_plan(experiment: Experiment) -> list[Step]:
    """Return the steps: the labels of split 1, then each network with its frozen measures."""
    split = pilot_split(experiment)
    alone = replace(experiment, splits=(split,), weizmann=False)
    steps = label_steps(alone)
    for name, pilot in PILOTS.items():
        options = CONDITIONS[SHARED.get(name, RECIPE)].options
        words = (*experiment.network, *options, "--epochs", str(experiment.epochs))
        words = with_options(words, pilot.changes)
        steps += network_steps(alone, split, pilot_name(experiment, name), words, SEED)
    return steps


def write_pilots(experiment: Experiment, steps: Sequence[Step], work: Path, out: Path) -> Path:
    """Write the table of the pilots that are done.

    Parameters
    ----------
    experiment, steps
        What was to be done.
    work
        Folder of the work.
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
        If a result is damaged.
    """
    done = {step.name for step in steps if read_mark(work, step) is not None}
    columns = [f"R^2, {group}" for group in GROUPS] + [measure.title for measure in PROBES]
    lines = [f"| choice | value | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name, pilot in PILOTS.items():
        shown = _figures(pilot_name(experiment, name), work, done)
        lines.append(f"| {pilot.question} | {pilot.title} | {' | '.join(shown)} |")
    commands = "\n".join(f"    {' '.join(s.command)}" for s in steps if s.name.startswith("pretrain-"))
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / PAGE, INTRODUCTION.format(table="\n".join(lines), commands=commands))
    except OSError as error:
        raise ConfigError(f"cannot write the page ({reason_of(error)}): give another --out") from error
    return out / PAGE


def _figures(network: str, work: Path, done: set[str]) -> list[str]:
    """Return the cells of one row."""
    if f"pretrain-{network}" not in done:
        return ["not done"] * (len(GROUPS) + len(PROBES))
    fits = last_rows(work / "runs" / network)
    shown = [f"{fmean(fits[label]['r2'] for label in labels):.2f}" for labels in GROUPS.values()]
    for measure in PROBES:
        is_done = f"{measure.step}{network}" in done
        shown.append(
            f"{100 * read_measure(work, measure, network).figures[measure.figure]:.1f}"
            if is_done
            else "not done"
        )
    return shown


INTRODUCTION: Final = """\
# What makes it learn at this scale

The recipe of the [small experiment](README.md), with one choice changed at a time: one network each, so only
large differences say something. R^2 on held-out clips (1 - loss / loss of the best constant, centre views of
split 1's test videos; 0 is learning nothing), means over labels of a kind; the probe's accuracies in percent.
The table was made after the recipe had been fixed.

Networks without batch norm start from the released code's initialisation, and their gradients are clipped at
norm 10: from He's initialisation and unclipped, training at the recipe's rate ended at step 1 with a gradient
that was not finite. The recipe's networks see every second frame, and means of 2 x 2 pixels; the last one,
which sees all, costs eight times the work of the one above it.

{table}

Made by `make reproduce-pilots ROOT=...`, which runs

{commands}
"""
