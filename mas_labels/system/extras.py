"""Packages: optional ones, imported when they are used, with the remedy where one is missing; versions."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Final

from mas_labels.errors import MissingDependencyError
from mas_labels.version import __version__

NOT_INSTALLED: Final = "not installed"
"""Stands for the version of such a package."""


def load_extra(module: str, beginning: str, extra: str, more: str = "") -> ModuleType:
    """Import a module of an optional package; return the package, as the statement `import` does.

    Parameters
    ----------
    module
        Such as ``"pyarrow.parquet"``.
    beginning
        Words that the message begins with, such as ``"pictures need"``.
    extra
        Extra of this project that installs it.
    more
        Words after the remedy.

    Raises
    ------
    MissingDependencyError
        If it cannot be imported.
    """
    package = module.partition(".")[0]
    try:
        importlib.import_module(module)
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f'{beginning} {package}, which does not load ({error}): pip install "mas-video[{extra}]"{more}'
        ) from error


def package_versions(*packages: str) -> dict[str, str]:
    """Return the versions of this project and of packages, `NOT_INSTALLED` if not under this name."""
    versions = {"mas-video": __version__}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = NOT_INSTALLED
    return versions
