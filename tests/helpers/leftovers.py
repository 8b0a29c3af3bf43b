"""Fails a test run that leaves processes, sockets or files open, as Python would warn at exit.

Imported before modules that clean up at exit: handlers run in reverse order, so this one runs after theirs.
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
from typing import Any

import pytest

WORKERS: list[subprocess.Popen[bytes]] = []
"""Processes that run the tests for this one (pytest-xdist)."""
EXIT_SECONDS = 300
"""Longest wait for a worker, which looks for leftovers at its end, however busy the machine is."""


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Remember the process of a worker: pytest-xdist does not look at its status, and kills it after 10 s."""
    WORKERS.append(node.gateway._io.popen)
    node.nodemanager.EXIT_TIMEOUT = EXIT_SECONDS


def find_leftovers() -> list[str]:
    """Describe child processes that were not waited for, and open sockets and files."""
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
    """List the leftovers and end with status 1; so too if a worker did."""
    leftovers = find_leftovers()
    if leftovers:
        print("left behind by the tests:", *leftovers, sep="\n  ", file=sys.stderr, flush=True)
    statuses = [worker.returncode for worker in WORKERS if worker.returncode]
    if statuses:
        print("processes that ran the tests ended with status", *statuses, file=sys.stderr, flush=True)
    if leftovers or statuses:
        sys.stdout.flush()
        os._exit(1)
