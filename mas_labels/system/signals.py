"""SIGINT, SIGTERM and SIGHUP end a run in good order."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from mas_labels.system.streams import guard_streams

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a scheduler's end of a job, a terminal that is gone."""
WATCH_NAME = "watch-parent"
WATCH_SECONDS = 0.5

_pending: list[int] = []
_deferring: list[bool] = []


class Interrupted(BaseException):
    """The run was asked to end; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def signals_raise() -> Iterator[None]:
    """Turn `SIGNALS` into `Interrupted` while the block runs; SIGHUP stays ignored under nohup.

    SIGUSR1 is ignored, also by the processes started inside: only training has something to save at once.
    """
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = [number for number in SIGNALS if not (is_nohup and number == signal.SIGHUP)]
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _pending.clear()


def _interrupt(number: int, frame: FrameType | None) -> None:
    if postpone_signal(number, frame):
        return
    _pending.append(number)
    if not _deferring:
        raise Interrupted(number)


@contextmanager
def blocked() -> Iterator[None]:
    """Start processes that the signals do not end when they reach the whole group: their parent decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def deferred() -> Iterator[None]:
    """Only note signals while the block runs; `check` in it raises, and so does its end.

    Python prints and drops what a signal handler raises while a destructor runs, and HDF5's objects have many
    of those.
    """
    _deferring.append(True)
    try:
        yield
    finally:
        _deferring.pop()
    check()


def check() -> None:
    """Raise `Interrupted` if a signal was noted."""
    if _pending:
        raise Interrupted(_pending[0])


def live_with_parent(parent: int) -> None:
    """In a worker: let the parent, which gets the terminal's signals too, end the run; and end with it.

    Parameters
    ----------
    parent
        Its process id, told by itself: it may be gone before we look.
    """
    guard_streams()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), name=WATCH_NAME, daemon=True).start()


def _watch(parent: int) -> None:
    """End this process, which holds locks, soon after its parent was killed."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


IMPORTING: Final = "<frozen importlib._bootstrap>"
"""File of the frames below which a module is imported."""
POSTPONE_SECONDS: Final = 0.1


def postpone_signal(number: int, frame: FrameType | None) -> bool:
    """Deliver a signal again in a moment if a module is being imported; return whether it is.

    What a handler raises inside a module's C code is dropped there, or ends the process with status 134.

    Parameters
    ----------
    number, frame
        As the handler got them.
    """
    while frame is not None and frame.f_code.co_filename != IMPORTING:
        frame = frame.f_back
    if frame is None:
        return False
    _send_again(number)
    return True


def _send_again(number: int) -> None:
    again = threading.Timer(POSTPONE_SECONDS, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


_report_unraisable = sys.unraisablehook


def return_dropped_signal(dropped: sys.UnraisableHookArgs) -> None:
    """Deliver a signal again whose exception Python dropped, as it does in destructors; report other ones."""
    error = dropped.exc_value
    number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else getattr(error, "number", None)
    if number is None or isinstance(error, Exception):
        _report_unraisable(dropped)
    else:
        _send_again(number)
