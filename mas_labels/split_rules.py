"""The rules by which a manifest reads splits: one class a rule, made from its mapping in the YAML file.

What each rule does is in `mas_labels.splits`, `mas_labels.marked_lists` and `mas_labels.csv_lists`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mas_labels.errors import ConfigError
from mas_labels.recipe_keys import Keys, file_name, path_inside

ALL: Final = "all"
"""The split that every manifest has: all videos."""
MOST_GROUPS: Final = 1_000_000


@dataclass(frozen=True)
class ListsRule:
    """Splits from list files, one a split; lines are `path` or `path class`."""

    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class GroupsRule:
    """Splits from the number in the path's `group`; each split is a set of numbers."""

    groups: tuple[tuple[str, frozenset[int]], ...]


@dataclass(frozen=True)
class PathRule:
    """Splits from the path's own `split` group."""


@dataclass(frozen=True)
class MarkedListsRule:
    """Splits from one list file for each class and number; lines are `name mark` (HMDB51).

    `marks` are pairs of a split's name and its mark: with ("train", "1") a video marked 1 in the file whose
    {number} is 2 belongs to the split train2. Other marks mean that it is not used there.
    """

    files: str
    marks: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CsvRule:
    """Splits from one CSV file a split, found by a pattern; a row names a video and its class (Kinetics).

    `name` is a format of the columns that gives the video's file name without folder and extension. Videos in
    folders called `replacements` are taken instead of others of the same name.
    """

    files: tuple[tuple[str, str], ...]
    name: str
    class_column: str
    replacements: str | None = None


SplitRule = ListsRule | GroupsRule | PathRule | MarkedListsRule | CsvRule


def parse_split_rule(data: object, where: str) -> SplitRule:
    """Make one rule; the place where a new way to read splits gets its name."""
    keys = Keys(data, where)
    by = keys.text("by")
    rule: SplitRule
    if by == "lists":
        named = _named(keys.get("files", dict), where)
        rule = ListsRule(tuple((split, path_inside(name, where)) for split, name in named))
    elif by == "groups":
        named = _named(keys.get("groups", dict), where)
        rule = GroupsRule(tuple((split, _numbers(text, where)) for split, text in named))
    elif by == "path":
        rule = PathRule()
    elif by == "marked_lists":
        rule = MarkedListsRule(
            _places(keys.text("files"), where), tuple(_named(keys.get("marks", dict), where))
        )
    elif by == "csv":
        rule = CsvRule(
            tuple(_named(keys.get("files", dict), where)),
            keys.text("name"),
            keys.text("class"),
            keys.get("replacements", str, None),
        )
    else:
        raise ConfigError(f"{where}: `by` must be lists, marked_lists, csv, groups or path, found {by!r}")
    keys.finish()
    return rule


def _places(text: str, where: str) -> str:
    if text.count("{class}") != 1 or text.count("{number}") != 1:
        raise ConfigError(f"{where}: `files` needs {{class}} and {{number}}, once each; found {text!r}")
    return text


def _named(data: Mapping[object, object], where: str) -> list[tuple[str, str]]:
    named = [(file_name(str(split), where), str(value)) for split, value in data.items()]
    if not named or ALL in dict(named):
        raise ConfigError(
            f"{where}: expected one split or more, none of them called {ALL!r}; found {dict(named)}"
        )
    return named


def _numbers(text: str, where: str) -> frozenset[int]:
    """Numbers of a text such as `1-7, 15-25`."""
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if not 0 <= last - first < MOST_GROUPS:
            raise ConfigError(f"{where}: expected group numbers such as 1-7, 15-25; found {text[:80]!r}")
        numbers.update(range(first, last + 1))
    return frozenset(numbers)
