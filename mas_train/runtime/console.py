"""Signals: a run stops between two steps when asked to, or saves a checkpoint and goes on."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from enum import IntEnum
from types import FrameType

from mas_labels.system.signals import (
    EXIT_SIGNAL,
    SAVE_SIGNAL,
    Handler,
    handle_signals,
    pending_signal,
    stopping_signals,
)


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
        self.signal_number = pending_signal()  # one whose exception was dropped
        handlers: dict[signal.Signals, Handler] = dict.fromkeys(stopping_signals(), self._stop)
        self.enter_context(handle_signals({**handlers, SAVE_SIGNAL: self._save}))
        return self
