"""Settings of a process: its streams, warnings, limits and progress bars."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import warnings
from typing import Any, Final, TextIO

from mas_labels.errors import ConfigError, IncompleteWarning, reason_of
from mas_labels.system.signals import return_dropped_signal
from mas_labels.system.streams import guard_streams

LOG_SECONDS: Final = 10.0
"""Time between two lines of progress where the output is not a terminal."""


def begin_process() -> None:
    """Prepare the process of a command: guard its streams and signals, raise its limit of open files.

    Warnings for its user become lines on stderr.
    """
    guard_streams()
    # `require_semaphores` reports it where it matters
    warnings.filterwarnings("ignore", "(?s).*joblib will operate in serial mode")
    warnings.showwarning = _show_warning
    sys.unraisablehook = return_dropped_signal
    _shown_warnings.clear()
    with contextlib.suppress(OSError, ValueError):  # ValueError: a limit that this system does not grant
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_show_other_warning = warnings.showwarning
_shown_warnings: set[str] = set()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print an `IncompleteWarning` as one line, once; show other warnings as Python does."""
    if issubclass(category, IncompleteWarning):
        if str(message) not in _shown_warnings:
            print(f"warning: {message}", file=sys.stderr)
        _shown_warnings.add(str(message))
    else:
        _show_other_warning(message, category, filename, lineno, file, line)


def print_error(error: object, after_others: bool = False) -> None:
    """Write an error's line to stderr at once; an error with an empty message was already reported.

    Parameters
    ----------
    error
        The error or its message.
    after_others
        Begin a new line first: another process may have left its progress bar in this one.
    """
    if str(error):
        start = "\n" if after_others else ""
        print(f"{start}error: {error}", file=sys.stderr, flush=True)


def describe_end(status: int) -> str:
    """Describe how a process ended, from its `subprocess.Popen.returncode`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"killed by signal {-status}"


def python_command(module: str, *words: str) -> list[str]:
    """Return the command that calls a module's `main` with some words, in another Python.

    It finds modules where this one does; by ``-m`` it would look in the current folder first, where a file
    may have the name of a module, or another version of this project may lie.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main(*sys.argv[1:])"
    return [sys.executable, "-I", "-c", code, *words]


def one_thread_environment() -> dict[str, str]:
    """Return this process's environment, for another one in which OpenBLAS starts no threads.

    It would start one per core when NumPy or OpenCV loads it, which count against the limit of processes.
    """
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


def is_in_group() -> bool:
    """Return whether `torchrun`, or the like, started this process in a group, perhaps of one."""
    return os.environ.get("WORLD_SIZE", "1") != "1" or "TORCHELASTIC_RUN_ID" in os.environ


def group_number(name: str, default: int) -> int:
    """Return a number that `torchrun`, or the like, puts into the environment, such as ``WORLD_SIZE``.

    Raises
    ------
    ConfigError
        If the variable holds something else.
    """
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(
            f"{name} is {text!r} in the environment, expected a number: start with torchrun, or unset {name}"
        )
    return int(text)


def require_semaphores(remedy: str) -> None:
    """Raise if processes on this machine cannot synchronise.

    Parameters
    ----------
    remedy
        Advice to the user, other than to fix the machine.

    Raises
    ------
    ConfigError
        If the machine has no semaphores: on Linux they lie in /dev/shm.
    """
    try:
        multiprocessing.get_context("fork").Lock()
    except (OSError, ImportError) as error:
        raise ConfigError(
            f"several processes need a writable /dev/shm ({reason_of(error)}): make room there, or "
            f"mount one (mount -t tmpfs tmpfs /dev/shm, docker run --shm-size=2g), or {remedy}"
        ) from error


def bar_settings() -> dict[str, Any]:
    """Return tqdm's settings: a line every `LOG_SECONDS` without a terminal, nothing without stderr."""
    if sys.stderr is None:
        return {"disable": True}
    return {} if sys.stderr.isatty() else {"mininterval": LOG_SECONDS, "maxinterval": LOG_SECONDS}
