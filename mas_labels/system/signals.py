"""Signals: SIGINT, SIGTERM and SIGHUP stop a run cleanly, by an exception at a safe moment."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Final

from mas_labels.system.streams import guard_streams

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that stop a run: Ctrl-C, the end of a job by its scheduler, a closed terminal."""
SAVE_SIGNAL: Final = signal.SIGUSR1
"""Signal that requests a checkpoint from training: a scheduler may send it some time before it ends a job."""
EXIT_SIGNAL: Final = 128
"""Added to a signal's number in an exit status, as shells do: 129 SIGHUP, 130 SIGINT, 143 SIGTERM."""
Handler = Callable[[int, FrameType | None], object] | int | None
WATCH_NAME = "watch-parent"
WATCH_SECONDS = 0.5

_pending: list[int] = []
_deferring: list[bool] = []


class Interrupted(BaseException):
    """A signal requested a stop of the run; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Turn the signals that stop a run into `Interrupted` while the block runs.

    `SAVE_SIGNAL` is ignored, also by the processes started inside: only training has something to save at
    once.
    """
    handlers: dict[signal.Signals, Handler] = dict.fromkeys(stopping_signals(), _interrupt)
    try:
        with handle_signals({**handlers, SAVE_SIGNAL: signal.SIG_IGN}):
            yield
    finally:
        _pending.clear()


def stopping_signals() -> tuple[signal.Signals, ...]:
    """Return the `SIGNALS` that stop this process: all but SIGHUP under nohup, which ignores it."""
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return tuple(number for number in SIGNALS if not (is_nohup and number == signal.SIGHUP))


@contextmanager
def handle_signals(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Install handlers while the block runs; only the main thread may, so in others do nothing."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, new) for number, new in handlers.items() if is_main}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if postpone_signal(number, frame):
        return
    _pending.append(number)
    if not _deferring:
        raise Interrupted(number)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block signals in processes started in the block: only the parent reacts to one to the group."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*SIGNALS, SAVE_SIGNAL))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Defer signals while the block runs: `raise_pending_signal` and the end of the block raise instead.

    Python prints and drops an exception that a signal handler raises while a destructor runs, and HDF5's
    objects have many destructors.
    """
    _deferring.append(True)
    try:
        yield
    finally:
        _deferring.pop()
    raise_pending_signal()


def raise_pending_signal() -> None:
    """Raise `Interrupted` if a signal is pending."""
    number = pending_signal()
    if number is not None:
        raise Interrupted(number)


def pending_signal() -> int | None:
    """Return the first signal to stop this run that has not ended it yet; None if there is none."""
    return next(iter(_pending), None)


def end_with_parent(parent: int) -> None:
    """Prepare a worker: leave the terminal's signals to the parent, and end soon after the parent.

    Parameters
    ----------
    parent
        The parent's process id, sent by itself: it may be gone before the worker looks.
    """
    guard_streams()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch_parent(parent)


def watch_parent(parent: int) -> None:
    """Start a thread that ends this process, which may hold locks, soon after its parent has ended."""
    threading.Thread(target=_watch, args=(parent,), name=WATCH_NAME, daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


IMPORT_FILE: Final = "<frozen importlib._bootstrap>"
"""File name of the stack frames that import a module."""
POSTPONE_SECONDS: Final = 0.1


def postpone_signal(number: int, frame: FrameType | None) -> bool:
    """Send a signal again after `POSTPONE_SECONDS` if a module is being imported; return whether one is.

    An exception of a handler within a module's C code is dropped there, or ends the process with status 134.
    """
    while frame is not None and frame.f_code.co_filename != IMPORT_FILE:
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
    """Send a signal again whose exception Python dropped in a destructor; report other exceptions.

    It is a `sys.unraisablehook`.
    """
    error = dropped.exc_value
    number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else getattr(error, "number", None)
    if number is None or isinstance(error, Exception):
        _report_unraisable(dropped)
    else:
        _send_again(number)
