"""Writes the flow of videos: each video whole or not at all, whenever a run is killed.

A video's files are written under hidden names and renamed when all are complete and on the disk: first the
folder of frames, if it has its own, then the flow, ``u`` before ``v``. A video is complete if all its places
exist. A run that is killed between two renames leaves a video that is not complete, which the next run
removes and writes again. Each place on its own is whole whenever it exists. A place that exists without the
hidden rest of its video is not ours, and is never removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, storage_error
from mas_labels.flow.array_files import ARRAY_FILES, ArrayFile
from mas_labels.flow.formats import BOUND_FILE
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.places import FlowTarget
from mas_labels.flow.video_flow import FlowPart
from mas_labels.system.files import lock_file, sync, sync_folder

SYNC_THREADS: Final = 16


class FlowOutput:
    """The files of one video's flow, while they are written.

    A context manager; at its end, what was not published is removed.

    Parameters
    ----------
    target
        Final places; what an interrupted run left of an incomplete video is removed.
    options
        All options.

    Raises
    ------
    ConfigError
        On entering: a place exists already, and no run that was killed left it there.
    StorageError
        If the disk is full or cannot be written.
    """

    def __init__(self, target: FlowTarget, options: FlowOptions) -> None:
        self._target, self._options = target, options
        self._hidden = {place: _hidden_path(place) for place in target.places}
        self._array_file: ArrayFile | None = None
        self._files: list[Path] = []
        self._published: list[Path] = []
        self._pairs = 0
        self._fps = 0.0

    def __enter__(self) -> FlowOutput:
        check_free(self._target)
        try:
            _remove_left(self._target)
            for place, hidden in self._hidden.items():
                hidden.parent.mkdir(parents=True, exist_ok=True)
                if self._is_folder(place):
                    hidden.mkdir()
                else:
                    self._array_file = ARRAY_FILES[self._options.format](hidden)
        except OSError as error:
            self._discard()
            raise storage_error(self._target.places[-1], error, "video") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def _is_folder(self, place: Path) -> bool:
        return not self._options.layout.is_array or place == self._target.frames

    def add(self, part: FlowPart) -> None:
        """Write a part; raise `StorageError` if that fails."""
        try:
            for kind, number, data in part.pictures:
                name = self._options.layout.picture_name(kind, number, self._options.step)
                self._write(getattr(self._target, kind), f"{name}.{self._options.picture}", data)
            if part.array is not None and self._array_file is not None and part.pairs:
                self._array_file.append(part.array)
        except OSError as error:
            raise storage_error(self._target.places[-1], error, "video") from error
        self._pairs += part.pairs
        self._fps = part.fps

    def _write(self, place: Path, name: str, data: bytes) -> None:
        """Write a file into a folder that is not published yet."""
        path = self._hidden[place] / name
        path.write_bytes(data)
        self._files.append(path)

    def publish(self, on_progress: Callable[[], None] = lambda: None) -> None:
        """Complete the files, and rename them to their final names; raise `StorageError` if that fails.

        `on_progress` is called meanwhile: a long video takes minutes to compress.
        """
        assert self._pairs, "a video without a pair has no flow"
        try:
            self._finish(on_progress)
            hidden_paths = self._hidden.values()
            _sync_all([*self._files, *hidden_paths, *{path.parent for path in hidden_paths}], on_progress)
            for place, hidden in self._hidden.items():
                hidden.rename(place)
                self._published.append(place)
                sync_folder(place.parent)
        except OSError as error:
            raise storage_error(self._target.places[-1], error, "video") from error

    def _finish(self, on_progress: Callable[[], None]) -> None:
        """Write what describes the flow."""
        if self._array_file is not None:
            facts = {
                "step": self._options.step,
                "fps": self._fps,
                "options": json.dumps(self._options.as_dict(), sort_keys=True),
            }
            self._array_file.finish(frame_pairs(self._pairs, self._options.step), facts, on_progress)
            self._array_file.close()
        elif self._target.u == self._target.v:
            self._write(self._target.u, BOUND_FILE, f"{self._options.bound:g}\n".encode())

    def _discard(self) -> None:
        """Close and remove what was not published whole; if that fails, the next run does it."""
        with contextlib.suppress(OSError):
            if self._array_file is not None:
                self._array_file.close()
        if len(self._published) < len(self._hidden):
            with contextlib.suppress(OSError):
                _remove_all([*self._published, *self._hidden.values()])


def remove_unfinished(target: FlowTarget) -> None:
    """Remove what a process that was killed left of a video, if that is possible now."""
    with contextlib.suppress(OSError):
        _remove_left(target)


def check_free(target: FlowTarget) -> None:
    """Raise `ConfigError` if a place exists that no run left that was killed."""
    existing = next((place for place in target.places if place.exists()), None)
    if existing is not None and not _is_left(target):
        raise ConfigError(f"{existing} exists already: remove it, or choose another --out")


def _is_left(target: FlowTarget) -> bool:
    """Return whether a process that was killed left the video incomplete: hidden files are still there."""
    return not target.is_complete() and any(_hidden_path(place).exists() for place in target.places)


def _remove_left(target: FlowTarget) -> None:
    """Remove what a process that was killed left, hidden files last: they show that the others are ours."""
    if _is_left(target):
        _remove_all([*target.places, *map(_hidden_path, target.places)])


@contextlib.contextmanager
def locked_target(target: FlowTarget) -> Iterator[None]:
    """Lock out other processes that would write the same video, by a hidden file next to its flow.

    Raises
    ------
    ConfigError
        If another process holds the lock.
    StorageError
        If the folder cannot be written.
    """
    place = target.places[-1]
    lock = place.with_name(f"{_hidden_path(place).name}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor = lock_file(
            lock, f"another run is writing {place}: let it finish, or choose another --out"
        )
    except OSError as error:
        raise storage_error(place, error, "video") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
        os.close(descriptor)


def _hidden_path(place: Path) -> Path:
    """Return the name under which a place is written; its own might become too long."""
    return place.with_name(f".tmp.{hashlib.sha256(os.fsencode(place.name)).hexdigest()}")


def frame_pairs(count: int, step: int) -> NDArray[np.uint32]:
    """Return the numbers of the two frames of each pair, from 0: (count, 2)."""
    first = np.arange(count, dtype=np.uint32) + np.uint32(max(0, -step))
    return np.stack(
        [first, first + np.uint32(step)] if step > 0 else [first, first - np.uint32(-step)], axis=1
    )


def _sync_all(paths: Sequence[Path], on_progress: Callable[[], None]) -> None:
    """Bring files, and the names in folders, to the disk.

    File systems do many at once in the time of one; one by one, two pictures take longer than their flow.
    """
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        for _ in pool.map(_sync, paths):  # raises the error of one that failed
            on_progress()


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    if path.is_dir():
        sync_folder(path)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def _remove_all(paths: Iterable[Path]) -> None:
    """Remove files and folders, those that there are."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
