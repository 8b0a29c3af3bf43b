"""Reads the filters that choose clips from text, as command lines and recipes hold them."""

from __future__ import annotations

import csv
from collections.abc import Collection
from typing import Any, get_args, get_origin, get_type_hints

from mas_labels.errors import ConfigError
from mas_labels.schema import LABEL_NAMES
from mas_labels.shards.selection import ClipSequence


def parse_filters(text: str) -> dict[str, Any]:
    """Read the filters of `ClipSequence.where` from text, such as ``"min_motion=0.02,class_name=Archery"``.

    Parameters
    ----------
    text
        One row of CSV: a term that holds a comma is put into double quotes, as in
        ``'"class_name=Clean, then jerk",view=1'``. Terms of the same name are alternatives.

    Raises
    ------
    ConfigError
        If a filter is unknown, given twice but takes one value, or has a value of another type.
    """
    kinds = get_type_hints(ClipSequence.where)
    kinds = {**kinds, **dict.fromkeys(LABEL_NAMES, kinds["labels"])}
    known = [name for name in kinds if name not in ("labels", "return")]
    filters: dict[str, list[Any]] = {}
    try:
        for term in next(csv.reader([text], skipinitialspace=True, strict=True)):
            name, is_given, value = term.partition("=")
            if name not in known or not is_given:
                raise ValueError(f"expected name=value, with a name of {', '.join(known)}, found {term!r}")
            filters.setdefault(name, []).append(_read_value(name, kinds[name], value))
        for name, values in filters.items():
            if len(values) > 1 and not any(get_origin(hint) is Collection for hint in get_args(kinds[name])):
                raise ValueError(f"expected one {name}, found {len(values)}: leave the others out")
    except csv.Error as error:
        expected = "expected one line of name=value,name=value, terms that hold commas in double quotes"
        raise ConfigError(f"filters {text!r}: {expected}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"filters {text!r}: {error}") from error
    return {name: values[0] if len(values) == 1 else values for name, values in filters.items()}


def _read_value(name: str, hint: Any, text: str) -> Any:
    """Read a filter's value, of the first type of its hint; raise `ValueError` if it is of another type."""
    kind = next(iter(get_args(hint)), hint)
    if kind is bool and text in ("true", "false"):
        return text == "true"
    try:
        value = {str: str, int: int, float: float}[kind](text)
        if value != value:  # not a number, to which every clip would compare as false
            raise ValueError(text)
        return value
    except (KeyError, ValueError) as error:
        expected = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ValueError(f"{name}: expected {expected}, found {text!r}") from error
