"""Command lines of both programs: options from dataclasses, many paths, shares, signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner

from mas_labels.errors import ConfigError
from mas_labels.system.command_line import (
    PathsCommand,
    add_options,
    field_option,
    repeat_option,
    run_command,
    take_fields,
)
from mas_labels.system.options import bounds, check_options, choices, option_fields


@dataclass(frozen=True)
class Options:
    """Options of a program.

    Attributes
    ----------
    paths
        Files to read.
    name
        Name of the run.
    steps, rows
        Numbers of steps
        and rows.
    rate : float
        Learning rate.

        More about it, which the help leaves out.
    part
        Part of the videos, such as ``5%``.
    kind
        Kind of network.
    mode
        Mode of work.
    curves
        Draw curves.
    quiet
        Print nothing.
    """

    paths: Sequence[str]
    name: str | None = None
    steps: int = field(default=3, metadata=bounds(at_least=1, at_most=100))
    rows: int | None = field(default=None, metadata=bounds(at_least=1))
    rate: float = field(default=0.5, metadata=bounds(above=0))
    part: float = field(default=0.1, metadata=bounds(above=0, at_most=1, is_share=True))
    kind: str = field(default="c3d", metadata=choices({"c3d": 1, "s3d": 2}))
    mode: Literal["fast", "slow"] | None = None
    curves: bool = True
    quiet: bool = False

    def __post_init__(self) -> None:
        check_options(self)


def invoke(*args: str) -> Options | str:
    """Run a command that has the options; return them, or the message of its error."""
    found: list[Options] = []

    @click.command(cls=PathsCommand)
    @add_options(*(field_option(Options, name) for name in option_fields(Options)))
    def command(**values: Any) -> None:
        found.append(Options(**take_fields(Options, values)))

    result = CliRunner().invoke(command, [*args])
    assert bool(found) == (result.exit_code == 0)
    return found[0] if found else result.output


def test_defaults_and_values_reach_the_dataclass() -> None:
    assert invoke("--paths", "a", "b") == Options(("a", "b"))
    given = "--steps 7 --rate 2 --part 50% --kind s3d --mode slow --no-curves --quiet --name x --rows 2"
    assert invoke("--paths", "a", *given.split()) == Options(
        ("a",), "x", 7, 2, 2.0, 0.5, "s3d", "slow", curves=False, quiet=True
    )


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("steps", "0", "0 is not in the range 1<=x<=100"),
        ("steps", "101", "101 is not in the range 1<=x<=100"),
        ("rows", "0", "0 is not in the range x>=1"),
        ("rate", "0", "0.0 is not in the range x>0"),
        ("part", "500%", "expected a share, more than 0 and at most 1, found '500%': give one such as 5% or"),
        ("part", "0", "expected a share, more than 0 and at most 1, found '0'"),
        ("part", "-1%", "expected a share, more than 0 and at most 1, found '-1%'"),
        ("part", "nan", "expected a share, more than 0 and at most 1, found 'nan'"),
        ("part", "some", "expected a share, more than 0 and at most 1, found 'some'"),
        ("kind", "vgg", "'vgg' is not one of 'c3d', 's3d'"),
        ("mode", "idle", "'idle' is not one of 'fast', 'slow'"),
    ],
)
def test_the_command_line_refuses_what_the_dataclass_refuses(option: str, value: str, message: str) -> None:
    output = invoke("--paths", "a", f"--{option}", value)
    assert isinstance(output, str) and message in " ".join(output.split())
    stated = option_fields(Options)[option]
    if stated.kind is not str and value not in ("some",):
        number = float(value.removesuffix("%")) / (100 if "%" in value else 1)
        with pytest.raises(ConfigError, match=f"{option}: expected {stated.bounds}, found"):
            Options((), **{option: stated.kind(number)})
    elif stated.kind is str:
        with pytest.raises(ConfigError, match=f"{option}: expected one of .*, found '{value}'"):
            Options((), **{option: value})


def test_the_help_is_the_first_paragraph_of_the_docstring() -> None:
    helps = {name: stated.help for name, stated in option_fields(Options).items()}
    assert helps["steps"] == helps["rows"] == "Numbers of steps and rows."
    assert helps["rate"] == "Learning rate." and helps["part"] == "Part of the videos, such as 5%."
    shown = " ".join(show_help().split())
    assert "--part SHARE Part of the videos, such as 5%. [more than 0 and at most 1] [default: 10%]" in shown
    assert "--curves / --no-curves Draw curves. [default: curves]" in shown
    assert "--rows INTEGER RANGE Numbers of steps and rows. [default: all] [x>=1]" in shown


def show_help() -> str:
    @click.command(context_settings={"show_default": True, "terminal_width": 100})
    @field_option(Options, "part")
    @field_option(Options, "curves")
    @field_option(Options, "rows", unset="all")
    def command(**values: Any) -> None:
        """Do nothing."""

    return CliRunner().invoke(command, ["--help"]).output


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--shards a b c --out o", "--shards a --shards b --shards c --out o"),
        ("--shards a --out o", "--shards a --out o"),
        ("--out o --resume --shards a b", "--out o --resume --shards a --shards b"),
        ("--shards=a b --seed 1 c", "--shards=a --shards b --seed 1 c"),
        ("--shards a b --shards c d", "--shards a --shards b --shards c --shards d"),
        ("", ""),
    ],
)
def test_many_paths_after_one_option(given: str, expected: str) -> None:
    assert repeat_option("--shards", given.split()) == expected.split()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_with_one_line(
    number: signal.Signals, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)

    @click.command()
    def command() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)  # nothing to save, and nothing ends
        os.kill(os.getpid(), number)
        time.sleep(60)

    with pytest.raises(SystemExit) as caught:
        run_command(command, "mas-eval", [], "what was finished is kept")
    assert caught.value.code == status and signal.getsignal(number) is before
    assert capsys.readouterr().err == f"stopped by {number.name}; what was finished is kept\n"
