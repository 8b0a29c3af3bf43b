"""Lazy loading: names of a package whose modules are imported when they are first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from mas_labels.errors import explain_import_error


def load_lazily(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's `__getattr__` and `__dir__` that import its public names when they are first used.

    Thanks to them ``--help`` loads neither OpenCV nor HDF5.

    Parameters
    ----------
    package
        The package's name.
    homes
        Public name -> module that defines it.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(importlib.import_module(homes[name]), name)
        except ImportError as error:
            raise explain_import_error(error) from error

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return load, list_names
