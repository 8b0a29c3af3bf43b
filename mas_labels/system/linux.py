"""Services of Linux and its C library that other systems lack, each with what stands for it there.

A substitute that its user should know of is told in a line. None of this has been run on another system: the
tests take the services away from Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from mas_labels.system.signals import watch_parent

ENOTSUPP: Final = 524
"""Linux's internal number for "not supported", which some file systems return (Cray DVS, NFS)."""
UNSUPPORTED: Final = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, ENOTSUPP)
"""Errors of a file system that does not support a call."""
PR_SET_PDEATHSIG: Final = 1
OOM_SCORE: Final = "500"
"""Makes the kernel kill this process first when memory runs out: a run recovers from that."""
M_TRIM_THRESHOLD: Final = -1
M_TOP_PAD: Final = -2
M_MMAP_THRESHOLD: Final = -3
M_MMAP_MAX: Final = -4
"""Options of glibc's `mallopt(3)`."""
MAX_KEPT_BYTES: Final = 32 << 20
"""Memory that `keep_freed_memory` does not return to the system."""


def _c_function(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; None if it has none of this name."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
        return found
    return None


def is_unsupported(error: OSError) -> bool:
    """Return whether the system or the file system does not support a call, rather than fails at it."""
    return error.errno in UNSUPPORTED


def set_malloc_options(options: Mapping[int, int]) -> bool:
    """Set options of the C library's memory allocator for this process.

    Returns
    -------
    bool
        Whether the allocator has them all: that of glibc, not of musl or macOS.
    """
    mallopt = _c_function("mallopt")
    if mallopt is None:
        return False
    return [mallopt(option, value) for option, value in options.items()] == [1] * len(options)


def keep_freed_memory() -> None:
    """Keep the memory of one frame or clip for the next, in a process that handles one after another.

    Converting a frame of 240 x 320 takes a third of the time.
    """
    set_malloc_options({M_MMAP_THRESHOLD: MAX_KEPT_BYTES, M_TRIM_THRESHOLD: MAX_KEPT_BYTES})


def allocate(descriptor: int, size: int) -> None:
    """Reserve the first `size` bytes of a file on the disk (`posix_fallocate(3)`).

    Raises
    ------
    OSError
        If it cannot; ENOSYS where the system has no such call (macOS).
    """
    if not hasattr(os, "posix_fallocate"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    os.posix_fallocate(descriptor, 0, size)


def reserve(descriptor: int, size: int) -> None:
    """Make sure that a file can grow to `size` bytes, by appending zeros if need be.

    Raises
    ------
    OSError
        If it cannot.
    """
    try:
        allocate(descriptor, size)
        return
    except OSError as error:
        if not is_unsupported(error):
            raise
    zeros = bytes(1 << 20)
    while (missing := size - os.fstat(descriptor).st_size) > 0:
        os.pwrite(descriptor, zeros[:missing], size - missing)


def open_shared_memory(size: int) -> int:
    """Open memory that processes share by its descriptor: a file without a name, of zeros.

    Where the system has no such files in memory, it is one in the folder of temporary files.

    Parameters
    ----------
    size
        In bytes.

    Raises
    ------
    OSError
        If there is no room.
    """
    try:
        descriptor = os.memfd_create("shared")
    except AttributeError:
        return _open_on_disk(size)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return _open_on_disk(size)
    try:
        os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _open_on_disk(size: int) -> int:
    """Open a file without a name on a disk, with all its room: without, writing would end the process."""
    _tell(f"no memfd_create on this system: processes share a file without a name in {tempfile.gettempdir()}")
    with tempfile.TemporaryFile() as file:
        reserve(file.fileno(), size)
        return os.dup(file.fileno())


@cache
def _tell(note: str) -> None:
    """Print a note to stderr, once."""
    print(f"note: {note}", file=sys.stderr)


def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent ends, and before others when memory runs out.

    Parameters
    ----------
    parent
        The parent's process id, sent by itself: it may be gone already.

    Notes
    -----
    Linux kills it even within native code. Elsewhere a thread watches the parent, and waits for native code
    that keeps Python's lock; which process is killed for its memory is up to the system.
    """
    prctl = _c_function("prctl")
    if prctl is None or prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        watch_parent(parent)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    if os.getppid() != parent:
        os._exit(1)


def processor_name() -> str:
    """Return the processor's name, or where the system does not tell it, its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
