"""Runs of labels and of flow alike: a folder that is theirs alone, and the work through their tasks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from mas_labels.config import RunOptions
from mas_labels.errors import ConfigError, FailureRateError, reason_of
from mas_labels.pipeline.pool import do_tasks
from mas_labels.pipeline.progress import ProgressBar
from mas_labels.pipeline.supervisor import close_idle_processes
from mas_labels.pipeline.task import AnyResult, AnyTask, Run
from mas_labels.plan.file_names import lock_name
from mas_labels.plan.heartbeat import remove_leftovers
from mas_labels.system.files import lock_file, missing_services


@contextmanager
def exclusive_folder(out: Path, options: RunOptions, unit: str) -> Iterator[None]:
    """Create the folder if missing, lock out other runs of the same rank, remove leftovers of killed runs.

    `unit` is the word for what is written there: "shard".
    """
    lock = out / lock_name(options.rank, options.world_size)
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = lock_file(
            lock, f"another run is writing to {out}: let it finish, or choose another --out"
        )
    except OSError as error:
        raise ConfigError(
            f"cannot write {unit}s to {out}: {reason_of(error)}. Choose another --out"
        ) from error
    try:
        if missing := missing_services(out, is_labelling=True):
            print(missing, file=sys.stderr)
        if removed := remove_leftovers(out):
            print(f"removed {removed} unfinished {unit}s of a run that was killed", file=sys.stderr)
        yield
    finally:
        with suppress(OSError):  # they are obsolete, and the next run removes them
            remove_leftovers(out)
            lock.unlink(missing_ok=True)
        os.close(descriptor)


def work_through(
    todo: Sequence[AnyTask],
    run: Run[AnyTask, AnyResult],
    workers: int,
    results: dict[str, AnyResult],
    videos: int,
    max_failure_rate: float | None,
) -> None:
    """Do the tasks of a run, with a progress bar.

    Parameters
    ----------
    todo, run, workers
        See `mas_labels.pipeline.pool.do_tasks`.
    results
        Results of the tasks that were finished before, by name; those of the others are added, each as soon
        as it is done.
    videos
        Number of videos of all these tasks.
    max_failure_rate
        See `RunOptions`.

    Raises
    ------
    FailureRateError, StorageError, WorkerError
        See `mas_labels.pipeline.run.run`.
    """
    failures = sum(result.failures for result in results.values())
    _check_failure_rate(failures, videos, max_failure_rate)
    names = [task.name for task in todo]
    try:
        done = do_tasks(todo, run, workers)
        with (
            ProgressBar(run.out, videos, results.values(), names, run.noun) as bar,
            closing(done),  # type: ignore[type-var]
        ):
            for result in done:
                results[result.name] = result
                bar.add(result)
                failures += result.failures
                _check_failure_rate(failures, videos, max_failure_rate)
    finally:
        close_idle_processes()


def _check_failure_rate(failures: int, videos: int, most: float | None) -> None:
    """Raise if more videos have failed than may fail in the whole run."""
    if most is not None and failures > most * videos:
        raise FailureRateError(
            f"{failures} of {videos} videos failed, more than --max-failure-rate {most:g} allows"
        )
