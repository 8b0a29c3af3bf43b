"""What a plan is: named steps, each a command, and what must be done before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


CLIPS: Final[Mapping[str, int]] = {
    "ucf101-train1": 106_000,
    "ucf101-test1": 42_000,
    "hmdb51-train1": 27_000,
    "hmdb51-test1": 11_000,
    "kinetics400-train": 4_500_000,
    "aslan": 70_000,
    "yupenn": 7_000,
}
"""Clips of each set of shards; of the last two a guess: 150 frames a video."""
LABELLED_PER_SECOND: Final = 4.1
BARE_PER_SECOND: Final = 28.0
"""Clips a second and core, with labels and with ``--frames-only``."""
LABELLED_BYTES: Final = 118_000
BARE_BYTES: Final = 131_000
FORWARD_FLOP: Final = 38.4e9
"""Of the paper's C3D for one clip: two a multiplication, 19.2e9 of them in its convolutions."""
EPOCHS: Final = 20


def estimate(steps: Sequence[Step], cores: int, gpu_tflops: float) -> list[str]:
    """Say in lines what a plan costs in hours and bytes.

    Parameters
    ----------
    steps
        A plan of `mas_train.reproduce.full`.
    cores
        CPU cores that label.
    gpu_tflops
        Floating-point operations that the GPU sustains, in 1e12 a second.
    """
    core_hours = gigabytes = gpu_hours = 0.0
    for step in steps:
        words = step.command
        clips = sum(CLIPS.get(word.removeprefix("labels/"), 0) for word in words)
        if words[0] == "mas-labels":
            bare = "--frames-only" in words
            core_hours += clips / (BARE_PER_SECOND if bare else LABELLED_PER_SECOND) / 3600
            gigabytes += clips * (BARE_BYTES if bare else LABELLED_BYTES) / 1e9
        elif words[0] == "mas-eval":
            gpu_hours += clips * FORWARD_FLOP / (gpu_tflops * 1e12) / 3600
        else:
            trained = CLIPS.get(words[words.index("--shards") + 1].removeprefix("labels/"), 0)
            passes = 3 * EPOCHS * trained + (clips - trained)  # backward costs two forward passes
            gpu_hours += passes * FORWARD_FLOP / (gpu_tflops * 1e12) / 3600
    per_machine = core_hours / cores
    return [
        f"labels: {core_hours:.0f} hours of one core, {per_machine:.1f} on {cores}; {gigabytes:.0f} GB",
        f"networks: {gpu_hours:.0f} hours if the GPU sustains {gpu_tflops:g} TFLOP/s (assumed, not "
        "measured) and reading keeps up",
    ]
