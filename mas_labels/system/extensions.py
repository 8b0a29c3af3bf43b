"""Loads the compiled extensions (``mas_labels/native``) and names the instruction sets that they can use."""

from __future__ import annotations

import importlib
from types import ModuleType

from mas_labels.errors import MissingDependencyError


def load_extension(kernel: str, alternative: str = "") -> ModuleType:
    """Import a compiled extension: ``"tvl1"``, ``"labels"``, ``"resize"`` or ``"checksum"``.

    Parameters
    ----------
    kernel
        The folder of its source in ``mas_labels/native``.
    alternative
        Sentence for the error's message on how to do without the extension.

    Raises
    ------
    MissingDependencyError
        The extension was not built.
    """
    try:
        return importlib.import_module(f"mas_labels._{kernel}")
    except ImportError as error:
        raise MissingDependencyError(
            f"the compiled extension is not there ({error}). Install a C++17 compiler, GCC or Clang "
            "(Debian: apt install g++), and build it: python setup.py build_ext --inplace in a checkout, or "
            f"else pip install --force-reinstall --no-deps this package{alternative}"
        ) from error


def available_isas(kernel: str) -> tuple[str, ...]:
    """Return the instruction sets that an extension can use on this machine, best first.

    They are of "avx512", "avx2" and "portable"; the result of an extension is the same with each.
    """
    names: tuple[str, ...] = load_extension(kernel).available()
    return names
