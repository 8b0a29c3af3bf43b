"""One task of a run, such as a shard or the flow of a video: claimed by its heartbeat, then done."""

from __future__ import annotations

import errno
import traceback
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Generic, Protocol, TypeVar

from mas_labels.errors import ConfigError, MasError, StorageError, storage_error, system_error, unavailable
from mas_labels.plan.heartbeat import Heartbeat
from mas_labels.system.signals import signals_deferred

PROCESS_ERRORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
"""Errors of a worker that lacks resources: others may still work."""


class Task(Protocol):
    """A unit of work and of resuming."""

    @property
    def name(self) -> str:
        """File name of what it makes, or another name that is unique in its folder."""

    @property
    def planned(self) -> int:
        """Number of videos that it consists of."""


class TaskResult(Protocol):
    """Outcome of a task."""

    @property
    def name(self) -> str:
        """Name of the task."""

    @property
    def planned(self) -> int:
        """Number of its videos, usable or not."""

    @property
    def clips(self) -> int:
        """Number of clips, or of pairs of frames, that were made of them."""

    @property
    def failures(self) -> int:
        """Number of videos that could not be used."""


AnyTask = TypeVar("AnyTask", bound=Task)
AnyResult = TypeVar("AnyResult", bound=TaskResult)


@dataclass(frozen=True)
class Run(ABC, Generic[AnyTask, AnyResult]):
    """Settings that all tasks of a run share; small, since they are sent to the workers with each task.

    Attributes
    ----------
    name
        Name of the run, for its heartbeats.
    out
        Folder of the heartbeats and of what the tasks make, absolute.
    versions
        Versions of this package and its dependencies where the run was started; workers elsewhere must have
        the same.
    """

    name: str
    out: Path
    versions: dict[str, str]
    unit: ClassVar[str]
    """Word for a task in messages: "shard"."""
    noun: ClassVar[str]
    """Word for what is counted: "clips"."""

    @property
    def scheduler(self) -> str | None:
        """Address of the dask scheduler whose workers do the tasks; None: processes of this machine."""
        return None

    @abstractmethod
    def do(self, task: AnyTask, beat: Heartbeat) -> AnyResult:
        """Do a task that was claimed; a `MasError` that it raises concerns this task alone."""

    @abstractmethod
    def give_up(self, task: AnyTask, error: str) -> AnyResult:
        """Return the result of a task that was not done."""

    def check_versions(self, found: dict[str, str]) -> None:
        """Raise `ConfigError` unless a worker has the versions of the run."""
        if found != self.versions:
            raise ConfigError(
                f"this worker has {found}, the run was started with {self.versions}: install "
                "the same versions everywhere"
            )


def do_task(task: AnyTask, run: Run[AnyTask, AnyResult]) -> AnyResult:
    """Claim a task and do it.

    An error that concerns this task alone is part of the result, so that the others are still done.

    Raises
    ------
    StorageError
        If nothing more can be written: no other task could be done either.
    """
    try:
        if not run.out.is_dir():
            raise ConfigError(f"this worker does not see the folder {run.out}: share it with all machines")
        with signals_deferred(), Heartbeat(run.out, task.name, task.planned, run.name) as beat:
            return run.do(task, beat)
    except StorageError:
        raise
    except MasError as error:
        return run.give_up(task, str(error))
    except Exception as error:
        number = system_error(error)
        if number in PROCESS_ERRORS:
            return run.give_up(task, str(unavailable(None, error)))
        if number is not None:  # errors of reading are reported as unavailable
            raise storage_error(run.out / task.name, error, run.unit) from error
        return run.give_up(task, traceback.format_exc())
