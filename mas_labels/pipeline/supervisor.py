"""Supervises the labelling process: kills it on timeout, restarts it on a crash.

The other end of the pipe is `mas_labels.pipeline.child`. A worker keeps its process over many videos, since
starting one takes as long as labelling a few clips.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mas_labels.config import LabelConfig
from mas_labels.errors import VideoError, WorkerError, unavailable
from mas_labels.pipeline.child import Done, LabelJob, Ready
from mas_labels.pipeline.label_video import ALL_CLIP_NUMBERS, LabelledClip
from mas_labels.pipeline.message_pipe import MessagePipe, PeerGoneError
from mas_labels.system.signals import signals_blocked
from mas_labels.video.reader import VideoFacts

START_SECONDS: Final = 120.0
"""Longest time that a process may take to start: imports from a busy network file system."""
END_SECONDS: Final = 2.0
"""Longest wait for a process that is about to end, perhaps writing its core dump."""


class Labeller:
    """A supervised process that labels videos, one at a time; it is replaced when it hangs or dies.

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
        ours, theirs = socket.socketpair()
        self._pipe = MessagePipe(ours)
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from mas_labels.pipeline.child import main; "
            f"main({theirs.fileno()}, {os.getpid()})"
        )
        with theirs, signals_blocked():  # no signal ends it half started; later its parent decides
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-c", code], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
                )
            except OSError as error:
                self._pipe.close()
                raise unavailable(None, error) from error
        try:
            ready = self._pipe.receive(START_SECONDS, self.on_wait)
        except PeerGoneError as error:
            ending = self._describe_end()
            self._kill()
            raise WorkerError(
                f"the process that labels videos does not start ({ending}): see its output above"
            ) from error
        except TimeoutError as error:
            self._kill()
            raise WorkerError(
                f"the process that labels videos did not start within {START_SECONDS:g} s: is a disk slow?"
            ) from error
        except BaseException:
            self._kill()
            raise
        assert isinstance(ready, Ready)
        self.versions = ready.versions

    def label(
        self,
        path: Path,
        config: LabelConfig,
        timeout_seconds: float,
        clip_numbers: Sequence[int] = ALL_CLIP_NUMBERS,
    ) -> Iterator[LabelledClip | VideoFacts]:
        """Label a video's clips.

        Parameters
        ----------
        path
            The video.
        config
            All options.
        timeout_seconds
            Longest time without a decoded frame or a finished clip.
        clip_numbers
            Numbers of the clips to label, ascending. Others are only decoded; decoding ends after the last.

        Yields
        ------
        The clips, in order, then the facts of the file unless the process died.

        Raises
        ------
        VideoError
            If the video cannot be used; `decode/timeout` if its decoder hangs; `worker/died` if the process
            died, and died again when the video was tried once more. Clips until then have been yielded.
        WorkerError
            If labelling fails for a reason other than the video.
        """
        clips, deaths = 0, 0
        while True:
            job = LabelJob(path, config, clip_numbers[clips:])
            try:
                for item in self._run_job(job, timeout_seconds):
                    clips += isinstance(item, LabelledClip)
                    yield item
                return
            except TimeoutError:
                message = (
                    f"no frame decoded and no clip finished in {timeout_seconds:g} s, after {clips} clips"
                )
                raise VideoError("decode", "timeout", message) from None
            except PeerGoneError:
                ending = self._describe_end()
                self._kill()  # it may have closed its end only
                deaths += 1
                if deaths == 2:
                    message = f"the process that labelled it died twice, {ending}, after {clips} clips"
                    raise VideoError("worker", "died", message) from None
                print(f"labelling {str(path)!r} died ({ending}): trying it once more", file=sys.stderr)

    def _run_job(self, job: LabelJob, timeout_seconds: float) -> Iterator[LabelledClip | VideoFacts]:
        """Send a job and yield its results; kill the process if the job is abandoned half-way."""
        message: object = None
        try:
            if self._process.poll() is not None:  # it ended since the last video: this one is not to blame
                self._pipe.close()
                self._start()
            self._pipe.send(job)
            while not isinstance(message := self._pipe.receive(timeout_seconds, self.on_wait), Done):
                if isinstance(message, LabelledClip | VideoFacts):
                    yield message
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
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def close(self) -> None:
        """End the process."""
        self._kill()


_idle: list[Labeller] = []
"""Idle processes of this worker: one for each thread that labels."""


@contextmanager
def borrowed_labeller(on_wait: Callable[[], None]) -> Iterator[Labeller]:
    """Yield a labeller to the block, an idle one if there is one; keep it for the next block."""
    labeller = _idle.pop() if _idle else Labeller(on_wait)
    labeller.on_wait = on_wait
    try:
        yield labeller
    finally:
        _idle.append(labeller)


@atexit.register
def close_idle_labellers() -> None:
    """End the idle processes; at the latest when this process exits."""
    while _idle:
        _idle.pop().close()
