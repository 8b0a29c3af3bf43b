"""Cores, memory and limits of this machine, and of the container or job that this process is in."""

from __future__ import annotations

import errno
import math
import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mas_labels.doctor.finding import Finding
from mas_labels.errors import REMEDIES
from mas_labels.system.amounts import format_bytes
from mas_labels.system.process import require_semaphores

ROOT: Final = Path("/")
WORKER_BYTES: Final = 250_000_000
"""Memory of a worker and its video process at 240 x 320 pixels (``benchmarks/workers.md``)."""
MIN_OPEN_FILES: Final = 1024
"""Below it, fewer shards stay open than `mas_labels.shards.pool.MAX_OPEN_SHARDS`."""


def find_system() -> Iterator[Finding]:
    """Find the operating system, the C library and the kind of processor."""
    library = " ".join(platform.libc_ver()).strip() or "unknown C library"
    yield Finding(
        "ok", "system", f"{platform.system()} {platform.release()}, {platform.machine()}, {library}"
    )


def find_cores() -> Iterator[Finding]:
    """Find the cores, for each of which a worker is started by default, and a quota of their time."""
    import joblib

    workers, quota = joblib.cpu_count(), cpu_quota()
    text = f"{workers} usable of {os.cpu_count()}"
    if math.isfinite(quota):
        text += f", the time of {quota:g} granted to this container or job"
    if quota > workers - 1:  # the default rounds a quota up
        yield Finding("ok", "cores", text)
    else:
        yield Finding("warning", "cores", f"{text}: give --workers {math.ceil(quota)}, not the default")


def find_memory() -> Iterator[Finding]:
    """Find the memory, and for how many workers it suffices."""
    import joblib

    present, workers = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), joblib.cpu_count()
    usable = min(present, memory_limit())
    text = format_bytes(present)
    if usable < present:
        text += f", {format_bytes(usable)} of it granted to this container or job"
    if usable >= workers * WORKER_BYTES:
        yield Finding("ok", "memory", text)
    else:
        most = max(1, int(usable // WORKER_BYTES))
        yield Finding("warning", "memory", f"{text}, too little for {workers} workers: give --workers {most}")


def find_open_files() -> Iterator[Finding]:
    """Find the limit of open files, which every command raises as far as it may."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit == resource.RLIM_INFINITY or limit >= MIN_OPEN_FILES:
        yield Finding(
            "ok", "open files", "no limit" if limit == resource.RLIM_INFINITY else f"{limit} allowed"
        )
    else:
        text = f"{limit} allowed, too few for many shards or workers: {REMEDIES[errno.EMFILE]}"
        yield Finding("warning", "open files", f"{text} to {MIN_OPEN_FILES} or more")


def find_semaphores() -> Iterator[Finding]:
    """Find whether processes can synchronise: on Linux, by semaphores in /dev/shm."""
    require_semaphores("give --workers 1")
    yield Finding("ok", "/dev/shm", "processes can synchronise")


def cpu_quota(root: Path = ROOT) -> float:
    """Return the cores whose time the control groups of this process grant it; infinite without a quota."""
    quotas = [math.inf]
    for group in control_groups("cpu", root):
        pair = _numbers(group / "cpu.max") or [
            *_numbers(group / "cpu.cfs_quota_us"),
            *_numbers(group / "cpu.cfs_period_us"),
        ]
        if len(pair) == 2 and pair[0] > 0:  # -1: no quota, in version 1
            quotas.append(pair[0] / pair[1])
    return min(quotas)


def memory_limit(root: Path = ROOT) -> float:
    """Return the bytes that the control groups of this process grant it; infinite without a limit."""
    names = ("memory.max", "memory.limit_in_bytes")
    groups = control_groups("memory", root)
    return min([math.inf, *(size for group in groups for name in names for size in _numbers(group / name))])


def control_groups(controller: str, root: Path = ROOT) -> Iterator[Path]:
    """Yield the control group of this process, and all above it, of version 1 and of version 2.

    Parameters
    ----------
    controller
        Name of the controller.
    root
        Folder in which ``proc`` and ``sys`` lie.

    Notes
    -----
    A container often sees its own group as the root, though the listed path is that of the host: groups that
    do not exist here are yielded, too.
    """
    try:
        lines = os.fsdecode((root / "proc/self/cgroup").read_bytes()).splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / (controller if controllers else "")
        group = mount / path.strip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(mount))


def _numbers(path: Path) -> list[float]:
    """Return the numbers in a file of a control group; none if there is no such file."""
    try:
        return [math.inf if word == "max" else float(word) for word in path.read_text().split()]
    except OSError:
        return []
