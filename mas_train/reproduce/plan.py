"""What a plan is: named steps, each a command, and what must be done before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mas_labels.errors import ConfigError

MODULES: Final[Mapping[str, str]] = {
    "mas-labels": "mas_labels",
    "mas-train": "mas_train",
    "mas-finetune": "mas_train.finetune_cli",
    "mas-eval": "mas_train.evaluation.cli",
}
"""The commands that a step may run, and the Python module of each."""


@dataclass(frozen=True)
class Step:
    """One command of a plan.

    Attributes
    ----------
    name
        Of its log and of its mark.
    command
        Words, the first a key of `MODULES`. Paths are relative to the folder of the work, or begin with a
        place such as ``$ROOT``.
    after
        Names of the steps that must be done before.
    resumes_from
        A pattern of paths: if one is there, the step was interrupted, and goes on with ``--resume``.
    accepted
        Exit statuses that count as done.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    resumes_from: str | None = None
    accepted: tuple[int, ...] = (0,)


def check_plan(steps: list[Step]) -> None:
    """Refuse a plan that cannot be run: a name twice, a command unknown, a step before what it needs.

    Raises
    ------
    ConfigError
        Naming the step.
    """
    before: set[str] = set()
    for step in steps:
        if step.name in before:
            raise ConfigError(f"two steps are called {step.name!r}: give each a name of its own")
        if step.command[0] not in MODULES:
            raise ConfigError(
                f"step {step.name!r} runs {step.command[0]!r}: take one of {', '.join(MODULES)}"
            )
        missing = set(step.after) - before
        if missing:
            raise ConfigError(f"step {step.name!r} comes before {min(missing)!r}, which it needs")
        before.add(step.name)


def show_command(step: Step) -> str:
    """Return a step's command as a line, with the names of places instead of this machine's paths."""
    return " ".join(step.command)


def real_command(step: Step, places: Mapping[str, Path], work: Path, python: str) -> list[str]:
    """Return a step's command as it is run: places filled in, ``--resume`` added where it was interrupted.

    Raises
    ------
    ConfigError
        If it needs a place that was not given.
    """
    words = [python, "-m", MODULES[step.command[0]]]
    for word in step.command[1:]:
        place, _, rest = word.partition("/")
        if place.startswith("$") and place not in places:
            option = place[1:].lower().replace("_", "-")
            raise ConfigError(f"step {step.name!r} needs {place}: give --{option}")
        words.append(str(places[place] / rest) if place.startswith("$") else word)
    if step.resumes_from is not None and any(work.glob(step.resumes_from)):
        words.append("--resume")
    return words


def label_step(
    manifest: str, split: str, place: str, out: str, *options: str, splits: str | None = None
) -> Step:
    """Make the shards of one split; some videos may fail, which the shards tell."""
    lists = ("--splits", splits) if splits else ()
    command = (
        *("mas-labels", "make", "--manifest", manifest, "--root", place, *lists),
        *("--split", split, "--out", out, *options),
    )
    return Step(f"label-{Path(out).name}", command, accepted=(0, 3))
