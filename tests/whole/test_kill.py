"""Runs that are killed repeatedly, at random moments, end as uninterrupted ones do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import contents, make_command

from mas_labels.shards.reader import Shard

ROOT = Path(__file__).parents[2]
RUN_SECONDS = 120
"""A command that takes longer has hung."""


def run_until(command, seconds, watch=lambda: None):
    """Start a command; SIGKILL its process group after some seconds.

    Returns its status, None if it was killed, and its output.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=output, stderr=output)
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            watch()
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        output.seek(0)
        return (None if status == -signal.SIGKILL else status), output.read().decode()


def verify_shards(out, seen):
    """Verify every file with a shard's name: it is complete at any moment."""
    for path in out.glob("*.h5"):
        if path not in seen:
            with Shard(path) as shard:
                shard.verify()
            seen.add(path)


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_labelling_killed_at_random_moments(tiny_videos, tmp_path, kills):
    """Run the same command again after each kill; start a new folder when a run has ended."""
    small = ("--videos-per-shard", "2", "--view-stride", "59", "--workers", "2")
    whole = tmp_path / "whole"
    start = time.monotonic()
    status, text = run_until(make_command(tiny_videos, whole, *small), RUN_SECONDS)
    assert status == 3, text
    longest = time.monotonic() - start
    rng = np.random.default_rng(kills)
    killed, folder, seen = 0, 0, set()
    while killed < kills:
        out = tmp_path / f"killed-{folder}"
        command = make_command(tiny_videos, out, *small)
        watch = partial(verify_shards, out, seen)
        status, text = run_until(command, rng.uniform(0.1, 1.0) * longest, watch)
        if status is None:
            killed += 1
        else:
            folder += 1
            assert status == 3, text  # three of the files cannot be used
            assert contents(out) == contents(whole)
    status, text = run_until(make_command(tiny_videos, out, *small), RUN_SECONDS)
    assert status == 3, text
    assert contents(out) == contents(whole), "a different byte, or a file that should not exist"


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_training_killed_at_random_moments(tiny_shards, tmp_path, kills):
    """Kill it while it starts, trains or saves: after resuming, no bit of the weights differs."""
    pytest.importorskip("torch")
    from helpers.equal import assert_same

    from mas_train.weights.checkpoint import list_checkpoints, load_checkpoint

    def command(out, *more):
        small = "--width 0.03125 --fc-width 16 --batch-size 4 --epochs 4 --dropout 0.5 --seed 3 --log-steps 1"
        compute = "--threads 1 --workers 0 --checkpoint-steps 1 --device cpu"
        shards = ["--shards", *map(str, tiny_shards), "--out", str(out)]
        return [sys.executable, "-m", "mas_train", *shards, *small.split(), *compute.split(), *more]

    whole = tmp_path / "whole"
    start = time.monotonic()
    status, text = run_until(command(whole), RUN_SECONDS)
    assert status == 0, text
    longest = time.monotonic() - start
    rng = np.random.default_rng(kills)
    killed, folder = 0, 0
    while True:
        out = tmp_path / f"killed-{folder}"
        resume = ["--resume"] if list_checkpoints(out) else []
        if not resume and out.exists():  # killed before its first checkpoint
            folder += 1
            continue
        seconds = rng.uniform(0.5, 1.0) * longest if killed < kills else RUN_SECONDS
        status, text = run_until(command(out, *resume), seconds)
        if status is None:
            killed += 1
            continue
        assert status == 0, text
        ends = [load_checkpoint(list_checkpoints(run)[-1]) for run in (out, whole)]
        assert_same(*ends)
        assert not list((out / "checkpoints").glob(".*")), "a temporary file was left"
        folder += 1
        if killed >= kills:
            break
