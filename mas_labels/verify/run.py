"""Whether shards are what was written, agree with themselves, and with their videos.

Each shard is read in another process: a file that was built to crash HDF5 becomes a line of the report.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mas_labels.errors import ShardError, UnavailableError, unavailable
from mas_labels.shards.digests import check_file_digest
from mas_labels.shards.reader import Shard
from mas_labels.shards.validation import UNTRUSTED
from mas_labels.system.process import require_semaphores
from mas_labels.system.signals import end_with_parent, signals_blocked
from mas_labels.verify.consistency import Problem, find_contradictions
from mas_labels.verify.options import Checks
from mas_labels.verify.recompute import find_differences, sample_clips

MAX_PROBLEMS = 20
"""After so many of one shard no more are looked for."""


@dataclass(frozen=True)
class ShardReport:
    """What was found out about one shard.

    Attributes
    ----------
    path
        The file.
    clips, recomputed
        Clips it holds, and how many of them were made again.
    problems
        What is wrong with it; empty for a sound shard.
    unavailable
        Why it, or a video it was to be compared with, could not be read now; None if all was read. Then
        nothing is known of what was not read.
    """

    path: Path
    clips: int
    recomputed: int
    problems: tuple[Problem, ...]
    unavailable: str | None = None

    @property
    def is_sound(self) -> bool | None:
        """True if all was read and nothing is wrong; None if nothing was found wrong in part of it."""
        if self.problems:
            return False
        return None if self.unavailable else True

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        problems = [{"column": p.column, "clip": p.clip, "message": p.message} for p in self.problems]
        return {
            "shard": str(self.path),
            "sound": self.is_sound,
            "unavailable": self.unavailable,
            "clips": self.clips,
            "recomputed": self.recomputed,
            "problems": problems,
        }


def verify_shard(path: Path, checks: Checks) -> ShardReport:
    """Check one shard in this process."""
    problems: list[Problem] = []
    clips, recomputed, trouble = 0, list[int](), None
    try:
        try:
            check_file_digest(path)
        except ShardError as error:
            problems.append(Problem("file", None, str(error)))
        with Shard(path) as shard:
            clips = len(shard)
            shard.verify_content()
            if checks.deep:
                problems.extend(_first(find_contradictions(shard)))
            if checks.recompute and checks.root is not None:
                recomputed = sample_clips(shard, checks.recompute, checks.seed)
                differences = find_differences(
                    shard, checks.root, recomputed, checks.timeout_seconds, checks.follow_links
                )
                problems.extend(_first(differences))
    except ShardError as error:
        problems.append(Problem("file", None, str(error)))
    except UnavailableError as error:
        trouble = str(error)
    except (OSError, MemoryError) as error:
        trouble = str(unavailable(path, error))
    return ShardReport(path, clips, len(recomputed), tuple(problems), trouble)


def _first(problems: Iterator[Problem]) -> Iterator[Problem]:
    return itertools.islice(problems, MAX_PROBLEMS)


def verify_shards(paths: Sequence[Path], checks: Checks, workers: int = 1) -> Iterator[ShardReport]:
    """Check shards, each in another process; yield their reports in order.

    Parameters
    ----------
    paths
        The shards.
    checks
        What to check.
    workers
        Processes.

    Raises
    ------
    ConfigError
        If processes cannot work together on this machine.
    """
    require_semaphores("verify on another machine")
    done = 0
    with _processes(min(workers, len(paths))) as pool:
        futures = [pool.submit(verify_shard, path, checks) for path in paths]
        try:
            for future in futures:
                yield future.result()
                done += 1
        except BrokenProcessPool:
            pass
        finally:
            pool.shutdown(cancel_futures=True)  # and wait: Python's exit can fail beside a pool that ends
    for path in paths[done:]:  # one of them crashed its process: each alone now, to see which
        yield _verify_alone(path, checks)


def _verify_alone(path: Path, checks: Checks) -> ShardReport:
    """Check one shard in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send_report, args=(theirs, path, checks, os.getpid()))
    process.start()
    theirs.close()
    try:
        report: ShardReport = ours.recv()
        return report
    except EOFError:
        pass
    finally:
        process.join()
        ours.close()
    if process.exitcode == -signal.SIGKILL:  # no file does that
        killed = f"{path}: the process that read it was killed, perhaps for want of memory"
        return ShardReport(path, 0, 0, (), killed)
    message = f"{path}: crashed the process that read it: {UNTRUSTED}"
    return ShardReport(path, 0, 0, (Problem("file", None, message),))


def _send_report(pipe: Connection, path: Path, checks: Checks, parent: int) -> None:
    _begin(parent)
    pipe.send(verify_shard(path, checks))


def _processes(workers: int) -> ProcessPoolExecutor:
    with signals_blocked():  # also the helper that multiprocessing starts here
        return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (os.getpid(),))


def _begin(parent: int) -> None:
    """In a worker: end with the parent, and use one thread, since others work beside us."""
    import cv2

    end_with_parent(parent)
    cv2.setNumThreads(1)
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV before 4.13 has it at its top
    logging.setLogLevel(0)  # silent
