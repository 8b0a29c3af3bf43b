r"""A recipe: how a data set lies on disk, as plain data read from a small YAML file.

::

    name: ucf101
    description: one line for people
    path: (?P<class>[^/]+)/v_[^/]+_g(?P<group>\d+)_c\d+        # the relative path without its extension
    extensions: [.avi]                                       # any case
    list_folders: [".", ucfTrainTestlist]                    # where list files are looked for
    class_list: classInd.txt                                 # order of the classes; else alphabetical
    splits:                                                  # the first rule that applies is taken
      - {by: lists, files: {train1: trainlist01.txt, test1: testlist01.txt}}
      - {by: groups, groups: {train1: 8-25, test1: 1-7}}
      - {by: path}
      - {by: marked_lists, files: "{class}_test_split{number}.txt", marks: {train: 1, test: 2}}
      - {by: csv, files: {train: "*train*.csv"}, name: "{youtube_id}_{time_start:06d}", class: label}
    expected: {videos: 13320, classes: 101}                  # of the whole data set; what differs is told
    videos_per_shard: 16
    store_boundaries: true

`path` is a regular expression for the whole relative path, with `/` between folders. Its named groups
`class`, `group` and `split` say what a video belongs to; each of them may be absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from mas_labels.errors import ConfigError

ALL: Final = "all"
"""The split that every recipe has: all videos."""
LONGEST_NAME: Final = 80
"""Of data sets and splits: two of them and more make the name of a file."""
MOST_GROUPS: Final = 1_000_000
NOT_YAML: Final = (
    *(yaml.YAMLError, RecursionError),
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),  # PyYAML's, on tags like !!int
)


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

    `name` is a format of the columns that gives the video's file name without folder and extension.
    """

    files: tuple[tuple[str, str], ...]
    name: str
    class_column: str


SplitRule = ListsRule | GroupsRule | PathRule | MarkedListsRule | CsvRule


@dataclass(frozen=True)
class Manifest:
    """How one data set lies on disk.

    Attributes
    ----------
    name, description
        For people, and to name shards by.
    path
        Regular expression for a video's whole relative path without its extension.
    extensions
        Endings of video files, lower case with their dot; files are compared ignoring case.
    splits
        Rules for splits, the first that applies is taken; none: only "all" exists.
    list_folders
        Folders in which list files are looked for, relative to the data set and to the folder of lists.
    class_list
        Name of the file with the order of the classes, if the data set has one.
    videos_per_shard
        Videos that share one shard.
    store_boundaries
        Whether Mu and Mv are stored beside the labels.
    expected_videos, expected_classes
        Of the whole data set, if that is known.
    """

    name: str
    description: str
    path: str
    extensions: tuple[str, ...]
    splits: tuple[SplitRule, ...] = ()
    list_folders: tuple[str, ...] = (".",)
    class_list: str | None = None
    videos_per_shard: int = 16
    store_boundaries: bool = True
    expected_videos: int | None = None
    expected_classes: int | None = None


def load_manifest(path: str | Path) -> Manifest:
    """Read a recipe.

    Raises
    ------
    ConfigError
        The file is not there, is not YAML, or a key is unknown, absent or of the wrong kind.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        there = ", ".join(sorted(p.name for p in path.parent.glob("*.yaml"))) or "none"
        raise ConfigError(
            f"cannot read the manifest {path}: {error}. YAML files in its folder: {there}"
        ) from error
    except NOT_YAML as error:
        raise ConfigError(f"the manifest {path} is not YAML: {error}") from error
    return parse_manifest(data, str(path))


def parse_manifest(data: object, where: str = "manifest") -> Manifest:
    """Make a `Manifest` of what a YAML file held; `where` names it in errors.

    Raises
    ------
    ConfigError
        A key is unknown, absent or of the wrong kind.
    """
    keys = _Keys(data, where)
    expected = _Keys(keys.get("expected", dict, {}), f"{where}: expected")
    manifest = Manifest(
        name=_file_name(keys.text("name"), where),
        description=keys.text("description"),
        path=_pattern(keys.text("path"), where),
        extensions=tuple(_extension(text, where) for text in keys.texts("extensions")),
        splits=tuple(_split_rule(rule, f"{where}: splits") for rule in keys.get("splits", list, [])),
        list_folders=tuple(_inside(text, where, up=1) for text in keys.texts("list_folders", ["."])),
        class_list=_inside(name, where) if (name := keys.get("class_list", str, None)) else None,
        videos_per_shard=keys.get("videos_per_shard", int, 16),
        store_boundaries=keys.get("store_boundaries", bool, True),
        expected_videos=expected.get("videos", int, None),
        expected_classes=expected.get("classes", int, None),
    )
    keys.finish()
    expected.finish()
    if manifest.videos_per_shard < 1:
        raise ConfigError(f"{where}: videos_per_shard must be 1 or more, found {manifest.videos_per_shard}")
    names = re.compile(manifest.path).groupindex
    for kind, group in ((GroupsRule, "group"), (PathRule, "split")):
        if group not in names and any(isinstance(rule, kind) for rule in manifest.splits):
            raise ConfigError(f"{where}: a split rule needs the named group (?P<{group}>...) in `path`")
    return manifest


class _Keys:
    """The keys of one mapping, handed out by kind; what is left over at the end is unknown."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise ConfigError(f"{where}: expected a mapping of keys, found {type(data).__name__}")
        self._data, self._where, self._known = data, where, list[str]()

    def get(self, key: str, kind: type, default: Any = ...) -> Any:
        self._known.append(key)
        if key not in self._data and default is not ...:
            return default
        value = self._data.get(key)
        # bool is an int in Python, not in a recipe
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            found = repr(value) if key in self._data else "nothing"
            raise ConfigError(f"{self._where}: `{key}` must be {kind.__name__}, found {found}")
        return value

    def text(self, key: str) -> str:
        return self.get(key, str)

    def texts(self, key: str, default: Any = ...) -> tuple[str, ...]:
        values = self.get(key, list, default)
        if not values or not all(isinstance(value, str) for value in values):
            raise ConfigError(
                f"{self._where}: `{key}` must be a list of one or more strings, found {values!r}"
            )
        return tuple(values)

    def finish(self) -> None:
        unknown = [str(key) for key in self._data if key not in self._known]
        if unknown:
            raise ConfigError(
                f"{self._where}: unknown key {', '.join(unknown)}; known are {', '.join(self._known)}"
            )


def _pattern(text: str, where: str) -> str:
    try:
        names = set(re.compile(text).groupindex)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{where}: `path` is not a regular expression: {error}") from error
    if names - {"class", "group", "split"}:
        raise ConfigError(
            f"{where}: named groups of `path` may be class, group and split, found {sorted(names)}"
        )
    return text


def _extension(text: str, where: str) -> str:
    if not re.fullmatch(r"\.[^./]+", text):
        raise ConfigError(f"{where}: an extension is a dot and letters, such as .avi; found {text!r}")
    return text.lower()


def _split_rule(data: object, where: str) -> SplitRule:
    """Make one rule; the place where a new way to read splits gets its name."""
    keys = _Keys(data, where)
    by = keys.text("by")
    rule: SplitRule
    if by == "lists":
        named = _named(keys.get("files", dict), where)
        rule = ListsRule(tuple((split, _inside(name, where)) for split, name in named))
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
        rule = CsvRule(tuple(_named(keys.get("files", dict), where)), keys.text("name"), keys.text("class"))
    else:
        raise ConfigError(f"{where}: `by` must be lists, marked_lists, csv, groups or path, found {by!r}")
    keys.finish()
    return rule


def _places(text: str, where: str) -> str:
    if text.count("{class}") != 1 or text.count("{number}") != 1:
        raise ConfigError(f"{where}: `files` needs {{class}} and {{number}}, once each; found {text!r}")
    return text


def is_file_name(name: str) -> bool:
    """Return whether a name may become part of a shard's file name."""
    return len(name) <= LONGEST_NAME and re.fullmatch(r"\w[\w.-]*", name) is not None


def _file_name(name: str, where: str) -> str:
    """Return a name that becomes part of shards' file names, or raise `ConfigError`."""
    if not is_file_name(name):
        raise ConfigError(
            f"{where}: names of data sets and splits are at most {LONGEST_NAME} letters, digits, '_', '.' "
            f"and '-', found {name!r}"
        )
    return name


def _inside(path: str, where: str, up: int = 0) -> str:
    """Return the path of a list file or their folder if it leads at most `up` folders out of the data set."""
    if not path or path.startswith("/") or "\0" in path or ".." in path.split("/")[up:]:
        beside = " or beside" if up else ""
        raise ConfigError(f"{where}: expected a path in{beside} the data set's folder, found {path!r}")
    return path


def _named(data: Mapping[object, object], where: str) -> list[tuple[str, str]]:
    named = [(_file_name(str(split), where), str(value)) for split, value in data.items()]
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
