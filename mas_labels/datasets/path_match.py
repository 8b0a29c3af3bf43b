"""Paths matched by a manifest's regular expression, in bounded time, and what it reads from them."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

from mas_labels.datasets.folder import video_stem
from mas_labels.errors import ConfigError
from mas_labels.names import printable

MATCH_SECONDS: Final = 1.0
"""Most computing time that one path may take; usual expressions take microseconds."""


class _SlowMatchError(Exception):
    """The time for a path is up."""


@dataclass(frozen=True)
class PathParts:
    """Parts of a video's path.

    Attributes
    ----------
    class_name, split, group
        The named groups of the manifest's `path`, None where absent.
    name
        By which list files know the video: the path from the folder of its class on, without extension; the
        whole path where there is no class.
    """

    class_name: str | None
    split: str | None
    group: str | None
    name: str


def read_paths(pattern: str, paths: Iterable[str], extensions: Collection[str] = ()) -> dict[str, PathParts]:
    """Return the parts of each path that matches, as `match_paths` does."""
    parts = {}
    for path, match in match_paths(pattern, paths, extensions).items():
        named = match.groupdict()
        start = match.start("class") if named.get("class") is not None else 0
        name = video_stem(path[path.rfind("/", 0, start) + 1 :], extensions)
        parts[path] = PathParts(named.get("class"), named.get("split"), named.get("group"), name)
    return parts


def match_paths(
    pattern: str, paths: Iterable[str], extensions: Collection[str] = ()
) -> dict[str, re.Match[str]]:
    """Match whole paths, without the extensions of videos.

    Parameters
    ----------
    pattern
        The regular expression.
    paths
        Paths relative to the data set's folder.
    extensions
        Of videos, beside those that are known; other endings belong to the name.

    Returns
    -------
    The matches by path; paths that do not match are left out.

    Raises
    ------
    ConfigError
        If a path takes longer than `MATCH_SECONDS`: nested repeats may try more ways than there is time for.
        Only the main thread of a process can be interrupted; in others nothing bounds the time.
    """
    compiled = re.compile(pattern, re.DOTALL)
    matches = {}
    path = ""
    try:
        with _slow_matches_raise() as start_clock:
            for path in paths:
                start_clock()
                match = compiled.fullmatch(video_stem(path, extensions))
                if match:
                    matches[path] = match
    except _SlowMatchError:
        raise ConfigError(
            f"the manifest's `path`, {pattern!r}, takes more than {MATCH_SECONDS:g} s to be compared with "
            f"{printable(path)!r}: a repeat within a repeat, such as (a+)+, can be tried in too many ways. "
            "Write it without"
        ) from None
    return matches


@contextmanager
def _slow_matches_raise() -> Iterator[Callable[[], object]]:
    """Give what starts the clock; `_SlowMatchError` is raised in the block when its time is up."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _SlowMatchError

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, MATCH_SECONDS)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
