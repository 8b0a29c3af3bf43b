"""Few open files: the limit is raised, shards are closed in time, and too few end in one line."""

from __future__ import annotations

import shutil
import subprocess
import sys

from helpers.coloured import SMALL, WIDTH


def test_few_open_files_suffice_or_are_one_line(tiny_shards, tmp_path):
    """Also where the hard limit is low: shards are closed in time, and too few files end in one line."""
    for name in map(str, range(12)):
        shutil.copy(tiny_shards[0], tmp_path / f"{name}.h5")
    words = ["--shards", tmp_path, "--out", tmp_path / "run", "--no-curves", *SMALL, "--width", WIDTH]
    words += ["--fc-width", 16, "--batch-size", 4, "--max-steps", 1]
    for limit, workers, status in ((24, 0, 0), (24, 2, 0), (7, 2, 1)):  # 3 streams, and 4 shards at least
        train = [sys.executable, "-m", "mas_train", *map(str, words), "--workers", str(workers)]
        limited = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *train]
        shown = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=120)
        assert shown.returncode == status, shown
        assert "Traceback" not in shown.stderr and "remove" not in shown.stderr
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
    assert "Too many open files" in shown.stderr and shown.stderr.startswith("error: ")


def test_the_limit_of_open_files_is_raised_at_start(tiny_shards):
    code = (
        "import resource; from mas_labels.system.process import begin_process\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "begin_process(); soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE); print(soft == hard)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.stdout == "True\n", shown


def test_a_set_of_shards_keeps_reading_when_no_more_files_can_be_opened(tiny_shards, tmp_path):
    for name in map(str, range(12)):
        shutil.copy(tiny_shards[0], tmp_path / f"{name}.h5")
    code = (
        "import os, resource, sys; from mas_labels.shards.shard_set import open_shards\n"
        "shards = open_shards(sys.argv[1]); taken = []\n"
        "for number in range(8): shards.shard(number)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "try:\n"
        "    while True: taken.append(os.open(os.devnull, os.O_RDONLY))\n"
        "except OSError: pass\n"
        "print(sum(len(shards.shard(number)) > 0 for number in range(12)))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert shown.stdout == "12\n", shown
