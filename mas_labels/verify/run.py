"""Verifies shards: unchanged since they were written, consistent, and reproducible from their videos.

Each shard is read in another process, so that a file which crashes HDF5 becomes a line of the report.
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
from typing import Any, Final

from mas_labels.errors import ShardError, UnavailableError, unavailable
from mas_labels.shards.digests import check_file_digest
from mas_labels.shards.reader import Shard
from mas_labels.shards.validation import UNTRUSTED
from mas_labels.system.process import require_semaphores
from mas_labels.system.signals import end_with_parent, signals_blocked
from mas_labels.verify.consistency import Problem, find_contradictions
from mas_labels.verify.options import Checks
from mas_labels.verify.recompute import find_differences, sample_clips

MAX_PROBLEMS: Final = 20
"""Maximum number of problems that each check reports per shard."""


@dataclass(frozen=True)
class ShardReport:
    """Result of the checks of one shard.

    Attributes
    ----------
    path
        The file.
    clips, recomputed
        Number of its clips, and of those that were labelled again.
    problems
        Its problems; empty for a sound shard.
    unavailable
        Why the shard, or a video to compare it with, could not be read now; None if all was read. Nothing is
        known about the part that was not read.
    """

    path: Path
    clips: int
    recomputed: int
    problems: tuple[Problem, ...]
    unavailable: str | None = None

    @property
    def is_sound(self) -> bool | None:
        """True if all was read without a problem; None if no problem was found, but some was not read."""
        if self.problems:
            return False
        return None if self.unavailable else True

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON."""
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
    """Check one shard in the current process."""
    problems: list[Problem] = []
    clips, labelled, unavailable_reason = 0, list[int](), None
    try:
        try:
            check_file_digest(path)
        except ShardError as error:
            problems.append(Problem("file", None, str(error)))
        with Shard(path) as shard:
            clips = len(shard)
            shard.verify_content()
            if checks.deep:
                problems.extend(_first_problems(find_contradictions(shard)))
            if checks.recompute and checks.root is not None:
                sample = sample_clips(shard, checks.recompute, checks.seed)
                differences = find_differences(
                    *(shard, checks.root, sample, checks.video_timeout_seconds, checks.follow_links),
                    *(checks.flow_from, labelled),
                )
                problems.extend(_first_problems(differences))
    except ShardError as error:
        problems.append(Problem("file", None, str(error)))
    except UnavailableError as error:
        unavailable_reason = str(error)
    except (OSError, MemoryError) as error:
        unavailable_reason = str(unavailable(path, error))
    return ShardReport(path, clips, len(labelled), tuple(problems), unavailable_reason)


def _first_problems(problems: Iterator[Problem]) -> Iterator[Problem]:
    return itertools.islice(problems, MAX_PROBLEMS)


def verify_shards(paths: Sequence[Path], checks: Checks, workers: int = 1) -> Iterator[ShardReport]:
    """Check shards, `workers` of them at a time in processes; yield their reports in order.

    Raises
    ------
    ConfigError
        If the machine has no semaphores, which a pool of processes needs.
    """
    require_semaphores("verify on another machine")
    done = 0
    with _start_pool(min(workers, len(paths))) as pool:
        futures = [pool.submit(verify_shard, path, checks) for path in paths]
        try:
            for future in futures:
                yield future.result()
                done += 1
        except BrokenProcessPool:
            pass
        finally:
            pool.shutdown(cancel_futures=True)  # and wait: Python can fail to exit while a pool ends
    for path in paths[done:]:  # one of them crashed its process: now each alone, to find out which
        yield _verify_alone(path, checks)


def _verify_alone(path: Path, checks: Checks) -> ShardReport:
    """Check one shard in its own process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_report, args=(sender, path, checks, os.getpid()))
    process.start()
    sender.close()
    try:
        report: ShardReport = receiver.recv()
        return report
    except EOFError:
        pass
    finally:
        process.join()
        receiver.close()
    if process.exitcode == -signal.SIGKILL:  # not because of the file
        reason = f"{path}: the process that read it was killed, perhaps for lack of memory"
        return ShardReport(path, 0, 0, (), reason)
    message = f"{path}: crashed the process that read it: {UNTRUSTED}"
    return ShardReport(path, 0, 0, (Problem("file", None, message),))


def _send_report(pipe: Connection, path: Path, checks: Checks, parent: int) -> None:
    """Check a shard and send the report: main function of a process of `_verify_alone`."""
    _begin_worker(parent)
    pipe.send(verify_shard(path, checks))


def _start_pool(workers: int) -> ProcessPoolExecutor:
    with signals_blocked():  # also in the helper process that multiprocessing starts here
        return ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _begin_worker, (os.getpid(),)
        )


def _begin_worker(parent: int) -> None:
    """Set up a worker: it ends with its parent, and uses one thread, since there are other workers."""
    import cv2

    end_with_parent(parent)
    cv2.setNumThreads(1)
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV before 4.13 has it at the top level
    logging.setLogLevel(0)  # silent
