"""Fails a test run that leaves processes, sockets or files behind, of which Python would warn at exit.

Imported before what cleans up at exit: handlers run in reverse order, so it looks when they are done.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import socket
import subprocess
import sys
from asyncio.selector_events import BaseSelectorEventLoop


def find_leftovers() -> list[str]:
    """Describe processes that were not waited for, and sockets and files that are open."""
    gc.collect()
    things = gc.get_objects()
    processes = [thing for thing in things if issubclass(type(thing), subprocess.Popen)]
    files = [thing for thing in things if issubclass(type(thing), io.FileIO) and not thing.closed]
    loops = [thing for thing in things if issubclass(type(thing), BaseSelectorEventLoop)]
    theirs = [
        getattr(loop, name, None) for loop in loops for name in ("_ssock", "_csock")
    ]  # Jupyter's, dask's
    sockets = [thing for thing in things if issubclass(type(thing), socket.socket) and thing not in theirs]
    return [
        *(f"process {thing.pid}: {thing.args!r}" for thing in processes if thing.returncode is None),
        *(repr(thing) for thing in sockets if thing.fileno() >= 0),
        *(repr(thing) for thing in files if thing.closefd and thing.fileno() > 2 and not _is_a_font(thing)),
    ]


def _is_a_font(file: io.FileIO) -> bool:
    """Return whether a file is one of those that matplotlib keeps open."""
    return str(file.name).endswith((".ttf", ".afm"))


@atexit.register
def fail_if_any() -> None:
    """End with status 1 and a list."""
    found = find_leftovers()
    if found:
        print("left behind by the tests:", *found, sep="\n  ", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(1)
