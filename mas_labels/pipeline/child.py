"""The supervised process: does jobs on one video after another; its supervisor may kill it at any time.

Decoders hang and crash on corrupt files, and nothing inside their own process can stop that. So this process
owns nothing: no lock, no file that is written to. It receives jobs and sends back results, such as clips; the
other end of the pipe is `mas_labels.pipeline.supervisor`.
"""

from __future__ import annotations

import contextlib
import socket
import time
import traceback
from dataclasses import dataclass
from typing import Final

import cv2
from threadpoolctl import threadpool_limits

from mas_labels.errors import MasError
from mas_labels.pipeline import flow_video, label_video  # noqa: F401 - jobs; no deadline runs yet
from mas_labels.pipeline.job import Job
from mas_labels.pipeline.message_pipe import MessagePipe, PeerGoneError
from mas_labels.system.linux import die_with_parent, keep_freed_memory
from mas_labels.system.streams import guard_streams
from mas_labels.version import versions

ALIVE_SECONDS: Final = 0.1
"""Time between two `Alive` messages."""


@dataclass(frozen=True)
class Ready:
    """The process has started; the versions that it works with."""

    versions: dict[str, str]


@dataclass(frozen=True)
class Alive:
    """Frames are being decoded."""


@dataclass(frozen=True)
class Done:
    """The video is done. `error` is None, one of our errors, or the traceback of any other."""

    error: MasError | str | None


def main(descriptor: int, parent: int) -> None:
    """Serve jobs until the other end of the pipe is closed.

    Parameters
    ----------
    descriptor
        File descriptor of this end of the pipe.
    parent
        Process id of the supervisor; this process ends with it.
    """
    die_with_parent(parent)
    guard_streams()
    pipe = MessagePipe(socket.socket(fileno=descriptor))
    cv2.setNumThreads(1)  # other workers need the other cores
    keep_freed_memory()
    with threadpool_limits(1), contextlib.suppress(PeerGoneError):
        pipe.send(Ready(versions()))
        while True:
            job = pipe.receive()
            assert isinstance(job, Job)
            _do_job(pipe, job)


def _do_job(pipe: MessagePipe, job: Job[object]) -> None:
    """Do one job: send its results, and `Done`."""
    last = time.monotonic()

    def send_alive() -> None:
        nonlocal last
        if time.monotonic() - last >= ALIVE_SECONDS:
            pipe.send(Alive())
            last = time.monotonic()

    error: MasError | str | None = None
    try:
        for result in job.run(send_alive):
            pipe.send(result)
    except MasError as ours:
        error = ours
    except PeerGoneError:
        raise
    except Exception:
        error = traceback.format_exc()
    pipe.send(Done(error))
