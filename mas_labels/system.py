"""Services of the machine for both programs: standard streams, open files, locks, files written as a whole.

File systems differ in what they offer. What one does not offer is done without, and said once a run
(`missing_services`); what one fails at raises.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import multiprocessing
import os
import resource
import select
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from mas_labels.errors import ConfigError, IncompleteWarning, reason_of

ENOTSUPP: Final = 524
"""Linux's own number for what is not supported: some file systems let it out (Cray DVS, NFS)."""
UNSUPPORTED: Final = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, ENOTSUPP)
"""Answers of a file system that does not offer what it was asked for."""
CLOSED_FOLDERS: Final = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EBADF)
"""Answers of one that does not open folders, or not for syncing."""
LOG_SECONDS: Final = 10.0
"""Between two lines of progress where the output is no terminal."""
STREAMS: Final = {0: "stdin", 1: "stdout", 2: "stderr"}


def begin_process() -> None:
    """Prepare a process of a command: its standard streams cannot fail, and all files it may open it can.

    Warnings for its user are lines on stderr.
    """
    guard_streams()
    # told in `require_semaphores`, where it matters
    warnings.filterwarnings("ignore", "(?s).*joblib will operate in serial mode")
    warnings.showwarning = _show_warning
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


def guard_streams() -> None:
    """Let no standard stream end a run: what a closed, full or abandoned one cannot take is dropped.

    Streams that were replaced, by a test or a notebook, stay as they are.
    """
    for descriptor, name in STREAMS.items():
        try:
            os.fstat(descriptor)
        except OSError:  # closed: a file of ours must not get its number
            _to_null(descriptor)
        stream = getattr(sys, name)
        if name == "stdin":
            if stream is None:
                sys.stdin = open(descriptor, closefd=False)  # noqa: SIM115 - of the process
        elif stream is None or _is_unguarded(stream, descriptor):
            setattr(sys, name, _guarded(descriptor, stream))


def _is_unguarded(stream: io.TextIOBase, descriptor: int) -> bool:
    """Whether a stream is Python's own."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # PYTHONUNBUFFERED leaves the buffer out
    return type(raw) is io.FileIO and raw.fileno() == descriptor


def _guarded(descriptor: int, stream: io.TextIOWrapper | None) -> io.TextIOWrapper:
    """Return a stream that cannot fail, with the settings of Python's own."""
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(descriptor, "wb", closefd=False)),  # type: ignore[type-var]
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace" if stream is None or stream.errors == "strict" else stream.errors,
        line_buffering=descriptor == 2
        or (stream is not None and (stream.line_buffering or stream.write_through)),
    )


class _Output(io.FileIO):
    """A standard stream; it takes everything, and drops what cannot be written and all that follows."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        try:
            while (count := super().write(data)) is None:  # a pipe of another program that does not wait
                select.select([], [self], [])
            return count
        except OSError as error:
            _to_null(self.fileno())
            if self.fileno() == 1 and error.errno != errno.EPIPE:
                print(f"note: standard output is lost from here on ({reason_of(error)})", file=sys.stderr)
            return memoryview(data).nbytes


def _to_null(descriptor: int) -> None:
    """Let a standard stream lead nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    if null == descriptor:
        os.set_inheritable(null, True)
    else:
        os.dup2(null, descriptor)
        os.close(null)


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
    """Whether the file system does not offer what it was asked for, rather than fails at it."""
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
