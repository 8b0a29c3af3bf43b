"""Plans of experiments: named steps, each a command, and the steps that must be done before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mas_labels.errors import ConfigError

MODULES: Final[Mapping[str, str]] = {
    "mas-labels": "mas_labels",
    "mas-train": "mas_train",
    "mas-finetune": "mas_train.cli.finetune",
    "mas-eval": "mas_train.cli.evaluate",
}
"""The commands that a step may run, and the Python module of each."""


@dataclass(frozen=True)
class Step:
    """One command of a plan.

    Attributes
    ----------
    name
        Name of the step, of its log and of its mark.
    command
        The command's words, the first a key of `MODULES`. Paths are relative to the work folder, or begin
        with a place such as ``$ROOT``.
    after
        Names of the steps that must be done before.
    resumes_from
        A pattern of paths: if one exists, the step was interrupted and resumes with ``--resume``.
    accepted
        Exit statuses that count as done.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    resumes_from: str | None = None
    accepted: tuple[int, ...] = (0,)


def check_plan(steps: list[Step]) -> None:
    """Refuse a plan with a duplicate name, an unknown command, or a step before one that it needs.

    Raises
    ------
    ConfigError
        Naming the step.
    """
    earlier: set[str] = set()
    for step in steps:
        if step.name in earlier:
            raise ConfigError(f"two steps are called {step.name!r}: give each its own name")
        if step.command[0] not in MODULES:
            raise ConfigError(f"step {step.name!r} runs {step.command[0]!r}: use one of {', '.join(MODULES)}")
        missing = set(step.after) - earlier
        if missing:
            raise ConfigError(f"step {step.name!r} comes before {min(missing)!r}, which it needs")
        earlier.add(step.name)


def show_command(step: Step) -> str:
    """Return a step's command as one line, with names of places instead of this machine's paths."""
    return " ".join(step.command)


def resolve_command(step: Step, places: Mapping[str, Path], work: Path, python: str) -> list[str]:
    """Return a step's command ready to run: places filled in, ``--resume`` added if it was interrupted.

    Parameters
    ----------
    step
        The step.
    places
        Path of each place that commands name, such as ``$ROOT``.
    work
        The work folder.
    python
        The Python interpreter.

    Raises
    ------
    ConfigError
        If the step needs a place that was not given.
    """
    arguments = [python, "-m", MODULES[step.command[0]]]
    for word in step.command[1:]:
        place, _, rest = word.partition("/")
        if place.startswith("$") and place not in places:
            option = place[1:].lower().replace("_", "-")
            raise ConfigError(f"step {step.name!r} needs {place}: give --{option}")
        arguments.append(str(places[place] / rest) if place.startswith("$") else word)
    if step.resumes_from is not None and any(work.glob(step.resumes_from)):
        arguments.append("--resume")
    return arguments


def label_step(
    manifest: str, split: str, place: str, out: str, *options: str, splits: str | None = None
) -> Step:
    """Return the step that makes the shards of one split; failed videos, which shards list, are accepted.

    Parameters
    ----------
    manifest, split
        Name of the data set's manifest, and of its split.
    place
        Place of the videos, such as ``$ROOT``.
    out
        Folder of the shards.
    *options
        Further options of ``mas-labels make``.
    splits
        Place of the official lists, if not in the folder of the videos or next to it.
    """
    lists = ("--splits", splits) if splits else ()
    command = (
        *("mas-labels", "make", "--manifest", manifest, "--root", place, *lists),
        *("--split", split, "--out", out, *options),
    )
    return Step(f"label-{Path(out).name}", command, accepted=(0, 3))
