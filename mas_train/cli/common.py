"""Run a command of the trainer: errors become one line, signals an exit status."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from typing import NoReturn

import click

from mas_labels.errors import MasError, MissingDependencyError, explain_import_error, unavailable
from mas_labels.system.process import begin_process
from mas_train.runtime.console import EXIT_SIGNAL, Stopped, signals_raise, tell

EXIT_ERROR = 1


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


def run_command(command: click.Command, name: str, args: list[str] | None, after_interrupt: str) -> NoReturn:
    """Run a command and exit with its status; errors of the library become one line."""
    begin_process()
    try:
        with signals_raise():
            status = command.main(args=args, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except MasError as error:
        tell(error)
        status = EXIT_ERROR
    except ImportError as error:
        tell(_explain_import_error(error))
        status = EXIT_ERROR
    except (OSError, MemoryError) as error:
        tell(unavailable(None, error))
        status = EXIT_ERROR
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"interrupted; {after_interrupt}", err=True)
        status = EXIT_SIGNAL + signal.SIGINT
    except Stopped as stop:
        click.echo(f"stopped by {stop}; {after_interrupt}", err=True)
        status = EXIT_SIGNAL + stop.number
    _leave(status)


def _leave(status: int) -> NoReturn:
    """Exit with a status; one process of several does so without taking the interpreter down.

    Threads of torch.distributed outlive its groups, and one that asks for Python while that goes down aborts
    the process, whose work is done, with SIGABRT.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status or 0)
    sys.exit(status)


def _explain_import_error(error: ImportError) -> MissingDependencyError:
    """Say what to install."""
    if (error.name or "").partition(".")[0] == "torch":
        found = "is not installed" if isinstance(error, ModuleNotFoundError) else f"does not load ({error})"
        return MissingDependencyError(f'training needs torch, which {found}: pip install "mas-video[train]"')
    return explain_import_error(error)
