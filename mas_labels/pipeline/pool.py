"""Many shards at once: processes of this machine, or a dask cluster; what happens when one of them dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

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


MAX_FAILED_STARTS = 3
"""Pools in a row that may break before a shard was even begun."""
CONNECT_SECONDS = 30.0
LOOK_SECONDS = 0.1
SCHEDULER_GONE = "the dask scheduler is gone: start it, then the same command goes on from there"
NO_WORKERS_SECONDS = 600.0
"""How long a dask cluster may be without workers before a run gives up."""


def make_shards(todo: Sequence[ShardPlan], run: RunContext, workers: int) -> Iterator[ShardResult]:
    """Make shards in parallel; yield each result as it comes, in no order.

    Raises
    ------
    StorageError
        If the disk is full.
    WorkerError
        If workers die before they begin.
    ConfigError
        If the cluster cannot be reached, or processes of this machine cannot work together.
    """
    if run.options.scheduler is not None:
        return _on_cluster(todo, run, run.options.scheduler)
    if min(workers, len(todo)) <= 1:
        return (make_shard(plan, run) for plan in todo)
    require_semaphores("give --workers 1")
    return _on_this_machine(todo, run, workers)


def _on_this_machine(todo: Sequence[ShardPlan], run: RunContext, workers: int) -> Iterator[ShardResult]:
    """Work through the shards with pools of processes: a pool of which one dies is broken as a whole.

    Who is to blame is not known, so all shards that were begun are suspects: they are begun again with the
    others, and, if they were begun when a second pool broke, one by one.
    """
    waiting = {plan.name: plan for plan in todo}
    deaths = dict.fromkeys(waiting, 0)
    fruitless = 0
    while waiting:
        together = [plan for name, plan in waiting.items() if deaths[name] < MAX_DEATHS - 1]
        batch = together or list(waiting.values())[:1]
        left = len(waiting)
        try:
            for result in _in_a_pool(batch, run, workers):
                del waiting[result.name]
                yield result
        except BrokenProcessPool:
            begun = {b.name: b.deaths + 1 for b in read_beats(run.out) if b.run == run.name}
            deaths.update(begun)
            fruitless = 0 if begun or len(waiting) < left else fruitless + 1
            _tell_of_death(len(begun), fruitless)


def _in_a_pool(batch: Sequence[ShardPlan], run: RunContext, workers: int) -> Iterator[ShardResult]:
    tasks = (joblib.delayed(make_shard)(plan, run) for plan in batch)
    with signals_blocked():  # loky's own helper would die of SIGHUP to the group, and say so at length
        resource_tracker.ensure_running()
    jobs = max(2, min(workers, len(batch)))  # with 1, joblib would work in this process, which must not die
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        yield from joblib.Parallel(
            n_jobs=jobs,
            return_as="generator_unordered",
            batch_size=1,
            initializer=end_with_parent,  # before any work: a worker may never get some
            initargs=(os.getpid(),),
        )(tasks)


def _tell_of_death(begun: int, fruitless: int) -> None:
    if fruitless == MAX_FAILED_STARTS:
        raise WorkerError(
            "worker processes die before they begin a shard, killed or out of memory; finished shards are "
            "kept: run the same command again, with fewer --workers if memory is short"
        )
    print(f"a worker process died, killed or out of memory: {begun} shards are begun again", file=sys.stderr)


def _on_cluster(todo: Sequence[ShardPlan], run: RunContext, scheduler: str) -> Iterator[ShardResult]:
    """Work through the shards on a running dask cluster, which begins the shards of a lost worker again.

    Not through joblib's dask backend: that waits for ever for a task which dask gave up, since its callback
    is never called then, and leaves tasks on the cluster when a run is interrupted.
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
                _wait_for_one(client, completed)
                future = next(completed)
                yield _result_of(future, futures.pop(future))
        finally:
            client.cancel(list(futures))


def _wait_for_one(client: Client, completed: as_completed) -> None:
    """Wait until a shard is done; say when the cluster has no workers, and give up if it stays so."""
    alone_since: float | None = None
    while not completed.has_ready():
        time.sleep(LOOK_SECONDS)
        if client.status != "running":
            raise WorkerError(
                "the dask scheduler is gone: start it, then the same command goes on from there"
            )
        if client.scheduler_info()["workers"]:
            alone_since = None
            continue
        if alone_since is None:
            alone_since = time.monotonic()
            print(
                f"the dask cluster has no workers: waiting for one, at most {NO_WORKERS_SECONDS:g} s",
                file=sys.stderr,
            )
        if time.monotonic() - alone_since > NO_WORKERS_SECONDS:
            raise WorkerError(
                f"the dask cluster had no workers for {NO_WORKERS_SECONDS:g} s: start some, then the same "
                "command goes on from there; finished shards are kept"
            )


def _result_of(future: Future, plan: ShardPlan) -> ShardResult:
    """Return what became of a shard; raise if nothing more can be written."""
    if future.status == "cancelled":
        raise WorkerError(SCHEDULER_GONE)
    failed = future.exception() if future.status == "error" else None
    if isinstance(failed, StorageError):
        raise failed
    if failed is not None:
        return ShardResult(plan.name, len(plan.videos), error=f"{type(failed).__name__}: {failed}")
    return future.result()
