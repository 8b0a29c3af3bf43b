"""Matches paths with a manifest's regular expression in bounded time, and reads class, split and group.

A manifest's expression is one of Python's `re`, and is checked as such. It is matched by the package `regex`,
which gives the same matches but can be stopped, in any thread, when one takes too long.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import regex

from mas_labels.datasets.folder import video_stem
from mas_labels.errors import ConfigError
from mas_labels.names import printable

MAX_MATCH_SECONDS: Final = 1.0
"""Computing time of the process that one path may take; usual expressions take microseconds."""
MAX_SPELLED_OUT: Final = 100_000
"""Characters of an expression once its counted repeats, such as ``a{9}``, are spelled out."""


@dataclass(frozen=True)
class PathParts:
    """The parts of a video's path that a manifest reads.

    Attributes
    ----------
    class_name, split, group
        The named groups of the manifest's `path`, None where absent.
    name
        The name that list files use: the path from the class folder on, without extension; the whole path
        if there is no class.
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
) -> dict[str, regex.Match[str]]:
    """Match whole paths, without the extensions of videos.

    Parameters
    ----------
    pattern
        The regular expression.
    paths
        Paths relative to the data set's folder.
    extensions
        Extensions of videos in addition to the known ones; other endings belong to the name.

    Returns
    -------
    The matches by path; paths that do not match are left out.

    Raises
    ------
    ConfigError
        If one path takes longer than `MAX_MATCH_SECONDS`: there may be exponentially many ways to match it.
    """
    compiled = regex.compile(pattern, regex.VERSION0 | regex.DOTALL)
    matches = {}
    for path in paths:
        try:
            match = compiled.fullmatch(video_stem(path, extensions), timeout=MAX_MATCH_SECONDS)
        except TimeoutError:
            raise ConfigError(
                f"the manifest's `path`, {pattern!r}, takes more than {MAX_MATCH_SECONDS:g} s to be compared "
                f"with {printable(path)!r}: a choice within a repeat, such as (a|aa)+, can match in too many "
                "ways. Write it without"
            ) from None
        if match:
            matches[path] = match
    return matches


def check_pattern(pattern: str) -> tuple[str, ...]:
    """Check a manifest's regular expression and return the names of its groups.

    Raises
    ------
    ValueError
        It is not a regular expression of `re`, or its counted repeats multiply to more than
        `MAX_SPELLED_OUT`: `regex` spells them out when it compiles, which may take all memory.
    """
    try:
        names = tuple(re.compile(pattern).groupindex)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from error
    counts = [(group, int(count)) for group, count in re.findall(r"(\)?)\{(\d+)", pattern)]
    of_groups = math.prod(count for group, count in counts if group and count)
    of_characters = max((count for group, count in counts if not group), default=1)
    if len(pattern) * of_groups * max(1, of_characters) > MAX_SPELLED_OUT:
        raise ValueError("its counted repeats, such as (a{9}){9}, multiply to too many")
    return names
