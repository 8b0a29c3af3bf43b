"""Batches brought to the device by a thread, one ahead of their use."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")
AHEAD: Final = 1
"""Items that wait between the thread and the user; one more is in the hands of each."""
POLL_SECONDS: Final = 0.1


class DeviceCopy:
    """Copies tensors to a device; on CUDA from pinned memory, beside the computation.

    Parameters
    ----------
    device
        Where to. Tensors that are there already are handed on as they are.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # of this thread; otherwise each process would open GPU 0 as well
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def begin(self, tensors: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        """Begin to copy.

        Returns
        -------
        copies : tuple of Tensor
        wait : callable
            To be called, by the thread that computes, before the copies are used.
        """
        if self._stream is None:
            return tuple(tensor.to(self.device) for tensor in tensors), lambda: None
        with torch.cuda.stream(self._stream):
            copies = tuple(tensor.pin_memory().to(self.device, non_blocking=True) for tensor in tensors)
        done = self._stream.record_event()

        def wait() -> None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(done)
            for copy in copies:
                copy.record_stream(current)  # its memory is not given away while it is computed on

        return copies, wait


def run_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Take items from an iterator in a thread, so that the next is ready when it is asked for.

    Raises
    ------
    Exception
        Whatever the iterator raises, where the item would have come.
    """
    ready: queue.Queue[tuple[str, Item | BaseException | None]] = queue.Queue(AHEAD)
    closed = threading.Event()

    def hand_over(kind: str, what: Item | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                ready.put((kind, what), timeout=POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not hand_over("item", item):
                    return
            hand_over("end", None)
        except BaseException as error:
            hand_over("error", error)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, what = ready.get()
            if kind == "end":
                return
            if isinstance(what, BaseException):
                raise what
            yield what  # type: ignore[misc]
    finally:
        closed.set()
        thread.join()
