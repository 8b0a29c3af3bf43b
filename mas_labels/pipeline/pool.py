"""Does many tasks in parallel: worker processes of this machine, or a dask cluster.

If a worker dies, its task is done again, by another worker.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Final

import joblib
from joblib.externals.loky.backend import resource_tracker

from mas_labels.errors import ConfigError, MissingDependencyError, StorageError, WorkerError
from mas_labels.pipeline.task import AnyResult, AnyTask, Run, do_task
from mas_labels.plan.heartbeat import MAX_DEATHS, read_beats
from mas_labels.system.process import require_semaphores
from mas_labels.system.signals import end_with_parent, signals_blocked

if TYPE_CHECKING:
    from distributed import Client, Future, as_completed


MAX_FAILED_STARTS: Final = 3
"""Number of consecutive pools that may break before any task is started."""
CONNECT_SECONDS = 30.0
"""Longest time to wait for a dask scheduler."""
POLL_SECONDS: Final = 0.1
SCHEDULER_GONE: Final = "the dask scheduler is gone: start it, then run the same command again, which resumes"
NO_WORKERS_SECONDS = 600.0
"""Longest time that a dask cluster may be without workers."""


def do_tasks(todo: Sequence[AnyTask], run: Run[AnyTask, AnyResult], workers: int) -> Iterator[AnyResult]:
    """Do tasks in parallel; yield the results in the order in which the tasks are finished.

    Raises
    ------
    StorageError
        If the disk is full.
    WorkerError
        If workers die before they begin a task.
    ConfigError
        If the cluster cannot be reached, or this machine has no semaphores.
    """
    if run.scheduler is not None:
        return _on_cluster(todo, run, run.scheduler)
    if min(workers, len(todo)) <= 1:
        return (do_task(task, run) for task in todo)
    require_semaphores("give --workers 1")
    return _on_this_machine(todo, run, workers)


def _on_this_machine(
    todo: Sequence[AnyTask], run: Run[AnyTask, AnyResult], workers: int
) -> Iterator[AnyResult]:
    """Do the tasks with pools of processes; a pool of which one process dies is broken as a whole.

    It is not known which task killed its worker, so all tasks in progress are suspects: they are
    restarted together with the others and, if they were in progress when a second pool broke, one by one.
    """
    waiting = {task.name: task for task in todo}
    deaths = dict.fromkeys(waiting, 0)
    failed_starts = 0
    while waiting:
        together = [task for name, task in waiting.items() if deaths[name] < MAX_DEATHS - 1]
        batch = together or list(waiting.values())[:1]
        left = len(waiting)
        try:
            for result in _in_a_pool(batch, run, workers):
                del waiting[result.name]
                yield result
        except BrokenProcessPool:
            interrupted = {b.name: b.deaths + 1 for b in read_beats(run.out) if b.run == run.name}
            deaths.update(interrupted)
            failed_starts = 0 if interrupted or len(waiting) < left else failed_starts + 1
            _report_death(len(interrupted), failed_starts, run.unit)


def _in_a_pool(batch: Sequence[AnyTask], run: Run[AnyTask, AnyResult], workers: int) -> Iterator[AnyResult]:
    """Do tasks with one pool; raises `BrokenProcessPool` if a process dies."""
    calls = (joblib.delayed(do_task)(task, run) for task in batch)
    with signals_blocked():  # SIGHUP to the group would end loky's helper, with a traceback
        resource_tracker.ensure_running()
    jobs = max(2, min(workers, len(batch)))  # with 1, joblib would work in this process, which must not die
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        yield from joblib.Parallel(
            n_jobs=jobs,
            return_as="generator_unordered",
            batch_size=1,
            initializer=end_with_parent,  # before any work: a worker may never be given any
            initargs=(os.getpid(),),
        )(calls)


def _report_death(interrupted: int, failed_starts: int, unit: str) -> None:
    """Report that a worker died; raise if pools keep dying before they begin a task."""
    if failed_starts == MAX_FAILED_STARTS:
        raise WorkerError(
            f"worker processes die before they begin a {unit}, killed or out of memory; finished {unit}s are "
            "kept: run the same command again, with fewer --workers if memory is short"
        )
    print(
        f"a worker process died, killed or out of memory: {interrupted} {unit}s are restarted",
        file=sys.stderr,
    )


def _on_cluster(todo: Sequence[AnyTask], run: Run[AnyTask, AnyResult], scheduler: str) -> Iterator[AnyResult]:
    """Do the tasks on a running dask cluster, which begins the tasks of a lost worker again.

    Not through joblib's dask backend: that waits forever for a task that dask has given up on, since its
    callback is then never called, and leaves tasks on the cluster when a run is interrupted.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise MissingDependencyError("--scheduler needs dask: pip install 'mas-video[dask]'") from error
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(f"cannot reach a dask scheduler at {scheduler}: {error}") from error
    with client:
        futures = {client.submit(do_task, task, run, pure=False): task for task in todo}
        completed = as_completed(list(futures), loop=client.loop)
        try:
            while not completed.is_empty():
                _wait_for_result(client, completed, run.unit)
                future = next(completed)
                result = _result_of(future, futures.pop(future), run)
                future.release()  # or dask would do the task again if its worker were lost later
                yield result
        finally:
            client.cancel(list(futures))


def _wait_for_result(client: Client, completed: as_completed, unit: str) -> None:
    """Wait until a task is done; report when the cluster has no workers, and give up if that lasts."""
    idle_since: float | None = None
    while not completed.has_ready():
        time.sleep(POLL_SECONDS)
        if client.status != "running":
            raise WorkerError(SCHEDULER_GONE)
        if client.scheduler_info(n_workers=1)["workers"]:  # one will do: there may be very many
            idle_since = None
            continue
        if idle_since is None:
            idle_since = time.monotonic()
            print(
                f"the dask cluster has no workers: waiting for one, at most {NO_WORKERS_SECONDS:g} s",
                file=sys.stderr,
            )
        if time.monotonic() - idle_since > NO_WORKERS_SECONDS:
            raise WorkerError(
                f"the dask cluster had no workers for {NO_WORKERS_SECONDS:g} s: start some, then run "
                f"the same command again, which resumes; finished {unit}s are kept"
            )


def _result_of(future: Future, task: AnyTask, run: Run[AnyTask, AnyResult]) -> AnyResult:
    """Return the result of a task; raise if no more can be written, or if the scheduler is gone."""
    if future.status == "cancelled":
        raise WorkerError(SCHEDULER_GONE)
    error = future.exception() if future.status == "error" else None
    if isinstance(error, StorageError):
        raise error
    if error is not None:
        return run.give_up(task, f"{type(error).__name__}: {error}")
    return future.result()
