"""Supervises a process that decodes videos: kills it on timeout, restarts it on a crash.

The other end of the pipe is `mas_labels.pipeline.child`. A worker keeps its process over many videos, since
starting one takes as long as labelling a few clips.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

from mas_labels.errors import VideoError, WorkerError, unavailable
from mas_labels.pipeline.child import Done, Ready
from mas_labels.pipeline.job import Job, Message
from mas_labels.pipeline.message_pipe import MessagePipe, PeerGoneError
from mas_labels.system.process import describe_end, one_thread_environment
from mas_labels.system.signals import signals_blocked

START_SECONDS: Final = 120.0
"""Longest time that a process may take to start: imports from a busy network file system."""
MAX_STARTS: Final = 3
"""Number of consecutive processes that may be killed before they are ready."""
END_SECONDS: Final = 2.0
"""Longest wait for a process that is about to end, perhaps writing its core dump."""


class VideoProcess:
    """A supervised process that does jobs, one at a time; it is replaced when it hangs or dies.

    Parameters
    ----------
    on_wait
        Called several times a second while waiting for the process; may raise to give up.

    Raises
    ------
    WorkerError
        If the process does not start.
    """

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        self.on_wait = on_wait
        self._start()

    def _start(self) -> None:
        """Start a process; again if it is killed before it is ready, as when memory is short."""
        for start in range(1, MAX_STARTS + 1):
            try:
                self._start_once()
                return
            except PeerGoneError as error:
                was_killed = (self._process.returncode or 0) < 0
                if start == MAX_STARTS or not was_killed:
                    raise WorkerError(
                        f"the process that decodes videos does not start ({self._describe_end()}): see its "
                        "output above"
                    ) from error
            except TimeoutError as error:
                raise WorkerError(
                    f"the process that decodes videos did not start within {START_SECONDS:g} s: is a disk "
                    "slow?"
                ) from error

    def _start_once(self) -> None:
        """Start a process and wait until it is ready; if it is not, it has ended."""
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise unavailable(None, error) from error
        self._pipe = MessagePipe(ours)
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from mas_labels.pipeline.child import main; "
            f"main({theirs.fileno()}, {os.getpid()})"
        )
        with theirs, signals_blocked():  # no signal ends it half started; later its parent decides
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-c", code],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env=one_thread_environment(),
                )
            except OSError as error:
                self._pipe.close()
                raise unavailable(None, error) from error
        try:
            ready = self._pipe.receive(START_SECONDS, self.on_wait)
        except PeerGoneError:
            self._describe_end()  # before it is killed here, which would be taken for its end
            self._kill()
            raise
        except BaseException:
            self._kill()
            raise
        assert isinstance(ready, Ready)
        self.versions = ready.versions

    def do(self, job: Job[Message], timeout_seconds: float) -> Iterator[Message]:
        """Do a job.

        Parameters
        ----------
        job
            The job.
        timeout_seconds
            Longest time without a decoded frame or a result.

        Yields
        ------
        Its results, in order.

        Raises
        ------
        VideoError
            If the video cannot be used; `decode/timeout` if its decoder hangs; `worker/died` if the process
            died, and died again when the rest was tried once more. Results until then have been yielded.
        WorkerError
            If the job fails for a reason other than the video.
        """
        deaths = 0
        while True:
            try:
                for message in self._do_once(job, timeout_seconds):
                    job = job.after(message)
                    yield message
                return
            except TimeoutError:
                text = (
                    f"no frame decoded and no {job.unit} finished in {timeout_seconds:g} s, after {job.done} "
                    f"{job.unit}s"
                )
                raise VideoError("decode", "timeout", text) from None
            except PeerGoneError:
                ending = self._describe_end()
                self._kill()  # it may have closed its end only
                deaths += 1
                if deaths == 2:
                    text = f"the process that {job.did} died twice, {ending}, after {job.done} {job.unit}s"
                    raise VideoError("worker", "died", text) from None
                print(f"{job.doing} {str(job.path)!r} died ({ending}): trying it once more", file=sys.stderr)

    def _do_once(self, job: Job[Message], timeout_seconds: float) -> Iterator[Message]:
        """Send a job and yield its results; kill the process if the job is abandoned half-way."""
        message: object = None
        try:
            if self._process.poll() is not None:  # it ended since the last video: this one is not to blame
                self._pipe.close()
                self._start()
            self._pipe.send(job)
            while not isinstance(message := self._pipe.receive(timeout_seconds, self.on_wait), Done):
                if isinstance(message, job.results):
                    yield cast(Message, message)
                self.on_wait()  # also while frames keep coming
        except PeerGoneError:
            raise
        except BaseException:  # nobody reads the other results: the next video gets a new process
            self._kill()
            raise
        if isinstance(message.error, str):
            raise WorkerError(f"{job.path}: {message.error}")
        if message.error is not None:
            raise message.error

    def _kill(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._describe_end()

    def _describe_end(self) -> str:
        """Wait until the process has ended, and describe how it did."""
        # a process that waits for a dead disk cannot even be killed: it is left alone
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        status = self._process.returncode
        if status is None:
            return "it does not end"
        return describe_end(status)

    def close(self) -> None:
        """End the process."""
        self._kill()


_idle: list[VideoProcess] = []
"""Idle processes of this worker: one for each thread that works."""


@contextmanager
def borrowed_process(on_wait: Callable[[], None]) -> Iterator[VideoProcess]:
    """Yield a process to the block, an idle one if there is one; keep it for the next block."""
    process = _idle.pop() if _idle else VideoProcess(on_wait)
    process.on_wait = on_wait
    try:
        yield process
    finally:
        _idle.append(process)


@atexit.register
def close_idle_processes() -> None:
    """End the idle processes; at the latest when this process exits."""
    while _idle:
        _idle.pop().close()
