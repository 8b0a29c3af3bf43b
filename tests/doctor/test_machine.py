"""Quotas and limits of control groups, in trees of files as containers and jobs show them."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from mas_labels.doctor.machine import cpu_quota, memory_limit

V2 = "sys/fs/cgroup"
TREES = {
    "no control groups": ({}, math.inf, math.inf),
    "docker, version 2": (
        {
            "proc/self/cgroup": "0::/\n",
            f"{V2}/cpu.max": "150000 100000\n",
            f"{V2}/memory.max": "4000000000\n",
        },
        1.5,
        4e9,
    ),
    "version 2 without limits": (
        {"proc/self/cgroup": "0::/a\n", f"{V2}/a/cpu.max": "max 100000\n", f"{V2}/a/memory.max": "max\n"},
        math.inf,
        math.inf,
    ),
    "a job of systemd: the group above it has the limits": (
        {
            "proc/self/cgroup": "0::/user.slice/run.service\n",
            f"{V2}/user.slice/cpu.max": "200000 100000\n",
            f"{V2}/user.slice/memory.max": "8000000000\n",
            f"{V2}/user.slice/run.service/cpu.max": "400000 100000\n",
            f"{V2}/user.slice/run.service/memory.max": "max\n",
        },
        2.0,
        8e9,
    ),
    "a job whose name is not UTF-8": (
        {"proc/self/cgroup": "0::/a\udcff\n", f"{V2}/a\udcff/cpu.max": "50000 100000\n"},
        0.5,
        math.inf,
    ),
    "docker, version 1: the path is that of the host": (
        {
            "proc/self/cgroup": "5:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n0::/\n",
            f"{V2}/cpu/cpu.cfs_quota_us": "300000\n",
            f"{V2}/cpu/cpu.cfs_period_us": "100000\n",
            f"{V2}/memory/memory.limit_in_bytes": "2000000000\n",
        },
        3.0,
        2e9,
    ),
    "version 1 without a quota": (
        {
            "proc/self/cgroup": "3:cpu,cpuacct:/\n",
            f"{V2}/cpu/cpu.cfs_quota_us": "-1\n",
            f"{V2}/cpu/cpu.cfs_period_us": "100000\n",
        },
        math.inf,
        math.inf,
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_the_smallest_limit_of_all_groups_counts(name: str, tmp_path: Path) -> None:
    files, quota, limit = TREES[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(os.fsencode(text))
    assert (cpu_quota(tmp_path), memory_limit(tmp_path)) == (quota, limit)
