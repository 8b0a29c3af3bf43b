"""Makes many shards in parallel: worker processes of this machine, or a dask cluster.

If a worker dies, its shard is made again, by another worker.
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
from mas_labels.pipeline.make_shard import RunContext, make_shard
from mas_labels.pipeline.resume import ShardResult
from mas_labels.plan.heartbeat import MAX_DEATHS, read_beats
from mas_labels.plan.plan import ShardPlan
from mas_labels.system.process import require_semaphores
from mas_labels.system.signals import end_with_parent, signals_blocked

if TYPE_CHECKING:
    from distributed import Client, Future, as_completed


MAX_FAILED_STARTS: Final = 3
"""Number of consecutive pools that may break before any shard is started."""
CONNECT_SECONDS = 30.0
"""Longest time to wait for a dask scheduler."""
POLL_SECONDS: Final = 0.1
SCHEDULER_GONE: Final = "the dask scheduler is gone: start it, then run the same command again, which resumes"
NO_WORKERS_SECONDS = 600.0
"""Longest time that a dask cluster may be without workers."""


def make_shards(todo: Sequence[ShardPlan], run: RunContext, workers: int) -> Iterator[ShardResult]:
    """Make shards in parallel; yield the results in the order in which the shards are finished.

    Raises
    ------
    StorageError
        If the disk is full.
    WorkerError
        If workers die before they begin a shard.
    ConfigError
        If the cluster cannot be reached, or this machine has no semaphores.
    """
    if run.options.scheduler is not None:
        return _on_cluster(todo, run, run.options.scheduler)
    if min(workers, len(todo)) <= 1:
        return (make_shard(plan, run) for plan in todo)
    require_semaphores("give --workers 1")
    return _on_this_machine(todo, run, workers)


def _on_this_machine(todo: Sequence[ShardPlan], run: RunContext, workers: int) -> Iterator[ShardResult]:
    """Make the shards with pools of processes; a pool of which one process dies is broken as a whole.

    It is not known which shard killed its worker, so all shards in progress are suspects: they are
    restarted together with the others and, if they were in progress when a second pool broke, one by one.
    """
    waiting = {plan.name: plan for plan in todo}
    deaths = dict.fromkeys(waiting, 0)
    failed_starts = 0
    while waiting:
        together = [plan for name, plan in waiting.items() if deaths[name] < MAX_DEATHS - 1]
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
            _report_death(len(interrupted), failed_starts)


def _in_a_pool(batch: Sequence[ShardPlan], run: RunContext, workers: int) -> Iterator[ShardResult]:
    """Make shards with one pool; raises `BrokenProcessPool` if a process dies."""
    tasks = (joblib.delayed(make_shard)(plan, run) for plan in batch)
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
        )(tasks)


def _report_death(interrupted: int, failed_starts: int) -> None:
    """Report that a worker died; raise if pools keep dying before they begin a shard."""
    if failed_starts == MAX_FAILED_STARTS:
        raise WorkerError(
            "worker processes die before they begin a shard, killed or out of memory; finished shards are "
            "kept: run the same command again, with fewer --workers if memory is short"
        )
    print(
        f"a worker process died, killed or out of memory: {interrupted} shards are restarted", file=sys.stderr
    )


def _on_cluster(todo: Sequence[ShardPlan], run: RunContext, scheduler: str) -> Iterator[ShardResult]:
    """Make the shards on a running dask cluster, which begins the shards of a lost worker again.

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
        futures = {client.submit(make_shard, plan, run, pure=False): plan for plan in todo}
        completed = as_completed(list(futures), loop=client.loop)
        try:
            while not completed.is_empty():
                _wait_for_result(client, completed)
                future = next(completed)
                yield _result_of(future, futures.pop(future))
        finally:
            client.cancel(list(futures))


def _wait_for_result(client: Client, completed: as_completed) -> None:
    """Wait until a shard is done; report when the cluster has no workers, and give up if that lasts."""
    idle_since: float | None = None
    while not completed.has_ready():
        time.sleep(POLL_SECONDS)
        if client.status != "running":
            raise WorkerError(SCHEDULER_GONE)
        if client.scheduler_info()["workers"]:
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
                "the same command again, which resumes; finished shards are kept"
            )


def _result_of(future: Future, plan: ShardPlan) -> ShardResult:
    """Return the result of a shard; raise if no more can be written, or if the scheduler is gone."""
    if future.status == "cancelled":
        raise WorkerError(SCHEDULER_GONE)
    error = future.exception() if future.status == "error" else None
    if isinstance(error, StorageError):
        raise error
    if error is not None:
        return ShardResult(plan.name, len(plan.videos), error=f"{type(error).__name__}: {error}")
    return future.result()
