"""Signals to a training run: stop after the current step, or save a checkpoint and continue."""

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
    """A request of a signal to a run; of the requests to several processes the largest holds."""

    NOTHING = 0
    SAVE = 1
    """Save a checkpoint and continue."""
    STOP = 2
    """Save a checkpoint and stop."""


class SignalRequests(ExitStack):
    """Records signals as requests while entered; a second signal to stop ends the process at once.

    Parameters
    ----------
    is_verbose
        Whether to announce the stop; of several processes one does.

    Attributes
    ----------
    signal_number : int or None
        The signal that requested the stop.
    """

    def __init__(self, is_verbose: bool = True) -> None:
        super().__init__()
        self.signal_number: int | None = None
        self._is_verbose = is_verbose
        self._save_signals = self._saves_taken = 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal to stop."""
        if self.signal_number is not None:
            raise SystemExit(EXIT_SIGNAL + number)
        self.signal_number = number
        if self._is_verbose:
            print(
                "\nstopping after this step; repeat the signal to stop at once", file=sys.stderr, flush=True
            )

    def _save(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal to save."""
        self._save_signals += 1

    def take(self) -> Request:
        """Return the request since the last call; several signals to save are one request."""
        received = self._save_signals
        is_save_requested, self._saves_taken = received > self._saves_taken, received
        if self.signal_number is not None:
            return Request.STOP
        return Request.SAVE if is_save_requested else Request.NOTHING

    def __enter__(self) -> SignalRequests:
        self.signal_number = pending_signal()  # a signal whose exception Python dropped
        handlers: dict[signal.Signals, Handler] = dict.fromkeys(stopping_signals(), self._stop)
        self.enter_context(handle_signals({**handlers, SAVE_SIGNAL: self._save}))
        return self
