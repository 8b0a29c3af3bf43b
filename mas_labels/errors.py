"""The tree of exceptions.

::

    MasError                        everything this project raises on purpose
    +-- ConfigError                 an option or a manifest is wrong: stops a run before it starts
    |   +-- OptionsDifferError      the folder holds shards made with other options
    +-- DatasetError                the data set is not where or what the manifest says
    +-- MissingDependencyError      an optional part is not installed; says which and how to get it
    +-- InputError                  an array has the wrong shape, dtype or values
    +-- VideoError                  one video cannot be used: becomes a row of failures, the run goes on
    +-- StorageError                the disk is full or refuses to be written
    +-- UnavailableError            a file cannot be read now: the machine's trouble, not damage
    +-- WorkerError                 worker processes died, and went on dying
    +-- FailureRateError            more videos failed than the run was told to bear
    +-- ShardError                  a shard is damaged, foreign or of another schema
    +-- CheckpointError             a checkpoint is damaged, foreign or of another model
    +-- TrainingError               training cannot go on (a loss that is not finite, ...)

Every message says what was expected, what was found and what to do.
"""

from __future__ import annotations

import errno
import os
import re
from typing import Final


class MasError(Exception):
    """Root of all errors raised on purpose by `mas_labels` and `mas_train`."""


class ConfigError(MasError):
    """An option, a manifest or an environment variable is wrong."""


class OptionsDifferError(ConfigError):
    """The output folder holds shards that were made with other options."""


class DatasetError(MasError):
    """A data set is not where, or not what, its manifest says."""


class MissingDependencyError(MasError):
    """An optional dependency or the compiled extension is missing."""


class InputError(MasError, ValueError):
    """An array handed to a function has the wrong shape, dtype or values."""


class VideoError(MasError):
    """One video cannot be used.

    Parameters
    ----------
    stage
        Where it went wrong: ``"open"``, ``"decode"``, ``"clips"``, ``"labels"`` or ``"worker"`` (the process
        that labelled it died, twice).
    code
        A short, stable name of the reason, such as ``"too_short"``.
    message
        A sentence for a person.
    """

    def __init__(self, stage: str, code: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str, str]]:
        """Travel between processes whole: the default would lose `stage` and `code`."""
        return (type(self), (self.stage, self.code, self.message))


class StorageError(MasError):
    """The disk is full, or refuses to be written."""


class UnavailableError(MasError):
    """A file cannot be read now: an I/O error, no permission, too many open files, too little memory.

    Nothing is known about the file itself, so it is neither called damaged nor to be removed.
    """


class WorkerError(MasError):
    """A process that labels or writes died or does not start: out of memory, or a crash in native code."""


class FailureRateError(MasError):
    """More videos failed than the run was told to bear."""


class ShardError(MasError):
    """A shard is damaged, foreign, or of a schema this version does not read."""


class IncompleteWarning(UserWarning):
    """A folder holds fewer shards than it was planned to hold."""


class CheckpointError(MasError):
    """A checkpoint is damaged, foreign, or belongs to another model."""


class TrainingError(MasError):
    """Training cannot go on."""


CHECK_DISK: Final = "it may be sound: check the disk or the network, then try again"
REMEDIES: Final = {
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
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
"""Errors of a reader that a corrupt file makes ask for an offset that cannot be."""


def system_error(error: BaseException) -> int | None:
    """Return the number of the system's error behind an exception; None if it is not the machine's.

    HDF5 names that number in its message only, in exceptions of several classes.
    """
    number = _error_number(error)
    return None if number in OUT_OF_RANGE else number


def _error_number(error: BaseException) -> int | None:
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := re.search(r"\berrno = (\d+)", str(error))):
        number = int(found[1])
    return number


def reason_of(error: BaseException) -> str:
    """Return why a system call failed, in the system's words, on one line."""
    number = _error_number(error)
    if number is not None:
        return os.strerror(number)
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def unavailable(path: str | os.PathLike[str] | None, error: BaseException) -> UnavailableError:
    """Say that a file cannot be read now, why, and what to do; `path` None takes the exception's own."""
    number = system_error(error)
    remedy = REMEDIES.get(number or 0, CHECK_DISK)
    found = "the machine refused" if path is None else f"{os.fsdecode(path)}: cannot be read now"
    if path is None and number not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):  # else no file is to blame
        name = getattr(error, "filename", None)
        found = f"{os.fsdecode(name)}: {found}" if isinstance(name, str | bytes) else found
    return UnavailableError(f"{found} ({reason_of(error)}): {remedy}")


def storage_error(path: str | os.PathLike[str], error: BaseException) -> StorageError:
    """Say that a shard cannot be written, and why."""
    room = "make room, or " if _error_number(error) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
    return StorageError(
        f"cannot write {os.fspath(path)}: {reason_of(error)}. Finished shards are kept: {room}choose another "
        "--out, and run again"
    )


def explain_import_error(error: ImportError) -> MissingDependencyError:
    """Say what to install when a dependency does not load."""
    if (error.name or "").partition(".")[0] == "torch":
        found = "is not installed" if isinstance(error, ModuleNotFoundError) else f"does not load ({error})"
        return MissingDependencyError(f'training needs torch, which {found}: pip install "mas-video[train]"')
    if "cannot open shared object file" in str(error):
        return MissingDependencyError(
            f"OpenCV needs a system library that this machine lacks ({error}): install it (Debian: apt "
            "install libgl1 libglib2.0-0), or take the OpenCV that needs no display: make install-headless, "
            "or pip uninstall opencv-contrib-python and pip install opencv-contrib-python-headless"
        )
    return MissingDependencyError(f"{error}: install the project again")
