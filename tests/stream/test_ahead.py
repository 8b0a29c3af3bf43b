"""The buffer between threads that work ahead and their consumer: order, room, ends."""

from __future__ import annotations

from itertools import islice
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mas_labels.stream.ahead import AheadBuffer, BufferClosedError


class Measured(AheadBuffer):
    """A buffer that records the most items that it held."""

    most = 0

    def put(self, source, item):
        super().put(source, item)
        self.most = max(self.most, self._size)


def fill(buffer, lengths):
    """Put the numbered items of each source that is free, until there are no more, or none is wanted."""
    try:
        while (source := buffer.claim()) is not None:
            for number in range(lengths[source]):
                buffer.put(source, (source, number))
    except BufferClosedError:
        pass


def start_threads(buffer, lengths, count):
    threads = [Thread(target=fill, args=(buffer, lengths)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=9),
    capacity=st.integers(1, 5),
    threads=st.integers(1, 4),
    wanted=st.integers(0, 80),
)
def test_items_come_in_order_in_bounded_memory_and_threads_end(lengths, capacity, threads, wanted):
    buffer = Measured(len(lengths), capacity)
    running = start_threads(buffer, lengths, threads)
    items = (item for source, count in enumerate(lengths) for item in islice(buffer.take(source), count))
    taken = list(islice(items, wanted))
    buffer.close()
    for thread in running:
        thread.join(60)
        assert not thread.is_alive()
    expected = [(source, number) for source, count in enumerate(lengths) for number in range(count)]
    assert taken == expected[:wanted]
    assert buffer.most <= capacity + 1
    assert len(buffer._items) <= threads + capacity + 2  # ended sources are forgotten


def test_the_source_that_is_waited_for_gets_on_when_later_ones_fill_the_buffer():
    buffer = AheadBuffer(2, 1)
    first, second = buffer.claim(), buffer.claim()
    buffer.put(second, "ahead")
    buffer.put(first, "now")  # would wait forever if the item ahead took its place
    assert (next(buffer.take(first)), next(buffer.take(second))) == ("now", "ahead")
    assert buffer.claim() is None


def test_an_exception_is_raised_in_its_turn():
    buffer = AheadBuffer(1, 2)
    source = buffer.claim()
    buffer.put(source, 1)
    buffer.put(source, MemoryError("no room"))
    items = buffer.take(source)
    assert next(items) == 1
    with pytest.raises(MemoryError, match="no room"):
        next(items)
    buffer.close()
    for call in (buffer.claim, buffer.check, lambda: buffer.put(source, 2)):
        with pytest.raises(BufferClosedError):
            call()
