"""The keys of a recipe, and the names in it: what is no name, leads out, or is unknown is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mas_labels.errors import ConfigError

LONGEST_NAME: Final = 80
"""Of data sets and splits: two of them and more make the name of a file."""


class Keys:
    """The keys of one mapping, handed out by kind; what is left over at the end is unknown."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise ConfigError(f"{where}: expected a mapping of keys, found {type(data).__name__}")
        self._data, self._where, self._known = data, where, list[str]()

    def get(self, key: str, kind: type, default: Any = ...) -> Any:
        """Return the value of a key, which must be of this kind; without a default it must be there."""
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
        """Return a key's text."""
        return self.get(key, str)

    def texts(self, key: str, default: Any = ...) -> tuple[str, ...]:
        """Return a key's texts, one or more."""
        values = self.get(key, list, default)
        if not values or not all(isinstance(value, str) for value in values):
            raise ConfigError(
                f"{self._where}: `{key}` must be a list of one or more strings, found {values!r}"
            )
        return tuple(values)

    def finish(self) -> None:
        """Refuse keys that nobody asked for."""
        unknown = [str(key) for key in self._data if key not in self._known]
        if unknown:
            raise ConfigError(
                f"{self._where}: unknown key {', '.join(unknown)}; known are {', '.join(self._known)}"
            )


def is_file_name(name: str) -> bool:
    """Return whether a name may become part of a shard's file name."""
    return len(name) <= LONGEST_NAME and re.fullmatch(r"\w[\w.-]*", name) is not None


def file_name(name: str, where: str) -> str:
    """Return a name that becomes part of shards' file names, or raise `ConfigError`."""
    if not is_file_name(name):
        raise ConfigError(
            f"{where}: names of data sets and splits are at most {LONGEST_NAME} letters, digits, '_', '.' "
            f"and '-', found {name!r}"
        )
    return name


def path_inside(path: str, where: str, up: int = 0) -> str:
    """Return the path of a list file or their folder if it leads at most `up` folders out of the data set."""
    if not path or path.startswith("/") or "\0" in path or ".." in path.split("/")[up:]:
        beside = " or beside" if up else ""
        raise ConfigError(f"{where}: expected a path in{beside} the data set's folder, found {path!r}")
    return path
