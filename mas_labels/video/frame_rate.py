"""Converts videos to one frame rate: frame k is the frame shown k / rate seconds after the first one.

Times are the time stamps of the file, not multiples of its stated rate, and are computed as fractions, so
that nothing drifts.
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
"""The time base of Matroska, WebM, FLV and ASF, which rounds: at 30 frames per second 0, 33, 67."""
MAX_SECONDS = 60
"""Longest time for which one frame may be shown; longer ones are taken to be corrupt time stamps."""


def parse_fps(text: str) -> Fraction:
    """Parse a frame rate: ``"25"``, ``"29.97"`` (which is 2997/100) or ``"30000/1001"``.

    Raises
    ------
    ConfigError
        If it is not such a number, or not from 1 to 1000.
    """
    is_number = re.fullmatch(r"\d{1,9}(\.\d{1,9})?|\d{1,9}/0*[1-9]\d{0,8}", text, re.ASCII)
    if not is_number or not MIN_FPS <= Fraction(text) <= MAX_FPS:
        raise ConfigError(
            f"fps: expected frames per second from {MIN_FPS} to {MAX_FPS}, such as 25, 29.97 or 30000/1001, "
            f"found {text!r:.40}"
        )
    return Fraction(text)


class Stamped(Protocol):
    """The time stamps of a decoded frame, in units of the time base of its stream, as in PyAV's frames."""

    @property
    def pts(self) -> int | None:
        """Presentation time stamp."""

    @property
    def dts(self) -> int | None:
        """Decoding time stamp."""

    @property
    def duration(self) -> int:
        """Time for which the frame is shown; 0 if unknown."""


class Span(NamedTuple):
    """Time at which a frame is shown, and its duration as far as it is known, in units of the time base."""

    start: int
    length: int


class Clock:
    """Determines the times of frames, in the order in which a decoder returns them.

    Parameters
    ----------
    in_coded_order
        Whether the file has time stamps in decoding order only, as AVI has: decoding time stamps are then
        used from the start.

    Notes
    -----
    Presentation time stamps are used until one is missing or not later than the previous one; from there on
    decoding time stamps are used, as in FFmpeg. The frames that the decoder returns when it is flushed have
    none: each begins where the previous one ends.
    """

    def __init__(self, in_coded_order: bool = False) -> None:
        self._in_coded_order = in_coded_order
        self._last: Span | None = None

    def span(self, frame: Stamped) -> Span | None:
        """Return the time span of a frame; None if the file has no time stamp for it."""
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
    """Repeat and drop frames to convert them to one rate.

    Parameters
    ----------
    frames
        Pictures with their time spans, in order.
    time_base
        Unit of the times, seconds.
    fps
        Frames per second of the result.

    Yields
    ------
    For k = 0, 1, 2, ...: the last picture that begins at or before k / fps seconds after the first one,
    until the last one ends.

    Times in whole milliseconds were rounded, and may be up to one millisecond too late; that is allowed for.

    Raises
    ------
    VideoError
        If a time is missing, earlier than that of the previous frame, or more than a minute later; or if
        `frames` raises it.
    """
    n_shown, first, waiting, failure = 0, 0, None, None
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
                yield from repeat(last, due - n_shown)
                n_shown = max(n_shown, due)
            waiting = picture, span
    except VideoError as error:  # the frames before it are complete
        failure = error
    if waiting is not None:
        last, begin = waiting
        length = min(begin.length, int(MAX_SECONDS / time_base))
        due = _first_at(begin.start + length - first, time_base, fps)
        yield from repeat(last, max(due, 1) - n_shown)
    if failure is not None:
        raise failure


def _first_at(time: int, time_base: Fraction, fps: Fraction) -> int:
    """Return the number of the first frame of the result at or after a time since the first frame."""
    if time_base == MILLISECOND:  # both times were rounded: the true one may be up to 1 ms earlier
        return floor((time - 1) * time_base * fps) + 1
    return ceil(time * time_base * fps)


def _check_step(step: int, time_base: Fraction, number: int) -> None:
    """Raise `VideoError` if the time between two frames is negative or too long."""
    seconds = float(step * time_base)
    if step < 0:
        raise _no_times(f"frame {number} comes {-seconds:g} s before the one that it follows")
    if seconds > MAX_SECONDS:
        raise _no_times(f"frame {number} comes {seconds:g} s after the one before")


def _no_times(problem: str) -> VideoError:
    """Make the error of unusable time stamps."""
    return VideoError(
        "decode",
        "time_stamps",
        f"its time stamps cannot be used: {problem}; re-encode the file, or leave out --fps",
    )
