"""Without what only Linux has: the substitutes give the same, and tell what a user should know."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.faults import with_fault

ROOT = Path(__file__).parents[2]
ABSENT = """
import ctypes, os
del os.memfd_create, os.posix_fallocate
def absent(library, name):
    raise AttributeError(name)
ctypes.CDLL.__getattr__ = absent
"""
"""Takes these functions away from a Python process."""


def run(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, until all that have its output have ended."""
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_files_and_memory_without_the_calls_of_linux(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from mas_labels.system.files import missing_services
from mas_labels.system.linux import M_MMAP_MAX, open_shared_memory, processor_name, set_malloc_options
print(set_malloc_options({M_MMAP_MAX: 0}), bool(processor_name()))
print(missing_services(Path(sys.argv[1]), is_labelling=True))
for size in (1, 1 << 21):
    print(os.fstat(open_shared_memory(size)).st_size)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    open_shared_memory(1 << 21)
except OSError as error:
    print(error.strerror)
"""
    shown = run(ABSENT + code, tmp_path)
    assert shown.stdout.splitlines() == [
        "False True",
        f"note: the file system of {tmp_path} does not support posix_fallocate: space is reserved by writing "
        "zeros (Function not implemented)",
        "1",
        str(1 << 21),
        "File too large",
    ], shown
    assert shown.stderr.startswith("note: no memfd_create on this system: processes share a file without a")
    assert shown.stderr.count("\n") == 1


def test_an_old_kernel_without_memory_files() -> None:
    code = "from mas_labels.system.linux import open_shared_memory; print(open_shared_memory(4096) > 0)"
    shown = with_fault([sys.executable, "-c", code], "memfd_create", "ENOSYS", cwd=ROOT)
    assert (shown.stdout, shown.stderr.count("note: no memfd_create")) == ("True\n", 1), shown


def test_clips_are_read_through_a_file_as_well(tiny_shards: list[Path]) -> None:
    code = """
import sys
import numpy as np
from mas_labels.shards import open_shards
from mas_train.data.read_ahead import ClipReader, ReadingProcesses
shards = open_shards(sys.argv[1:])
reader = ClipReader(shards, len(shards.views))
processes = ReadingProcesses(reader, 2, 1)
processes.begin(0, [0, 1])
print(*processes.wait())
expected = reader.map_clips(2)
reader.read_into(expected, [0, 1])
print(expected.frames.any(), all(map(np.array_equal, processes.memory, expected)))
processes.close()
"""
    shown = run(ABSENT + code, *tiny_shards)
    assert shown.stdout.splitlines() == ["(0, None)", "True True"], shown


@pytest.mark.parametrize(("taken_away", "threads"), [("import os", 1), (ABSENT, 2)], ids=["linux", "absent"])
def test_a_process_ends_with_its_parent(taken_away: str, threads: int) -> None:
    code = """
import signal, threading
from mas_labels.system.linux import die_with_parent
parent = os.getpid()
if os.fork() == 0:
    die_with_parent(parent)
    print(threading.active_count(), flush=True)
    os.kill(parent, signal.SIGKILL)
signal.pause()
"""
    shown = run(f"{taken_away}\n{code}")
    assert (shown.returncode, shown.stdout) == (-signal.SIGKILL, f"{threads}\n"), shown


def test_memory_that_is_not_granted_leaves_no_file_open() -> None:
    code = """
import os, resource
from mas_labels.system.linux import open_shared_memory
before = os.listdir("/proc/self/fd")
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    open_shared_memory(1 << 21)
except OSError as error:
    print(error.strerror, os.listdir("/proc/self/fd") == before)
"""
    shown = run(code)
    assert shown.stdout == "File too large True\n", shown
