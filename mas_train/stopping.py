"""Stopping a run between two steps when it is asked to: Ctrl-C, or a scheduler's SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
EXIT_SIGNAL: Final = 128
"""Added to a signal's number in an exit status, as shells do: 130 for SIGINT, 143 for SIGTERM."""


class StopRequest:
    """While entered, SIGINT and SIGTERM are remembered instead of acted upon; a second one acts at once.

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
        self.signal_number: int | None = None
        self._speaks = speaks
        self._previous: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:
            raise SystemExit(EXIT_SIGNAL + number)
        self.signal_number = number
        if self._speaks:
            print("\nstopping after this step; once more to stop at once", file=sys.stderr, flush=True)

    def requested(self) -> bool:
        """Whether to stop."""
        return self.signal_number is not None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # no other thread may set handlers
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
