"""Services of the machine for both programs: signals, open files, locks, files written as a whole.

File systems differ in what they offer. What one does not offer is done without, and said once a run
(`missing_services`); what one fails at raises.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, TextIO

from mas_labels.errors import ConfigError, IncompleteWarning, reason_of
from mas_labels.streams import guard_streams

ENOTSUPP: Final = 524
"""Linux's own number for what is not supported: some file systems let it out (Cray DVS, NFS)."""
UNSUPPORTED: Final = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, ENOTSUPP)
"""Answers of a file system that does not offer what it was asked for."""
CLOSED_FOLDERS: Final = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EBADF)
"""Answers of one that does not open folders, or not for syncing."""
LOG_SECONDS: Final = 10.0
"""Between two lines of progress where the output is no terminal."""
IMPORTING: Final = "<frozen importlib._bootstrap>"
"""File of the frames below which a module is imported."""
POSTPONE_SECONDS: Final = 0.1


def begin_process() -> None:
    """Prepare a process of a command: its standard streams cannot fail, and all files it may open it can.

    Warnings for its user are lines on stderr.
    """
    guard_streams()
    # told in `require_semaphores`, where it matters
    warnings.filterwarnings("ignore", "(?s).*joblib will operate in serial mode")
    warnings.showwarning = _show_warning
    sys.unraisablehook = _return_dropped_signal
    _shown_warnings.clear()
    with contextlib.suppress(OSError, ValueError):  # ValueError: a limit that this system does not grant
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_show_other_warning = warnings.showwarning
_shown_warnings: set[str] = set()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show what a user must know as a line, once; other warnings as Python does."""
    if issubclass(category, IncompleteWarning):
        if str(message) not in _shown_warnings:
            print(f"warning: {message}", file=sys.stderr)
        _shown_warnings.add(str(message))
    else:
        _show_other_warning(message, category, filename, lineno, file, line)


def postpone_signal(number: int, frame: FrameType | None) -> bool:
    """Deliver a signal again in a moment if a module is being imported; return whether it is.

    What a handler raises inside a module's C code is dropped there, or ends the process with status 134.

    Parameters
    ----------
    number, frame
        As the handler got them.
    """
    while frame is not None and frame.f_code.co_filename != IMPORTING:
        frame = frame.f_back
    if frame is None:
        return False
    _send_again(number)
    return True


def _send_again(number: int) -> None:
    again = threading.Timer(POSTPONE_SECONDS, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


_report_unraisable = sys.unraisablehook


def _return_dropped_signal(dropped: sys.UnraisableHookArgs) -> None:
    """Deliver a signal again whose exception Python dropped, as it does in destructors; report other ones."""
    error = dropped.exc_value
    number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else getattr(error, "number", None)
    if number is None or isinstance(error, Exception):
        _report_unraisable(dropped)
    else:
        _send_again(number)


def require_semaphores(remedy: str) -> None:
    """Refuse to start processes that could not wait for one another.

    Parameters
    ----------
    remedy
        What to do, other than mending the machine.

    Raises
    ------
    ConfigError
        If the machine has no semaphores: on Linux they lie in /dev/shm.
    """
    try:
        multiprocessing.get_context("fork").Lock()
    except (OSError, ImportError) as error:
        raise ConfigError(
            f"several processes need a writable /dev/shm ({reason_of(error)}): make room there, or "
            f"mount one (mount -t tmpfs tmpfs /dev/shm, docker run --shm-size=2g), or {remedy}"
        ) from error


def bar_settings() -> dict[str, Any]:
    """Return tqdm's settings: now and then a line where standard error is no terminal, no bar without it."""
    if sys.stderr is None:
        return {"disable": True}
    return {} if sys.stderr.isatty() else {"mininterval": LOG_SECONDS, "maxinterval": LOG_SECONDS}


def is_unsupported(error: OSError) -> bool:
    """Return whether the file system does not offer what it was asked for, rather than fails at it."""
    return error.errno in UNSUPPORTED


def try_lock(descriptor: int) -> bool:
    """Lock a file at once, until its descriptor is closed; False if another process holds it.

    Where there are no locks every lock is given.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if not is_unsupported(error) and error.errno != errno.ENOLCK:
            raise
    return True


def sync(descriptor: int) -> None:
    """Bring a file to the disk, if the file system can say when it is there."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_unsupported(error):
            raise


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder survive a power cut, if the file system can."""
    try:
        _sync_folder(folder)
    except OSError as error:
        if not is_unsupported(error) and error.errno not in CLOSED_FOLDERS:
            raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_path(path: Path, is_shared: bool = False) -> Iterator[Path]:
    """Write a file whole or not at all: yield a hidden name beside it, which is renamed when the block ends.

    Its ending is that of the file, since that tells some writers the format.

    Parameters
    ----------
    path
        The file to be; one of that name from before is untouched until then.
    is_shared
        Whether other processes may write the same file at the same time.

    Raises
    ------
    OSError
        If it cannot be synced or renamed; the hidden file is removed.
    """
    hidden = path.with_name(f".tmp.{f'{os.getpid()}.' if is_shared else ''}{path.name}")
    try:
        yield hidden
        with hidden.open("rb") as file:
            sync(file.fileno())
        hidden.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all; raises as `atomic_path` does."""
    with atomic_path(path) as hidden:
        hidden.write_text(text, encoding="utf-8")


def reserve(descriptor: int, size: int) -> None:
    """Make sure that a file can grow to `size` bytes, by writing zeros behind its end if need be.

    Raises
    ------
    OSError
        If it cannot.
    """
    try:
        os.posix_fallocate(descriptor, 0, size)
        return
    except AttributeError:  # not on macOS
        pass
    except OSError as error:
        if not is_unsupported(error):
            raise
    zeros = bytes(1 << 20)
    while (missing := size - os.fstat(descriptor).st_size) > 0:
        os.pwrite(descriptor, zeros[:missing], size - missing)


def missing_services(folder: Path, is_labelling: bool) -> str:
    """Say what the file system of a folder does not offer, and what that means; empty if nothing is missing.

    Parameters
    ----------
    folder
        A folder that can be written to.
    is_labelling
        Whether shards are to be written there, which takes locks and reserved space, too.
    """
    services: dict[str, Callable[[int], object]] = {
        "fsync: what was written last may be lost at a power cut": os.fsync,
        "fsync of folders: a new file may be lost at a power cut": lambda _: _sync_folder(folder),
    }
    if is_labelling:
        services |= {
            "flock: runs into the same folder are told apart by their heartbeats alone": lambda descriptor: (
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ),
            "posix_fallocate: space is reserved by writing zeros": lambda descriptor: os.posix_fallocate(
                descriptor, 0, 1
            ),
        }
    missing = []
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        for name, use in services.items():
            try:
                use(file.fileno())
            except AttributeError:
                missing.append(name)
            except OSError as error:
                if is_unsupported(error) or error.errno in (errno.ENOLCK, *CLOSED_FOLDERS):
                    missing.append(f"{name} ({reason_of(error)})")
    return f"note: the file system of {folder} does without {'; without '.join(missing)}" if missing else ""
