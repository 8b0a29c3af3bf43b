"""Processes that read clips into memory which they share with their parent; neither they nor this need torch.

The memory is a file without a name, so /dev/shm is not needed. Each process has a pipe to its parent, and
ends when that is closed, as it is when the parent is killed. Several batches lie in the memory at a time, and
are read part by part: all processes read the same few batches, so many need no more memory than few.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import mmap
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import MasError, TrainingError, UnavailableError, unavailable
from mas_labels.schema import LABELS
from mas_labels.shards import ShardSet
from mas_labels.system.linux import keep_freed_memory, open_shared_memory
from mas_labels.system.process import one_thread_environment
from mas_labels.system.signals import signals_blocked
from mas_labels.system.streams import guard_streams

ALIGNMENT: Final = 64
"""Bytes, of which the start of each array in shared memory is a multiple."""
END_SECONDS: Final = 2.0
"""Longest wait for a killed process: one that waits for a dead disk does not end."""


class ClipArrays(NamedTuple):
    """Memory of n clips."""

    frames: NDArray[np.uint8]
    """(n, frames, rows, cols, 3)."""
    view_labels: NDArray[np.uint8]
    """(n, V, 27), the labels of all views."""
    boundaries: NDArray[np.float16]
    """(n, K, rows, cols, 2), motion boundaries."""

    def rows(self, start: int, stop: int) -> ClipArrays:
        """Return the memory of some of the clips."""
        return ClipArrays(self.frames[start:stop], self.view_labels[start:stop], self.boundaries[start:stop])


@dataclass(frozen=True)
class ClipReader:
    """Reads clips of a set of shards.

    Attributes
    ----------
    shards
        The clips.
    views
        Number of views whose labels are read; 0 reads no labels.
    label_sources
        For each clip the number of the clip whose labels it gets; None: its own.
    boundaries
        Motion boundaries that are read, as data sets of a shard.
    """

    shards: ShardSet
    views: int = 0
    label_sources: Sequence[int] | None = None
    boundaries: tuple[str, ...] = ()

    def memory_bytes(self, clips: int) -> int:
        """Return the size of the memory of so many clips, with its gaps."""
        return self._layout(clips)[1]

    def map_clips(self, clips: int, descriptor: int = -1) -> ClipArrays:
        """Map the memory of so many clips: that of a file of `memory_bytes`, or of this process.

        Raises
        ------
        OSError
            If there is no room for it.
        """
        arrays, end = self._layout(clips)
        memory = mmap.mmap(descriptor, end)
        return ClipArrays(*(np.ndarray(shape, kind, memory, start) for shape, kind, start in arrays))

    def _layout(self, clips: int) -> tuple[list[tuple[tuple[int, ...], type, int]], int]:
        """Return shape, type and first byte of each array, and the end of the last."""
        geometry = self.shards.geometry
        kinds: list[tuple[tuple[int, ...], type]] = [
            ((clips, *geometry.clip_shape), np.uint8),
            ((clips, self.views, LABELS), np.uint8),
            ((clips, len(self.boundaries), geometry.frame_rows, geometry.frame_cols, 2), np.float16),
        ]
        sizes = [math.prod(shape) * np.dtype(kind).itemsize for shape, kind in kinds]
        *starts, end = (0, *itertools.accumulate(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes))
        return [(*kind, start) for kind, start in zip(kinds, starts, strict=True)], end

    def read_into(self, memory: ClipArrays, clips: Sequence[int]) -> None:
        """Read clips into the first rows of memory that has room for them or more.

        Raises
        ------
        ShardError
            If a shard is damaged.
        UnavailableError
            If a shard cannot be read now.
        """
        for row, clip in enumerate(clips):  # before the frames, which leave nothing else in the cache
            if self.views:
                source = clip if self.label_sources is None else self.label_sources[clip]
                memory.view_labels[row] = self.shards.read_labels(source)
            for number, path in enumerate(self.boundaries):
                shard, place = self.shards.locate(clip)
                memory.boundaries[row, number] = shard.read(path, place)
        for row, clip in enumerate(clips):
            self.shards.read_frames_into(clip, memory.frames[row])


class _Worker(NamedTuple):
    """A process that reads, and the pipe to it."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    rows: list[int]
    """First row of each part that it has to read, in order."""


class ReadingProcesses:
    """Processes that read clips into shared memory, to be closed after use.

    Parameters
    ----------
    reader
        Reads the clips; each process gets a copy.
    clips
        Number of clips that the memory holds.
    processes
        Number of processes, at least one.

    Attributes
    ----------
    memory
        The clips.

    Raises
    ------
    UnavailableError
        If the machine gives no more processes, files or memory.
    """

    def __init__(self, reader: ClipReader, clips: int, processes: int) -> None:
        self._workers: list[_Worker] = []
        try:
            descriptor = open_shared_memory(reader.memory_bytes(clips))
            try:
                self.memory = reader.map_clips(clips, descriptor)
                for _ in range(processes):
                    self._workers.append(_start(descriptor))
            finally:
                os.close(descriptor)
        except (OSError, MemoryError) as error:
            self.close()
            raise UnavailableError(f"{unavailable(None, error)}; or give fewer --workers") from error
        for worker in self._workers:  # when all of them are starting: this waits until they have started
            self._send(worker, (reader, clips))

    def begin(self, row: int, clips: Sequence[int]) -> None:
        """Have clips read into the memory from a row on, by the process with the least to do."""
        worker = min(self._workers, key=lambda each: len(each.rows))
        self._send(worker, (row, clips))
        worker.rows.append(row)

    def wait(self) -> Iterator[tuple[int, Exception | None]]:
        """Wait until some parts are read.

        Yields
        ------
        The first row of each part, and the error if it could not be read.

        Raises
        ------
        TrainingError
            If a process died.
        """
        by_pipe = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(by_pipe)):
            worker = by_pipe[pipe]  # type: ignore[index]
            try:
                error = worker.pipe.recv()
            except (OSError, EOFError):
                raise _death(worker) from None
            yield worker.rows.pop(0), error

    def _send(self, worker: _Worker, message: object) -> None:
        try:
            worker.pipe.send(message)
        except OSError:
            error = _death(worker)
            self.close()
            raise error from None

    def close(self) -> None:
        """End the processes: they own nothing, so they are killed."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.kill()
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(END_SECONDS)
        self._workers.clear()


def _start(descriptor: int) -> _Worker:
    """Start a process that gets the memory, and all signals to the group blocked: its parent decides."""
    ours, theirs = Pipe()
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from mas_train.data.read_ahead import main; "
        f"main({theirs.fileno()}, {descriptor})"
    )
    with theirs, signals_blocked():
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            pass_fds=[theirs.fileno(), descriptor],
            stdin=subprocess.DEVNULL,
            env=one_thread_environment(),
        )
    return _Worker(process, ours, [])


def _death(worker: _Worker) -> TrainingError:
    """Return the error about a process whose pipe broke."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.process.wait(END_SECONDS)
    status = worker.process.returncode
    return TrainingError(
        f"a process that reads clips died (status {status}), often because memory ran out: run again with "
        "fewer --workers, training with --resume"
    )


def main(pipe_descriptor: int, descriptor: int) -> None:
    """Read clips, as a process of its own, until the parent closes its end of the pipe."""
    guard_streams()
    cv2.setNumThreads(1)  # other workers need the other cores
    keep_freed_memory()
    pipe = Connection(pipe_descriptor)
    with contextlib.suppress(EOFError, ConnectionError):
        reader, clips = pipe.recv()
        memory = reader.map_clips(clips, descriptor)
        os.close(descriptor)
        while True:
            row, numbers = pipe.recv()
            pipe.send(_read(reader, memory.rows(row, row + len(numbers)), numbers))


def _read(reader: ClipReader, memory: ClipArrays, clips: Sequence[int]) -> Exception | None:
    """Read clips; return the error, if there is one, with its traceback unless it is a `MasError`."""
    try:
        reader.read_into(memory, clips)
    except Exception as error:
        if not isinstance(error, MasError):
            error.add_note(traceback.format_exc())
        return error
    return None
