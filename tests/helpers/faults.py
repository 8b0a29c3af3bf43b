"""Injects faults of the machine into the system calls of a command, by strace where it is permitted."""

from __future__ import annotations

import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest


@lru_cache(maxsize=1)
def _strace_works() -> bool:
    strace = shutil.which("strace")
    if strace is None:
        return False
    tried = [
        strace,
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=flock",
        "-e",
        "inject=flock:error=EINVAL",
        "true",
    ]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def with_fault(
    command: list[str],
    calls: str,
    error: str | int,
    path: Path | None = None,
    when: str = "",
    **options: object,
) -> subprocess.CompletedProcess[str]:
    """Run a command some of whose system calls fail.

    Parameters
    ----------
    calls
        Names of system calls, separated by commas.
    error
        Name or number of the error.
    path
        Calls on this file or folder only.
    when
        Which of the calls, as strace counts them, such as ``3+``.
    """
    if not _strace_works():
        pytest.skip("needs strace, and the right to trace")
    only = [] if path is None else ["-P", str(path.absolute())]
    fault = f"inject={calls}:error={error}{f':when={when}' if when else ''}"
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", *only, "-e", f"trace={calls}", "-e", fault]
    return subprocess.run(
        [*strace, *command], capture_output=True, text=True, check=False, timeout=120, **options
    )


SHARED_MEMORY = {
    "read-only": "mount -t tmpfs -o ro tmpfs /dev/shm",
    "full": "mount -t tmpfs -o size=16k tmpfs /dev/shm; head -c 16384 /dev/zero > /dev/shm/full",
    "missing": "t=$(mktemp -d); mount -t tmpfs tmpfs $t; cp -a /dev/null /dev/zero /dev/urandom $t; "
    "mount --move $t /dev; rmdir $t",
}
"""Commands that prepare /dev/shm so, in a separate mount namespace."""


def with_shared_memory(kind: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command where /dev/shm is read-only, full or missing."""
    prefix = ["unshare", "--mount", "sh", "-ec", f'{SHARED_MEMORY[kind]}; exec "$@"', "sh"]
    try:
        works = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        works = False
    if not works:
        pytest.skip("needs unshare, and the right to mount")
    return subprocess.run([*prefix, *command], capture_output=True, text=True, check=False, timeout=120)
