"""One frame rate for all videos: frame k is what a player shows k / rate seconds after the first frame.

Times are those of the file, not of its stated rate, and are calculated in fractions: nothing drifts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import repeat
from math import ceil, floor
from typing import NamedTuple, Protocol, TypeVar

from mas_labels.errors import ConfigError, VideoError

Picture = TypeVar("Picture")

MIN_FPS, MAX_FPS = 1, 1000
MILLISECOND = Fraction(1, 1000)
"""The time base of Matroska, WebM, FLV and ASF, which round: 30 frames a second are at 0, 33, 67."""
MAX_SECONDS = 60
"""Longest time that one frame may be shown: time stamps that ask for more are taken for damaged."""


def parse_fps(text: str) -> Fraction:
    """Return a frame rate: ``"25"``, ``"29.97"`` (which is 2997/100) or ``"30000/1001"``.

    Raises
    ------
    ConfigError
        If it is no such number, or not from 1 to 1000.
    """
    is_number = re.fullmatch(r"\d{1,9}(\.\d{1,9})?|\d{1,9}/0*[1-9]\d{0,8}", text, re.ASCII)
    if not is_number or not MIN_FPS <= Fraction(text) <= MAX_FPS:
        raise ConfigError(
            f"fps: expected frames per second from {MIN_FPS} to {MAX_FPS}, such as 25, 29.97 or 30000/1001, "
            f"found {text!r:.40}"
        )
    return Fraction(text)


class Stamped(Protocol):
    """The times of a decoded frame, in units of its stream's time base; PyAV's frames have them."""

    @property
    def pts(self) -> int | None:
        """Time of presentation."""

    @property
    def dts(self) -> int | None:
        """The decoder's clock."""

    @property
    def duration(self) -> int:
        """Time for which it is shown; 0 if the file does not say it."""


class Span(NamedTuple):
    """When a frame is shown and, as far as the file knows, for how long, in units of the time base."""

    start: int
    length: int


class Clock:
    """Reads when frames are shown, in the order in which a decoder gives them.

    Parameters
    ----------
    in_coded_order
        Whether the file knows the order of coding only, as AVI does: then the decoder's own clock counts
        from the start.

    Notes
    -----
    A file's times of presentation are taken until one is missing or does not lie behind the one before; from
    there on it is the decoder's clock, as FFmpeg does it. Frames that the decoder still holds at the end have
    no time on that clock: each begins where the one before ends.
    """

    def __init__(self, in_coded_order: bool = False) -> None:
        self._in_coded_order = in_coded_order
        self._last: Span | None = None

    def span(self, frame: Stamped) -> Span | None:
        """Return when a frame is shown; None if its file does not say it."""
        last = self._last
        if frame.pts is None or (last is not None and frame.pts <= last.start):
            self._in_coded_order = True
        start = frame.dts if self._in_coded_order else frame.pts
        if start is None and last is not None:
            start = last.start + last.length
        if start is None:
            return None
        length = frame.duration or (0 if last is None else start - last.start)
        self._last = Span(start, length)
        return self._last


def at_rate(
    frames: Iterable[tuple[Picture, Span | None]], time_base: Fraction, fps: Fraction
) -> Iterator[Picture]:
    """Repeat frames and leave frames out, so that they come at one rate.

    Parameters
    ----------
    frames
        Pictures and when they are shown, in order.
    time_base
        Unit of their times, seconds.
    fps
        Frames per second wanted.

    Yields
    ------
    For k = 0, 1, 2, ...: the last picture that begins at or before k / fps seconds after the first one,
    until the last one ends.

    Times in whole milliseconds may be up to one later than meant, and are taken for that.

    Raises
    ------
    VideoError
        If a time is missing, lies before the one of the frame before, or more than a minute behind it; or as
        `frames` does.
    """
    shown, first, waiting, broken = 0, 0, None, None
    try:
        for number, (picture, span) in enumerate(frames):
            if span is None:
                raise _no_times(f"frame {number} has none")
            if waiting is None:
                first = span.start
            else:
                last, begin = waiting
                _check_step(span.start - begin.start, time_base, number)
                due = _first_at(span.start - first, time_base, fps)
                yield from repeat(last, due - shown)
                shown = max(shown, due)
            waiting = picture, span
    except VideoError as error:  # what came before is shown to its end
        broken = error
    if waiting is not None:
        last, begin = waiting
        length = min(begin.length, int(MAX_SECONDS / time_base))
        due = _first_at(begin.start + length - first, time_base, fps)
        yield from repeat(last, max(due, 1) - shown)
    if broken is not None:
        raise broken


def _first_at(time: int, time_base: Fraction, fps: Fraction) -> int:
    """Return the number of the first frame wanted that is not before a time after the first frame."""
    if time_base == MILLISECOND:  # rounded, and so was the first one: it may be due up to a whole one before
        return floor((time - 1) * time_base * fps) + 1
    return ceil(time * time_base * fps)


def _check_step(step: int, time_base: Fraction, number: int) -> None:
    """Refuse a time that cannot be."""
    seconds = float(step * time_base)
    if step < 0:
        raise _no_times(f"frame {number} comes {-seconds:g} s before the one that it follows")
    if seconds > MAX_SECONDS:
        raise _no_times(f"frame {number} comes {seconds:g} s after the one before")


def _no_times(what: str) -> VideoError:
    return VideoError(
        "decode",
        "time_stamps",
        f"its time stamps cannot be used: {what}; re-encode the file, or label without --fps",
    )
