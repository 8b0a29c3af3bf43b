"""Standard streams that cannot fail: a closed, full or abandoned stream never ends a run."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import Final

from mas_labels.errors import reason_of

STREAMS: Final = {0: "stdin", 1: "stdout", 2: "stderr"}


def guard_streams() -> None:
    """Replace the standard streams by ones that drop output which a closed, full or abandoned one refuses.

    Streams that a test or a notebook has replaced stay as they are.
    """
    for descriptor, name in STREAMS.items():
        try:
            os.fstat(descriptor)
        except OSError:  # closed: another file must not get its number
            _redirect_to_null(descriptor)
        stream = getattr(sys, name)
        if name == "stdin":
            if stream is None:
                sys.stdin = open(descriptor, closefd=False)  # noqa: SIM115 - of the process
        elif stream is None or _is_unguarded(stream, descriptor):
            setattr(sys, name, _guarded(descriptor, stream))


def _is_unguarded(stream: io.TextIOBase, descriptor: int) -> bool:
    """Return whether a stream is the one that Python opened."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is no buffer
    return type(raw) is io.FileIO and raw.fileno() == descriptor


def _guarded(descriptor: int, stream: io.TextIOWrapper | None) -> io.TextIOWrapper:
    """Return a stream that cannot fail, with the settings of the one that Python opened."""
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(descriptor, "wb", closefd=False)),  # type: ignore[type-var]
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace" if stream is None or stream.errors == "strict" else stream.errors,
        line_buffering=descriptor == 2
        or (stream is not None and (stream.line_buffering or stream.write_through)),
    )


class _Output(io.FileIO):
    """A standard stream that accepts everything; after the first error it drops all output."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        try:
            while (count := super().write(data)) is None:  # a non-blocking pipe of another program
                select.select([], [self], [])
            return count
        except OSError as error:
            _redirect_to_null(self.fileno())
            if self.fileno() == 1 and error.errno != errno.EPIPE:
                print(f"note: standard output is lost from here on ({reason_of(error)})", file=sys.stderr)
            return memoryview(data).nbytes


def _redirect_to_null(descriptor: int) -> None:
    """Redirect a descriptor to the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    if null == descriptor:
        os.set_inheritable(null, True)
    else:
        os.dup2(null, descriptor)
        os.close(null)
