"""The passes over pixels behind the labels: everything that is summed up over the blocks of crops.

What a label is, `mas_labels.motion` and `mas_labels.appearance` say; they decide by the sums from here. There
are two ways to gather them, and the sums, all of whole numbers, are equal:

- compiled (``mas_labels/native/labels.cpp``): the default;
- plain NumPy (`mas_labels.gather_numpy`): the reference which the compiled way is tested against, and many
  times slower. It is used only when the environment variable ``MAS_LABELS`` is ``numpy``: a machine without a
  compiler can still label, but it is never slow without having been told to be.
"""

from __future__ import annotations

import os

from mas_labels.errors import ConfigError
from mas_labels.gather_native import native_gatherer
from mas_labels.gather_numpy import NUMPY
from mas_labels.sums import WAY_VARIABLE, Gatherer


def gatherer() -> Gatherer:
    """Return the compiled way to gather, or NumPy's if ``MAS_LABELS=numpy``.

    Raises
    ------
    MissingDependencyError
        The extension was not built, and NumPy was not asked for.
    ConfigError
        ``MAS_LABELS`` says anything else.
    """
    way = os.environ.get(WAY_VARIABLE, "")
    if way == "numpy":
        return NUMPY
    if way:
        raise ConfigError(f"{WAY_VARIABLE}={way}: expected numpy, or unset it for the compiled way")
    return native_gatherer()
