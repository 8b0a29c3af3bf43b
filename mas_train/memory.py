"""Memory of training: on a CPU pages that were had once are kept; a full GPU is told in one line."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Final

import torch

from mas_labels.errors import TrainingError

M_TRIM_THRESHOLD: Final = -1
M_TOP_PAD: Final = -2
M_MMAP_MAX: Final = -4
"""Numbers of glibc's `mallopt(3)`."""
TOP_PAD_BYTES: Final = 200_000_000


def keep_pages() -> bool:
    """Let the C library keep freed memory instead of giving it back to the system.

    By default glibc maps every large array anew, so each activation of each step is paid for page by page
    (measured: 220,000 page faults a step, a fifth of its CPU time). Freed memory stays with the process.

    Returns
    -------
    bool
        Whether the C library has such a setting: glibc, not musl or macOS.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, TOP_PAD_BYTES))
    return [mallopt(name, value) for name, value in settings] == [1, 1, 1]


@contextlib.contextmanager
def full_memory_told(device: torch.device) -> Iterator[None]:
    """Say in one line that a device's memory does not hold the work, and what needs less.

    Raises
    ------
    TrainingError
        In place of torch's error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"{device} has too little memory ({reason}): give a smaller --batch-size, --precision bf16, or "
            "mas-train --accumulate 4"
        ) from error
