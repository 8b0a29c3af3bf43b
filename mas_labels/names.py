"""Names of files and classes: printable, shortened, sorted, and matched regardless of spelling."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

VIDEO_EXTENSIONS: Final = (
    *(".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg"),
    *(".ts", ".wmv", ".flv", ".ogv", ".3gp"),
)
"""Extensions of video files, those of most data sets first."""
MAX_SHOWN: Final = 1000
"""Characters of a name that are shown: what is taken for one may be a whole file."""


def printable(name: str) -> str:
    """Return a name with bytes that are not UTF-8 and control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in as_unicode(name))


def as_unicode(name: str) -> str:
    """Return a name as valid Unicode: bytes that are not UTF-8, and what else is no letter, are escaped."""
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a pair of surrogates, which JSON may hold
        return name.encode("utf-8", "backslashreplace").decode()


def first_names(names: Sequence[str]) -> str:
    """Return the first three names as text, with an ellipsis for others, and for the rest of a long one."""
    shown = [name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}..." for name in names[:3]]
    return ", ".join(map(printable, shown)) + (", ..." if len(names) > 3 else "")


def sort_key(name: str) -> tuple[str, str]:
    """Return the sort key of a class name: case, and underscores for spaces, only decide between equals."""
    return name.lower().replace("_", " "), name


def fold_name(name: str) -> str:
    """Return a class name in the form that is compared: case, Unicode form and underscores do not count.

    >>> fold_name("Playing__Guitar ")
    'playing guitar'
    """
    return " ".join(unicodedata.normalize("NFC", sort_key(name)[0]).split())


def match_names(names: Sequence[str], known: Sequence[str]) -> list[int]:
    """Return the position of each name in `known`, or -1.

    A name is looked up as it is spelled, then regardless of case and of underscores for spaces, unless two
    names of one table are equal in that way.

    >>> match_names(["YoYo", "walking_dog", "Run"], ["Walking Dog", "YoYo"])
    [1, 0, -1]
    """
    places = {name: place for place, name in enumerate(known)}
    folded, folded_known = Counter(map(fold_name, names)), Counter(map(fold_name, known))
    places_folded = {fold_name(name): place for place, name in enumerate(known)}
    return [
        places_folded[fold_name(name)]
        if name not in places and folded[fold_name(name)] == folded_known[fold_name(name)] == 1
        else places.get(name, -1)
        for name in names
    ]


class CommonClasses(NamedTuple):
    """Union of the classes of several tables."""

    names: list[str]
    """Classes of the first table in its order, then those that each of the others adds."""
    numbers: list[NDArray[np.int32]]
    """For each table, the positions of its classes in `names`, and a last -1 for videos without a class."""


def unite_classes(tables: Iterable[Sequence[str]]) -> CommonClasses:
    """Unite the classes of several tables, matched by name as `match_names` does."""
    names: list[str] = []
    numbers = []
    for table in tables:
        places = match_names(table, names)
        for row, place in enumerate(places):
            if place < 0:
                places[row] = len(names)
                names.append(table[row])
        numbers.append(np.array([*places, -1], np.int32))
    return CommonClasses(names, numbers)
