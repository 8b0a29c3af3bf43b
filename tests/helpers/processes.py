"""Commands as processes, and what they leave in a folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.videos import FOLDER_MANIFEST


def contents(folder: Path) -> dict[str, str]:
    """Return what stands for the bytes of every file of a folder, hidden ones too, by name: size and digest.

    Not the bytes: where two folders differ, the message of a failed test then fits a screen.
    """
    return {path.name: digest(path) for path in folder.iterdir()}


def digest(path: Path) -> str:
    """Return the size and the SHA-256 of a file."""
    data = path.read_bytes()
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()}"


def make_command(root: Path, out: Path, *more: str) -> list[str]:
    """Return the command line that makes the shards of `tiny_shards`."""
    options = ["--root", str(root), "--out", str(out), "--flow", "dis", "--videos-per-shard", "5"]
    return [sys.executable, "-m", "mas_labels", "make", "--manifest", str(FOLDER_MANIFEST), *options, *more]


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait at most a minute for a condition; fail if the process ends first."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process is None or process.poll() is None, "the process ended too early"
        assert time.monotonic() < deadline, "this takes too long"
        time.sleep(0.01)


def children(pid: int, pattern: str = "") -> list[int]:
    """Return the process ids of the children of a process whose command line holds a pattern."""
    if shutil.which("pgrep") is None:
        pytest.skip("pgrep is not installed (Debian: apt install procps)")
    listed = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", pattern or "."], capture_output=True, text=True, check=False
    )
    return [int(line) for line in listed.stdout.split()]
