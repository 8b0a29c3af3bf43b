"""Messages between a process and the one it started, with deadlines that hold in the midst of a message.

`multiprocessing.Connection` waits for ever for the rest of a message whose sender hangs.
"""

from __future__ import annotations

import io
import pickle
import socket
import struct
from collections.abc import Callable
from typing import Any, ClassVar

WAIT_SECONDS = 0.2
"""How long to wait before looking after other things."""
LENGTH = struct.Struct("!Q")


class PeerGoneError(Exception):
    """The other end was closed: its process ended."""


OURS = ("mas_labels.", "numpy.", "pathlib")
MAKE_ARRAYS = ("_frombuffer", "_reconstruct", "scalar")
"""NumPy's functions that unpickle arrays and numbers."""
HARMLESS = {("builtins", "range"), ("numpy", "ndarray"), ("numpy", "dtype")}


class _Pickler(pickle.Pickler):
    """Pickles messages the same way whatever other packages registered, such as tblib for exceptions."""

    dispatch_table: ClassVar[dict[type, Any]] = {}  # type: ignore[misc]


class _Messages(pickle.Unpickler):
    """Makes nothing but data: a decoder that a hostile video has taken over must not reach any further."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class that messages are made of.

        Raises
        ------
        pickle.UnpicklingError
            If it is another.
        """
        found = super().find_class(module, name)
        ours = module.startswith(OURS) and (isinstance(found, type) or name in MAKE_ARRAYS)
        if not ours and (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"a message holds {module}.{name}, which is none of ours")
        return found


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
        """Send a message; wait until the other end has taken most of it.

        Raises
        ------
        PeerGoneError
            If nobody will read it.
        """
        buffer = io.BytesIO()
        _Pickler(buffer, protocol=5).dump(message)
        data = buffer.getbuffer()
        self._socket.settimeout(None)
        try:
            self._socket.sendall(LENGTH.pack(len(data)))
            self._socket.sendall(data)
        except OSError as error:
            raise PeerGoneError from error

    def receive(
        self, timeout_seconds: float = float("inf"), on_wait: Callable[[], None] = lambda: None
    ) -> object:
        """Wait for a message.

        Parameters
        ----------
        timeout_seconds
            Longest time without a byte. Only the time in which we ourselves ran counts: a run that was
            stopped and continued is not late.
        on_wait
            Called every `WAIT_SECONDS` while nothing comes; may raise to give up.

        Raises
        ------
        TimeoutError
            If nothing came for so long.
        PeerGoneError
            If nothing more will come.
        """
        (length,) = LENGTH.unpack(self._read(LENGTH.size, timeout_seconds, on_wait))
        return _Messages(io.BytesIO(self._read(length, timeout_seconds, on_wait))).load()

    def _read(self, size: int, timeout_seconds: float, on_wait: Callable[[], None]) -> bytearray:
        data = bytearray(size)
        rest, waited = memoryview(data), 0.0
        self._socket.settimeout(min(WAIT_SECONDS, timeout_seconds))
        while rest:
            try:
                count = self._socket.recv_into(rest)
            except TimeoutError:
                on_wait()
                waited += WAIT_SECONDS
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
