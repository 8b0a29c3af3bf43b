"""The rules for splits in a manifest: one class per rule, and the validation of their keys.

`mas_labels.datasets.splits` and `mas_labels.datasets.split_lists` apply the rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final

from mas_labels.errors import ConfigError

ALL: Final = "all"
"""The split that every manifest has: all videos."""
MAX_GROUPS: Final = 1_000_000
MAX_NAME_LENGTH: Final = 80
"""Maximum length of the name of a data set or split; a file name contains two or more of them."""


@dataclass(frozen=True)
class ListsRule:
    """Splits from list files, one per split; lines are `path` or `path class`."""

    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class GroupsRule:
    """Splits from the number in the path's `group`; each split is a set of group numbers."""

    groups: tuple[tuple[str, frozenset[int]], ...]


@dataclass(frozen=True)
class PathRule:
    """Splits from the `split` group of the path."""


@dataclass(frozen=True)
class MarkedListsRule:
    """Splits from one list file for each class and number; lines are `name mark` (HMDB51).

    `marks` are pairs of a split's name and its mark: with ("train", "1") a video marked 1 in the file whose
    {number} is 2 belongs to the split train2. With any other mark the video is not used in those splits.
    """

    files: str
    marks: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CsvRule:
    """Splits from one CSV file per split, found by a pattern; a row names a video and its class (Kinetics).

    `names` are format strings of the columns, of which each gives a name that the video's file may have,
    without folder and extension. Videos in folders called `replacements` are used instead of others of the
    same name.
    """

    files: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    class_column: str
    replacements: str | None = None


SplitRule = ListsRule | GroupsRule | PathRule | MarkedListsRule | CsvRule


def parse_split_rule(data: object, where: str) -> SplitRule:
    """Make a rule from its mapping in the manifest; a new kind of rule is registered here.

    Raises
    ------
    ConfigError
        A key is unknown, missing or of the wrong type.
    """
    keys = Keys(data, where)
    by = keys.text("by")
    rule: SplitRule
    if by == "lists":
        named = _named(keys.get("files", dict), where)
        rule = ListsRule(tuple((split, check_path_inside(name, where)) for split, name in named))
    elif by == "groups":
        named = _named(keys.get("groups", dict), where)
        rule = GroupsRule(tuple((split, _numbers(text, where)) for split, text in named))
    elif by == "path":
        rule = PathRule()
    elif by == "marked_lists":
        rule = MarkedListsRule(
            _check_placeholders(keys.text("files"), where), tuple(_named(keys.get("marks", dict), where))
        )
    elif by == "csv":
        rule = CsvRule(
            tuple(_named(keys.get("files", dict), where)),
            tuple(_check_format(text, where) for text in keys.one_or_more("name")),
            keys.text("class"),
            keys.get("replacements", str, None),
        )
    else:
        raise ConfigError(f"{where}: `by` must be lists, marked_lists, csv, groups or path, found {by!r}")
    keys.finish()
    return rule


def _check_placeholders(text: str, where: str) -> str:
    """Return the name of marked lists if it has both placeholders, or raise `ConfigError`."""
    if text.count("{class}") != 1 or text.count("{number}") != 1:
        raise ConfigError(f"{where}: `files` needs {{class}} and {{number}}, once each; found {text!r}")
    return text


def _check_format(text: str, where: str) -> str:
    """Return a format string if it consists of columns alone, or raise `ConfigError`."""
    try:
        fields = [field for _, field, _, _ in Formatter().parse(text) if field is not None]
    except ValueError as error:
        raise ConfigError(f"{where}: `name`: {error}, found {text!r}") from error
    if not fields or any(not field or set(field) & set(".[") for field in fields):
        raise ConfigError(
            f"{where}: `name` needs columns, such as {{video}} or {{start:06d}}; found {text!r}"
        )
    return text


def _named(data: Mapping[object, object], where: str) -> list[tuple[str, str]]:
    """Return the pairs of split and value of a mapping, or raise `ConfigError`."""
    named = [(check_file_name(str(split), where), str(value)) for split, value in data.items()]
    if not named or ALL in dict(named):
        raise ConfigError(
            f"{where}: expected one split or more, none of them called {ALL!r}; found {dict(named)}"
        )
    return named


def _numbers(text: str, where: str) -> frozenset[int]:
    """Return the numbers in a text such as `1-7, 15-25`."""
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if not 0 <= last - first < MAX_GROUPS:
            raise ConfigError(f"{where}: expected group numbers such as 1-7, 15-25; found {text[:80]!r}")
        numbers.update(range(first, last + 1))
    return frozenset(numbers)


class Keys:
    """Reads the keys of one mapping with their types; `finish` refuses all keys that were not read."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise ConfigError(f"{where}: expected a mapping of keys, found {type(data).__name__}")
        self._data, self._where, self._known = data, where, list[str]()

    def get(self, key: str, kind: type, default: Any = ...) -> Any:
        """Return the value of a key, which must be of type `kind`; without a default the key is required."""
        self._known.append(key)
        if key not in self._data and default is not ...:
            return default
        value = self._data.get(key)
        # bool is an int in Python, but not in a manifest
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            found = repr(value) if key in self._data else "nothing"
            raise ConfigError(f"{self._where}: `{key}` must be {kind.__name__}, found {found}")
        return value

    def text(self, key: str) -> str:
        """Return the text of a key, which is required."""
        return self.get(key, str)

    def texts(self, key: str, default: Any = ...) -> tuple[str, ...]:
        """Return the list of one or more texts of a key."""
        values = self.get(key, list, default)
        if not values or not all(isinstance(value, str) for value in values):
            raise ConfigError(
                f"{self._where}: `{key}` must be a list of one or more strings, found {values!r}"
            )
        return tuple(values)

    def one_or_more(self, key: str) -> tuple[str, ...]:
        """Return the text of a key, or its list of texts."""
        return self.texts(key) if isinstance(self._data.get(key), list) else (self.text(key),)

    def finish(self) -> None:
        """Raise `ConfigError` if there are keys that were not read."""
        unknown = [str(key) for key in self._data if key not in self._known]
        if unknown:
            raise ConfigError(
                f"{self._where}: unknown key {', '.join(unknown)}; known are {', '.join(self._known)}"
            )


def is_file_name(name: str) -> bool:
    """Return whether a name may become part of a shard's file name."""
    return len(name) <= MAX_NAME_LENGTH and re.fullmatch(r"\w[\w.-]*", name) is not None


def check_file_name(name: str, where: str) -> str:
    """Return `name` if it may become part of a shard's file name, or raise `ConfigError`."""
    if not is_file_name(name):
        raise ConfigError(
            f"{where}: names of data sets and splits are at most {MAX_NAME_LENGTH} letters, digits, '_', '.' "
            f"and '-', found {name!r}"
        )
    return name


def check_path_inside(path: str, where: str, up: int = 0) -> str:
    """Return `path` if it leads at most `up` folders out of the data set, or raise `ConfigError`."""
    if not path or path.startswith("/") or "\0" in path or ".." in path.split("/")[up:]:
        where_to = "in or next to" if up else "in"
        raise ConfigError(f"{where}: expected a path {where_to} the data set's folder, found {path!r}")
    return path
