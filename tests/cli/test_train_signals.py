"""Signals during training: a checkpoint, then the end or the next step."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.commands import SMALL_NETWORK

from mas_labels.system.signals import raise_on_signals
from mas_train.runtime.signals import Request, SignalRequests
from mas_train.weights.checkpoint import checkpoint_path, list_checkpoints, load_checkpoint

ROOT = Path(__file__).parents[2]


def count_lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def running(tiny_shards: list[Path], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of its own process group, in `tmp_path`, with one worker and some steps done."""
    args = ["--shards", *map(str, tiny_shards), "--out", str(tmp_path), "--epochs", "10000", "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "mas_train", *args, *SMALL_NETWORK, "--log-steps", "1"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_until(lambda: count_lines(tmp_path / "metrics.csv") > 2, process)
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_to_the_group_ends_the_run_after_a_checkpoint(
    number: signal.Signals, status: int, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    os.killpg(running.pid, number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == status and "Traceback" not in err
    newest = load_checkpoint(list_checkpoints(tmp_path)[-1])
    assert newest["step"] >= 2 and f"{newest['step']} of 30000 steps done" in out


def test_sigusr1_to_the_group_saves_a_checkpoint_and_training_continues(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    before = count_lines(tmp_path / "metrics.csv")
    os.killpg(running.pid, signal.SIGUSR1)  # as Slurm does: the process that reads clips gets it, too
    wait_until(lambda: count_lines(tmp_path / "metrics.csv") > before + 2, running)
    os.killpg(running.pid, signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 143 and "Traceback" not in err
    (step,) = (line.split(":")[0] for line in err.splitlines() if "checkpoint saved on SIGUSR1" in line)
    assert checkpoint_path(tmp_path, int(step.removeprefix("step "))).exists()


def test_a_signal_whose_exception_was_dropped_stops_training() -> None:
    with raise_on_signals():
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        with SignalRequests() as requests:
            assert (requests.take(), requests.signal_number) == (Request.STOP, signal.SIGTERM)
    with raise_on_signals(), SignalRequests() as requests:
        assert requests.take() == Request.NOTHING


def test_under_nohup_a_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it
    try:
        with raise_on_signals(), SignalRequests() as requests:
            os.kill(os.getpid(), signal.SIGHUP)
            assert requests.take() == Request.NOTHING
    finally:
        signal.signal(signal.SIGHUP, before)
