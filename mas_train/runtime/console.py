"""Signals: a run stops between two steps when asked to, or saves a checkpoint and goes on."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import IntEnum
from types import FrameType
from typing import Final

from mas_labels.errors import MasError
from mas_labels.system.signals import postpone_signal

SAVE_SIGNAL: Final = signal.SIGUSR1
"""Asks for a checkpoint: a scheduler may send it some time before it ends a job."""
EXIT_SIGNAL: Final = 128
"""Added to a signal's number in an exit status, as shells do: 129 SIGHUP, 130 SIGINT, 143 SIGTERM."""

_raised: list[int] = []
"""Signals that `signals_raise` has raised and that have not ended it."""

Handler = Callable[[int, FrameType | None], object] | int | None


def stopping_signals() -> tuple[signal.Signals, ...]:
    """The signals that stop a run: SIGHUP is none under nohup, which had it ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))


class Stopped(BaseException):
    """The command was asked to end; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def signals_raise() -> Iterator[None]:
    """While entered, SIGTERM and SIGHUP raise `Stopped`, and SIGINT KeyboardInterrupt, between imports.

    `SAVE_SIGNAL` is ignored, also by the processes started inside: it must not end what has nothing to save.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if not postpone_signal(number, frame):
            _raised.append(number)
            raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)

    handlers: dict[signal.Signals, Handler] = dict.fromkeys(stopping_signals(), stop)
    try:
        with _handling({**handlers, SAVE_SIGNAL: signal.SIG_IGN}):
            yield
    finally:
        _raised.clear()


@contextmanager
def _handling(handlers: dict[signal.Signals, Handler]) -> Iterator[None]:
    """Install handlers while entered; in a thread other than the main one, which may not, do nothing."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, new) for number, new in handlers.items() if is_main}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Request(IntEnum):
    """Something that signals ask of a run; of two processes' requests the larger holds."""

    NOTHING = 0
    SAVE = 1
    """Save a checkpoint and go on."""
    STOP = 2
    """Save a checkpoint and stop."""


class SignalRequests(ExitStack):
    """While entered, signals are remembered instead of acted upon; a second one to stop acts at once.

    Parameters
    ----------
    speaks
        Whether to say so; of several processes one does.

    Attributes
    ----------
    signal_number : int or None
        The signal that asked to stop.
    """

    def __init__(self, speaks: bool = True) -> None:
        super().__init__()
        self.signal_number: int | None = None
        self._speaks = speaks
        self._saves_asked = self._saves_taken = 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:
            raise SystemExit(EXIT_SIGNAL + number)
        self.signal_number = number
        if self._speaks:
            print("\nstopping after this step; once more to stop at once", file=sys.stderr, flush=True)

    def _save(self, number: int, frame: FrameType | None) -> None:
        self._saves_asked += 1

    def take(self) -> Request:
        """Return what was asked for; a checkpoint is asked for once."""
        asked = self._saves_asked
        saves, self._saves_taken = asked > self._saves_taken, asked
        if self.signal_number is not None:
            return Request.STOP
        return Request.SAVE if saves else Request.NOTHING

    def __enter__(self) -> SignalRequests:
        self.signal_number = next(iter(_raised), None)  # one that somebody dropped
        handlers: dict[signal.Signals, Handler] = dict.fromkeys(stopping_signals(), self._stop)
        self.enter_context(_handling({**handlers, SAVE_SIGNAL: self._save}))
        return self


def tell(error: MasError, after_others: bool = False) -> None:
    """Write an error's line at once; one without a message has been told before.

    Parameters
    ----------
    error
        What to tell.
    after_others
        Begin a new line first: another process may have left its progress bar in this one.
    """
    start = "\n" if after_others else ""
    if str(error):
        print(f"{start}error: {error}", file=sys.stderr, flush=True)
