"""Options as dataclass fields that know their range and choices; a command line is made from them.

A field states its range or choices in its metadata (`bounds`, `choices`), or its choices as a `Literal`. The
first paragraph of its entry in the class's docstring is the option's help. `check_options` holds the values
to what the fields state, and `mas_labels.system.command_line.field_option` makes the option of the command
line, so that a default, a range or a list of choices is written once. Importing this loads no click.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from mas_labels.errors import ConfigError

BOUNDS: Final = "bounds"
CHOICES: Final = "choices"
"""Keys of a field's metadata."""


@dataclass(frozen=True)
class Bounds:
    """The interval that an option's number must lie in.

    Attributes
    ----------
    at_least, at_most
        Inclusive ends; None: no limit.
    above, below
        Exclusive ends; None: no limit.
    is_share
        Whether the number is a share, which a command line takes in per cent as well.
    """

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    is_share: bool = False

    def __contains__(self, number: float) -> bool:
        return (
            math.isfinite(number)
            and (self.at_least is None or number >= self.at_least)
            and (self.at_most is None or number <= self.at_most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        """Describe the interval, such as ``1 to 100`` or ``more than 0 and at most 1``."""
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        ends = {
            "{:g} or more": self.at_least,
            "more than {:g}": self.above,
            "at most {:g}": self.at_most,
            "less than {:g}": self.below,
        }
        return " and ".join(text.format(end) for text, end in ends.items() if end is not None)


def bounds(
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    is_share: bool = False,
) -> Mapping[str, Any]:
    """Return the metadata of a field whose number must lie within `Bounds`."""
    return {BOUNDS: Bounds(at_least, at_most, above, below, is_share)}


def choices(values: Iterable[str]) -> Mapping[str, Any]:
    """Return the metadata of a field that takes one of some values."""
    return {CHOICES: tuple(values)}


@dataclass(frozen=True)
class OptionField:
    """Type, default, range, choices and help of an option, as a field of a dataclass states them.

    Attributes
    ----------
    name, default
        The field's; the default is `dataclasses.MISSING` if the option is required.
    kind
        Its type, without None.
    bounds, choices
        Values that it takes; None or empty: any of its type.
    help
        First paragraph of its entry in the class's docstring.
    """

    name: str
    default: Any
    kind: type
    bounds: Bounds | None
    choices: tuple[str, ...]
    help: str


@functools.cache
def option_fields(options: type) -> Mapping[str, OptionField]:
    """Return the options that the fields of a dataclass state, by name."""
    hints, texts = get_type_hints(options), option_texts(options)
    return {
        field.name: OptionField(
            field.name,
            field.default,
            _kind(hints[field.name]),
            field.metadata.get(BOUNDS),
            field.metadata.get(CHOICES) or _literals(hints[field.name]),
            texts.get(field.name, "").partition("\n\n")[0].replace("``", ""),
        )
        for field in fields(options)
    }


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the types that a hint names, without None."""
    parts = get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
    return tuple(part for part in parts if part is not type(None))


def _kind(hint: Any) -> type:
    (kind,) = {
        str if get_origin(part) is Literal else get_origin(part) or part for part in _alternatives(hint)
    }
    return kind


def _literals(hint: Any) -> tuple[str, ...]:
    return tuple(
        value for part in _alternatives(hint) if get_origin(part) is Literal for value in get_args(part)
    )


def option_texts(options: type) -> dict[str, str]:
    """Return the entries of a class's numpydoc docstring by name; one entry may describe several names."""
    entries = re.findall(
        r"^(\w+(?:, \w+)*)(?: :.*)?\n((?:    .*\n?|\n(?=    ))+)", inspect.getdoc(options) or "", re.M
    )
    return {
        name: "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
        for names, text in entries
        for name in names.split(", ")
    }


def check_options(options: Any) -> None:
    """Check the values of a dataclass's fields against what the fields state; None is allowed.

    Raises
    ------
    ConfigError
        If one is out of its range or not a choice.
    """
    for field in option_fields(options.__class__).values():
        value = getattr(options, field.name)
        if value is None:
            continue
        if field.bounds is not None and value not in field.bounds:
            raise ConfigError(f"{field.name}: expected {field.bounds}, found {value}")
        if field.choices and value not in field.choices:
            raise ConfigError(f"{field.name}: expected one of {', '.join(field.choices)}, found {value!r}")
