"""The process in which videos are decoded and labelled; `mas_labels.pipeline.supervisor` may kill it.

Decoders hang and crash on broken files, and nothing inside their own process can stop that. So this process
owns nothing: no lock, no file that is written to. It is asked to label a video and hands back its clips.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from threadpoolctl import threadpool_limits

from mas_labels.config import LabelConfig
from mas_labels.errors import MasError
from mas_labels.pipeline.label_video import label_video
from mas_labels.pipeline.message_pipe import MessagePipe, PeerGoneError
from mas_labels.system.process import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, set_malloc_options
from mas_labels.system.streams import guard_streams
from mas_labels.version import versions
from mas_labels.video.pictures import open_video

SIGN_SECONDS = 0.1
"""Between two signs of life."""
PR_SET_PDEATHSIG = 1
MAX_KEPT_BYTES = 32 << 20
OOM_SCORE = "500"
"""Who is killed first when memory runs out: this process, from which a run recovers."""


@dataclass(frozen=True)
class LabelJob:
    """A video to label: its file, the options, and the numbers of the clips that are wanted."""

    path: Path
    config: LabelConfig
    wanted: Sequence[int]


@dataclass(frozen=True)
class Ready:
    """The process is up; what it labels with."""

    versions: dict[str, str]


@dataclass(frozen=True)
class Alive:
    """Sign of life: frames are being decoded."""


@dataclass(frozen=True)
class Done:
    """The video's end. `error` is None, an error of ours, or the traceback of one that is not."""

    error: MasError | str | None


def main(descriptor: int, parent: int) -> None:
    """Serve jobs until the other end of the pipe is closed.

    Parameters
    ----------
    descriptor
        Of our end of the pipe.
    parent
        Process id of who asks; this process ends with it.
    """
    _die_with(parent)
    guard_streams()
    pipe = MessagePipe(socket.socket(fileno=descriptor))
    cv2.setNumThreads(1)  # others work beside us
    _keep_freed_memory()
    with threadpool_limits(1), contextlib.suppress(PeerGoneError):
        pipe.send(Ready(versions()))
        while True:
            job = pipe.receive()
            assert isinstance(job, LabelJob)
            _serve(pipe, job)


def _serve(pipe: MessagePipe, job: LabelJob) -> None:
    """Label one video: send its clips, its facts, and how it ended."""
    last = time.monotonic()

    def sign_of_life() -> None:
        nonlocal last
        if time.monotonic() - last >= SIGN_SECONDS:
            pipe.send(Alive())
            last = time.monotonic()

    error: MasError | str | None = None
    reader = open_video(job.path, job.config.frame_rate)
    try:
        for clip in label_video(reader, job.config, job.wanted, sign_of_life):
            pipe.send(clip)
    except MasError as ours:
        error = ours
    except PeerGoneError:
        raise
    except Exception:
        error = traceback.format_exc()
    pipe.send(reader.facts)
    pipe.send(Done(error))


def _keep_freed_memory() -> None:
    """Keep freed memory for the next frame: glibc would return it, and every page of the next would be new.

    Converting a frame of 240 x 320 takes a third of the time.
    """
    set_malloc_options({M_MMAP_THRESHOLD: MAX_KEPT_BYTES, M_TRIM_THRESHOLD: MAX_KEPT_BYTES})


def _die_with(parent: int) -> None:
    """End when the parent does, even in the midst of native code, and before it when memory runs out."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    if os.getppid() != parent:
        os._exit(1)
