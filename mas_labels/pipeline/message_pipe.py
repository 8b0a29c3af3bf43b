"""Messages between the supervisor and the labelling process (IPC), with deadlines that hold within a message.

`multiprocessing.Connection` would wait forever for the rest of a message whose sender hangs.
"""

from __future__ import annotations

import io
import pickle
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final

POLL_SECONDS: Final = 0.2
"""Time between two calls of `on_wait`."""
LENGTH: Final = struct.Struct("!Q")
"""A message begins with the number of its parts and the length of each: the pickle, then its arrays."""

OUR_MODULES: Final = ("mas_labels.", "numpy.", "pathlib")
ARRAY_FUNCTIONS: Final = ("_frombuffer", "_reconstruct", "scalar")
"""NumPy's functions that unpickle arrays and numbers."""
HARMLESS: Final = {("builtins", "range"), ("numpy", "ndarray"), ("numpy", "dtype")}


class PeerGoneError(Exception):
    """The other end was closed: its process ended."""


class MessagePipe:
    """One end of a pipe between a process and its child.

    Parameters
    ----------
    connected
        One socket of a pair.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def send(self, message: object) -> None:
        """Send a message; wait until the other end has read most of it.

        Raises
        ------
        PeerGoneError
            If the other end is closed.
        """
        pickled, arrays = io.BytesIO(), list[pickle.PickleBuffer]()
        _Pickler(pickled, protocol=5, buffer_callback=arrays.append).dump(message)  # arrays are not copied
        parts = [pickled.getbuffer(), *(array.raw() for array in arrays)]
        self._socket.settimeout(None)
        try:
            self._socket.sendall(b"".join(map(LENGTH.pack, (len(parts), *map(len, parts)))))
            for part in parts:
                self._socket.sendall(part)
        except OSError as error:
            raise PeerGoneError from error

    def receive(
        self, timeout_seconds: float = float("inf"), on_wait: Callable[[], None] = lambda: None
    ) -> object:
        """Wait for a message.

        Parameters
        ----------
        timeout_seconds
            Longest time without a byte. Only time in which this process itself ran counts: a run that was
            suspended and continued is not late.
        on_wait
            Called every `POLL_SECONDS` while nothing comes; may raise to give up.

        Raises
        ------
        TimeoutError
            If no byte came for so long.
        PeerGoneError
            If the other end is closed.
        """
        read = partial(self._read, timeout_seconds=timeout_seconds, on_wait=on_wait)
        (count,) = LENGTH.unpack(read(LENGTH.size))
        lengths = [length for (length,) in LENGTH.iter_unpack(read(count * LENGTH.size))]
        pickled, *arrays = map(read, lengths)
        return _Unpickler(io.BytesIO(pickled), buffers=arrays).load()

    def _read(self, size: int, timeout_seconds: float, on_wait: Callable[[], None]) -> bytearray:
        data = bytearray(size)
        rest, waited = memoryview(data), 0.0
        self._socket.settimeout(min(POLL_SECONDS, timeout_seconds))
        while rest:
            try:
                count = self._socket.recv_into(rest)
            except TimeoutError:
                on_wait()
                waited += POLL_SECONDS
                if waited >= timeout_seconds:
                    raise
                continue
            except OSError as error:
                raise PeerGoneError from error
            if count == 0:
                raise PeerGoneError
            rest, waited = rest[count:], 0.0
        return data

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


class _Pickler(pickle.Pickler):
    """Pickles messages the same way whatever other packages registered, such as tblib for exceptions."""

    dispatch_table: ClassVar[dict[type, Any]] = {}  # type: ignore[misc]


class _Unpickler(pickle.Unpickler):
    """Creates only data: a decoder that a hostile video has taken over must not reach any further."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class that messages consist of.

        Raises
        ------
        pickle.UnpicklingError
            If it is any other.
        """
        loaded = super().find_class(module, name)
        is_ours = module.startswith(OUR_MODULES) and (isinstance(loaded, type) or name in ARRAY_FUNCTIONS)
        if not is_ours and (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"a message holds {module}.{name}, which is not allowed")
        return loaded
