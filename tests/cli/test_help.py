"""--help of every program: each option is described, and nothing heavy is loaded for it."""

from __future__ import annotations

import configparser
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mas_labels.config import LabelConfig, RunOptions
from mas_labels.system.command_line import SETTINGS
from mas_labels.system.options import option_fields
from mas_labels.verify.options import Checks
from mas_train.evaluation.linear import ProbeOptions
from mas_train.recipe import Recipe
from mas_train.training.options import FinetuneOptions, TrainingOptions

ROOT = Path(__file__).parents[2]
HEAVY = {"cv2", "h5py", "joblib", "matplotlib", "numpy", "sklearn", "torch"}


def read_programs() -> dict[str, str]:
    """Return the module of each console script."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options.entry_points"]["console_scripts"].strip().splitlines()
    return {
        name.strip(): target.strip().partition(":")[0] for name, target in (line.split("=") for line in lines)
    }


PROGRAMS = read_programs()


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    for sub_name, sub_command in getattr(command, "commands", {}).items():
        yield from commands(sub_command, f"{name} {sub_name}")


def program(name: str) -> click.Command:
    module = importlib.import_module(PROGRAMS[name])
    return module.main if isinstance(module.main, click.Command) else module.command


COMMANDS = dict(pair for name in PROGRAMS for pair in commands(program(name), name))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    command = COMMANDS[name]
    context = click.Context(command, **SETTINGS)  # click keeps the first help option it makes of a command
    assert command.help and command.get_help(context)
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_numbers_and_choices_that_may_be_left_out_state_their_default(name: str) -> None:
    command = COMMANDS[name]
    context = click.Context(command, **SETTINGS)
    numbers = (click.types.IntParamType, click.types.FloatParamType, click.Choice)
    options = [option for option in command.params if isinstance(option, click.Option)]
    optional = [option for option in options if isinstance(option.type, numbers) and not option.required]
    helps = map(str, (option.get_help_record(context) for option in optional))
    assert [text for text in helps if "default: " not in text] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_loads_nothing_heavy(name: str) -> None:
    code = (
        f"import sys; sys.argv = [{name!r}, '--help']\n"
        f"from {PROGRAMS[name]} import main\n"
        f"try: main()\n"
        f"except SystemExit: print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip().splitlines()[-1] == "[]"


IN_PRESETS = ("lr_step_epochs", "lr_decay", "pixel_mean")
"""Fields in which presets differ; no option sets them."""


@pytest.mark.parametrize(
    ("command", "options", "omitted"),
    [
        ("mas-labels make", LabelConfig, {"frame_cols"}),  # --size gives both sides
        ("mas-labels make", RunOptions, set()),
        ("mas-labels verify", Checks, set()),
        ("mas-train", Recipe, {*IN_PRESETS, "label_smoothing", "colour_jitter"}),  # of fine-tuning
        ("mas-train", TrainingOptions, set()),
        ("mas-finetune", FinetuneOptions, set()),
        ("mas-eval probe", ProbeOptions, set()),
    ],
)
def test_every_field_is_an_option(command: str, options: type, omitted: set[str]) -> None:
    fields = option_fields(options)
    found = {option.name: option for option in COMMANDS[command].params}
    assert set(fields) - set(found) == omitted
    for name, stated in fields.items():
        if name in found and stated.choices:
            assert tuple(found[name].type.choices) == stated.choices  # type: ignore[attr-defined]
