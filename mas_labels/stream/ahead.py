"""A buffer between threads that work ahead, each on one source, and one consumer of all sources in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BufferClosedError(Exception):
    """The consumer wants no more items."""


class AheadBuffer(Generic[Item]):
    """Items of numbered sources, taken in the order of the sources, of which several are worked on at a time.

    It holds at most `capacity` items, and one more when it is full of later sources: the source that the
    consumer waits for always gets on, so that no work ahead can block it.

    Parameters
    ----------
    sources
        Number of sources.
    capacity
        Number of items, 1 or more, beyond which threads wait before they add another.
    """

    def __init__(self, sources: int, capacity: int) -> None:
        self._sources, self._capacity = sources, capacity
        self._changed = Condition()
        self._items: dict[int, deque[Item | BaseException]] = {}  # of the sources that were claimed
        self._claimed = self._current = self._size = 0
        self._is_closed = False

    def claim(self) -> int | None:
        """Return the number of the next source, for the calling thread; None if there is no other.

        Raises
        ------
        BufferClosedError
            If the consumer wants no more.
        """
        with self._changed:
            self.check()
            if self._claimed == self._sources:
                return None
            self._items[self._claimed] = deque()
            self._claimed += 1
            self._changed.notify_all()
            return self._claimed - 1

    def put(self, source: int, item: Item | BaseException) -> None:
        """Add an item of a source; an exception is raised by the consumer when its turn comes.

        Raises
        ------
        BufferClosedError
            If the consumer wants no more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._has_room(source))
            self.check()
            self._items[source].append(item)
            self._size += 1
            self._changed.notify_all()

    def _has_room(self, source: int) -> bool:
        is_awaited = source == self._current and not self._items[source]
        return self._size < self._capacity or is_awaited

    def take(self, source: int) -> Iterator[Item]:
        """Yield the items of a source as they come, without end; raise those that are exceptions.

        Sources are taken to their ends, from the first one on: that before is forgotten.
        """
        self._items.pop(source - 1, None)
        while True:
            with self._changed:
                self._current = source
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._items.get(source))
                item = self._items[source].popleft()
                self._size -= 1
                self._changed.notify_all()
            if isinstance(item, BaseException):
                raise item
            yield item

    def check(self) -> None:
        """Raise `BufferClosedError` if the consumer wants no more items."""
        if self._is_closed:
            raise BufferClosedError

    def close(self) -> None:
        """Make the calls of all threads raise `BufferClosedError`."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
