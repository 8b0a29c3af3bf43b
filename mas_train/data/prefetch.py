"""Batches copied to the device by a thread, one ahead of their use."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import torch

from mas_train.data.clips import ClipBatch

Item = TypeVar("Item")
AHEAD: Final = 1
"""Items that wait between the thread and its consumer; each of these holds one more."""
POLL_SECONDS: Final = 0.1

Copy = tuple[ClipBatch, Callable[[], None]]
"""A batch on its way to the device, and the function that waits until it is there."""


def copy_to_device(batches: Iterator[ClipBatch], device: torch.device) -> Iterator[Copy]:
    """Start to copy each batch but its numbers; on CUDA from pinned memory, while it computes.

    Parameters
    ----------
    batches
        On the CPU. On another device nothing refers to their memory once the next one is taken.
    device
        Device of all but the clips' numbers. Tensors that are there already are not copied.
    """
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # of this thread; otherwise each process would open GPU 0 as well
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None
    for batch in batches:
        clip_indices = batch.clip_indices.clone()
        if stream is None:
            copies = [tensor.to(device) for tensor in batch]
            yield ClipBatch(*copies)._replace(clip_indices=clip_indices), lambda: None
            continue
        with torch.cuda.stream(stream):
            copies = [tensor.pin_memory().to(device, non_blocking=True) for tensor in batch]
        arrived = _waiter(copies, stream.record_event(), device)
        yield ClipBatch(*copies)._replace(clip_indices=clip_indices), arrived


def _waiter(copies: list[torch.Tensor], done: torch.cuda.Event, device: torch.device) -> Callable[[], None]:
    """Return a function by which the computing thread's stream waits for copies."""

    def wait() -> None:
        current = torch.cuda.current_stream(device)
        current.wait_event(done)
        for copy in copies:
            copy.record_stream(current)  # its memory is not reused while it is computed on

    return wait


def arrivals(copies: Iterator[Copy]) -> Iterator[ClipBatch]:
    """Yield each batch when it is on its device; the computing thread calls this."""
    for batch, wait in copies:
        wait()
        yield batch


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """Take items from an iterator in a thread, so that the next one is ready when it is needed.

    Raises
    ------
    Exception
        Whatever the iterator raises, in the place of the item.
    """
    ready: queue.Queue[tuple[str, Item | BaseException | None]] = queue.Queue(AHEAD)
    closed = threading.Event()

    def put(kind: str, item: Item | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                ready.put((kind, item), timeout=POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def take_all() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    thread = threading.Thread(target=take_all, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = ready.get()
            if kind == "end":
                return
            if isinstance(item, BaseException):
                raise item
            yield item  # type: ignore[misc]
    finally:
        closed.set()
        thread.join()
