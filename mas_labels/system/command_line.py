"""Command lines of both programs: start of a command, its options, error messages and exit status."""

from __future__ import annotations

import atexit
import math
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click

from mas_labels.errors import MasError, explain_import_error, unavailable
from mas_labels.system.options import Bounds, OptionField, option_fields
from mas_labels.system.process import begin_process, is_in_group, print_error
from mas_labels.system.signals import EXIT_SIGNAL, Interrupted, raise_on_signals
from mas_labels.version import __version__

EXIT_ERROR: Final = 1
EXIT_FAILURES: Final = 3
"""A labelling run is complete, but some videos failed."""
EXIT_FAILURE_RATE: Final = 4
"""More videos failed than --max-failure-rate allows."""
EXIT_UNSOUND: Final = 5
"""A shard is corrupt, or contradicts itself or its videos (`verify`)."""
EXIT_UNAVAILABLE: Final = 6
"""A shard could not be read now, so nothing is known of it (`verify`, `status`)."""

SETTINGS: Final = {"help_option_names": ["-h", "--help"], "show_default": True}
"""`context_settings` of every program."""
version_option = click.version_option(__version__)
PATH: Final = click.Path(path_type=Path)
FOLDER: Final = click.Path(path_type=Path, file_okay=False)

Function = TypeVar("Function", bound=Callable[..., Any])


def run_command(
    command: click.Command, name: str, args: Sequence[str] | None, after_interrupt: str
) -> NoReturn:
    """Run a command and exit with its status; errors of the library become one line.

    Parameters
    ----------
    command
        Returns its exit status, None for 0.
    name
        The program's name, for messages.
    args
        The command line; None: that of this process.
    after_interrupt
        Text added to the line about a signal that stopped it, such as how to resume.
    """
    begin_process()
    try:
        with raise_on_signals():
            # of the class: a program's own `main` may be this function
            status = click.Command.main(command, args=args, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except MasError as error:
        print_error(error)
        status = EXIT_ERROR
    except ImportError as error:
        print_error(explain_import_error(error))
        status = EXIT_ERROR
    except (OSError, MemoryError) as error:
        print_error(unavailable(None, error))
        status = EXIT_ERROR
    except (KeyboardInterrupt, click.Abort):
        status = _report_stop(signal.SIGINT, after_interrupt)
    except Interrupted as stop:
        status = _report_stop(stop.number, after_interrupt)
    _leave(status)


def _report_stop(number: int, after_interrupt: str) -> int:
    """Print which signal stopped the command; return its exit status."""
    click.echo(f"stopped by {signal.Signals(number).name}; {after_interrupt}", err=True)
    return EXIT_SIGNAL + number


def _leave(status: int | None) -> NoReturn:
    """Exit with a status; a process of a group does so without finalising the interpreter.

    Threads of torch.distributed outlive its groups, and one that enters Python while the interpreter is
    finalised aborts the process, whose work is done, with SIGABRT.
    """
    if is_in_group():
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status or 0)
    sys.exit(status)


class PathsCommand(click.Command):
    """A command whose options that take many values may be followed by a shell's glob: ``--shards a b``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat such options before each of their values."""
        for option in self.params:
            is_choice = isinstance(option.type, click.Choice)  # no glob gives those
            if isinstance(option, click.Option) and option.multiple and not is_choice:
                args = repeat_option(option.opts[0], args)
        return super().parse_args(ctx, args)


def repeat_option(option: str, args: list[str]) -> list[str]:
    """Put `option` before each value that follows its first one, up to the next option.

    Raises
    ------
    click.UsageError
        If no value follows it.
    """
    repeated: list[str] = []
    inside = False
    for arg, following in zip(args, [*args[1:], "-"], strict=False):
        if arg == option and following.startswith("-"):
            raise click.UsageError(f"Option '{option}' needs one path or more, such as {option} labels/*.h5")
        if arg.startswith("-"):
            inside = arg == option or arg.startswith(f"{option}=")
        elif inside and repeated[-1] != option:
            repeated.append(option)
        repeated.append(arg)
    return repeated


class Share(click.ParamType):
    """A share as a number, such as ``0.05``, or in per cent, such as ``5%``, within bounds."""

    name = "share"

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share as a number."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = math.nan
        if share not in self.bounds:
            self.fail(
                f"expected a share, {self.bounds}, found {text!r}: give one such as 5% or 0.05", param, ctx
            )
        return share


def field_option(
    options: type, name: str, *flags: str, unset: str = "", **changes: Any
) -> Callable[[Function], Function]:
    """Create a command's option from the field of a dataclass that holds it.

    Parameters
    ----------
    options
        The dataclass, whose fields are read by `mas_labels.system.options.option_fields`.
    name
        The field's name, under which the command gets the value.
    flags
        The option's names; none: the field's name, with ``--no-`` as well if it is on by default.
    unset
        Description for --help of the default, if that is not the field's; the command then gets None.
    **changes
        Settings of `click.option` that differ from what the field states, such as another default.
    """
    field = option_fields(options)[name]
    flag = f"--{name.replace('_', '-')}"
    if not flags:
        flags = (f"{flag}/--no-{flag[2:]}",) if field.default is True else (flag,)
    settings = {**_settings(field), **changes}
    if settings.get("required"):
        settings.pop("default", None)  # click takes any default, even None, for a value
    if unset:
        settings.update(default=None, help=f"{settings['help']}  [default: {unset}]")
    settings.setdefault("required", "default" not in settings)
    return click.option(*flags, name, **settings)


def _settings(field: OptionField) -> dict[str, Any]:
    """Return the settings of `click.option` that follow from a field."""
    settings: dict[str, Any] = {"help": field.help}
    if field.default is not MISSING:
        settings["default"] = field.default
    bounds = field.bounds
    if field.choices:
        settings["type"] = click.Choice(field.choices)
    elif bounds is not None and bounds.is_share:
        settings["type"] = Share(bounds)
        settings["help"] += f"  [{bounds}]"
        settings["default"] = None if field.default is None else show_value(field, field.default)
    elif bounds is not None:
        settings["type"] = _range_type(field.kind, bounds)
    elif field.kind is bool:
        settings["is_flag"] = True
    elif issubclass(field.kind, Sequence) and field.kind is not str:
        settings.update(multiple=True, metavar="PATH...")
    elif field.kind is Path:
        settings["type"] = FOLDER
    else:
        settings["type"] = field.kind
    return settings


def show_value(field: OptionField, value: Any) -> str:
    """Return a field's value as a command line takes it: a share in per cent."""
    if field.bounds is not None and field.bounds.is_share:
        return f"{100 * value:g}%"
    return f"{value:g}" if field.kind is float else str(value)


def _range_type(kind: type, bounds: Bounds) -> click.ParamType:
    """Return click's type of numbers within bounds."""
    make: Any = click.IntRange if kind is int else click.FloatRange
    return make(
        min=bounds.above if bounds.at_least is None else bounds.at_least,
        max=bounds.below if bounds.at_most is None else bounds.at_most,
        min_open=bounds.above is not None,
        max_open=bounds.below is not None,
    )


def take_fields(options: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass's fields that a command was given; those not given keep defaults."""
    return {name: values[name] for name in option_fields(options) if values.get(name) is not None}


def add_options(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Decorate a command with options, in the order given."""

    def decorate(command: Function) -> Function:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
