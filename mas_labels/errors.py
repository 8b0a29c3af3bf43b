"""The tree of exceptions.

::

    MasError                        everything this project raises on purpose
    +-- ConfigError                 an option or a manifest is wrong: stops a run before it starts
    |   +-- OptionsDifferError      the folder holds shards or flow made with other options
    +-- DatasetError                the data set does not match its manifest, or is not where it should be
    +-- MissingDependencyError      an optional dependency is not installed; says which and how to get it
    +-- InputError                  an array has the wrong shape, dtype or values
    +-- VideoError                  one video cannot be used: becomes a row of failures, the run continues
    +-- StorageError                the disk is full or cannot be written
    +-- UnavailableError            a file cannot be read now: a problem of the machine, not of the file
    +-- WorkerError                 worker processes die repeatedly
    +-- FailureRateError            more videos failed than --max-failure-rate allows
    +-- ShardError                  a shard is corrupt, foreign or of another schema
    +-- CheckpointError             a checkpoint is corrupt, foreign or of another model
    +-- TrainingError               training cannot continue (a loss that is not finite, ...)

Every message says what was expected, what was found and what to do.
"""

from __future__ import annotations

import errno
import os
import re
from typing import Final


class MasError(Exception):
    """Base class of all errors that `mas_labels` and `mas_train` raise on purpose."""


class ConfigError(MasError):
    """An option, a manifest or an environment variable is wrong."""


class OptionsDifferError(ConfigError):
    """The output folder holds shards, or flow, made with other options."""


class DatasetError(MasError):
    """A data set does not match its manifest, or is not where it should be."""


class MissingDependencyError(MasError):
    """An optional dependency or the compiled extension is missing."""


class InputError(MasError, ValueError):
    """An array handed to a function has the wrong shape, dtype or values."""


class VideoError(MasError):
    """One video cannot be used.

    Parameters
    ----------
    stage
        The step that failed: ``"open"``, ``"decode"``, ``"clips"``, ``"flow"``, ``"labels"`` or ``"worker"``
        (the process that labelled it died, twice).
    code
        Short, stable name of the reason, such as ``"too_short"``.
    message
        The reason as a sentence.
    """

    def __init__(self, stage: str, code: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str, str]]:
        """Pickle all attributes: the default would lose `stage` and `code`."""
        return (type(self), (self.stage, self.code, self.message))


class StorageError(MasError):
    """The disk is full, or cannot be written."""


class UnavailableError(MasError):
    """A file cannot be read now: an I/O error, no permission, too many open files, too little memory.

    Nothing is known about the file itself, so no message calls it corrupt or advises to remove it.
    """


class WorkerError(MasError):
    """A worker process died or does not start: out of memory, or a crash in native code."""


class FailureRateError(MasError):
    """More videos failed than --max-failure-rate allows."""


class ShardError(MasError):
    """A shard is corrupt, foreign, or of a schema that this version does not read."""

    def __str__(self) -> str:
        """Return the message on one line, since it may quote what somebody put into the shard."""
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in super().__str__())


class IncompleteWarning(UserWarning):
    """A folder holds fewer shards than were planned for it."""


class CheckpointError(MasError):
    """A checkpoint is corrupt, foreign, or belongs to another model."""


class TrainingError(MasError):
    """Training cannot continue."""


CHECK_DISK: Final = "it may be sound: check the disk or the network, then try again"
REMEDIES: Final = {
    errno.EAGAIN: (
        "raise the limit of processes and threads (ulimit -u, a container's pids), end other programs, or "
        "give this one less to do at a time"
    ),
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
    errno.ENFILE: "the whole machine has too many open files: end some programs",
    errno.EACCES: "check the permissions of the file and of its folders",
    errno.EPERM: "check the permissions of the file and of its folders",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "expected a file: check the path",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room: the quota is used up",
    errno.EROFS: "write elsewhere",
    errno.ENOMEM: "end other programs, or give this one less to do at a time",
}
"""Remedies for a system call that failed, by its error; for all others `CHECK_DISK`."""
OUT_OF_RANGE: Final = (errno.EINVAL, errno.EOVERFLOW)
"""Errors of a reader that seeks to an impossible offset, as a corrupt file makes it do."""


def system_error(error: BaseException) -> int | None:
    """Return the `errno` behind an exception; None if no system call failed.

    HDF5 states that number only in the message, in exceptions of several classes.
    """
    number = _error_number(error)
    return None if number in OUT_OF_RANGE else number


def _error_number(error: BaseException) -> int | None:
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (match := re.search(r"\berrno = (\d+)", str(error))):
        number = int(match[1])
    return number


def reason_of(error: BaseException) -> str:
    """Return the system's text for the error of a failed system call, on one line."""
    number = _error_number(error)
    if number is not None:
        return os.strerror(number)
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def unavailable(path: str | os.PathLike[str] | None, error: BaseException) -> UnavailableError:
    """Return the error that says that a file cannot be read now, why, and what to do.

    With `path` None, the path is that of the exception.
    """
    number = system_error(error)
    remedy = REMEDIES.get(number or 0, CHECK_DISK)
    problem = "the machine refused" if path is None else f"{os.fsdecode(path)}: cannot be read now"
    if path is None and number not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):  # process-wide
        name = getattr(error, "filename", None)
        problem = f"{os.fsdecode(name)}: {problem}" if isinstance(name, str | bytes) else problem
    return UnavailableError(f"{problem} ({reason_of(error)}): {remedy}")


def storage_error(path: str | os.PathLike[str], error: BaseException, unit: str = "shard") -> StorageError:
    """Return the error that says that a shard, or another unit of a run, cannot be written, and why."""
    room = "make room, or " if _error_number(error) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
    return StorageError(
        f"cannot write {os.fspath(path)}: {reason_of(error)}. Finished {unit}s are kept: {room}choose "
        "another --out, and run again"
    )


def explain_import_error(error: ImportError) -> MissingDependencyError:
    """Return the error that says what to install when a dependency cannot be imported."""
    if (error.name or "").partition(".")[0] == "torch":
        problem = "is not installed" if isinstance(error, ModuleNotFoundError) else f"does not load ({error})"
        remedy = 'pip install "mas-video[train]"'
        return MissingDependencyError(f"training needs torch, which {problem}: {remedy}")
    lacks_library = "cannot open shared object file" in str(error)
    if lacks_library and error.name == "cv2":
        return MissingDependencyError(
            f"OpenCV needs a system library that this machine lacks ({error}): install it (Debian: apt "
            "install libgl1 libglib2.0-0), or take the OpenCV that needs no display: make install-headless, "
            "or pip uninstall opencv-contrib-python and pip install opencv-contrib-python-headless"
        )
    if lacks_library and error.path:
        return MissingDependencyError(f"{error}, needed by {error.path}: install that package again")
    return MissingDependencyError(f"{error}: install the project again")
