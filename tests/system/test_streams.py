"""Standard streams that are closed, full or abandoned never end a run that has done its work."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.coloured import SMALL, WIDTH
from helpers.processes import make_command

CLOSED = ("2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-")
FULL = (">/dev/full", "2>/dev/full", ">/dev/full 2>&1")
ABANDONED = ("| true", "2>&1 | true", "| head -c 1 >/dev/null")


def shell(command: list[str], redirection: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell, with its streams redirected; the status is the command's, not the pipe's."""
    line = f"set -o pipefail; {shlex.join(command)} {redirection}"
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    return subprocess.run([bash, "-c", line], capture_output=True, text=True, check=False, timeout=120)


def mas(*words: object) -> list[str]:
    return [sys.executable, "-m", "mas_labels", *map(str, words)]


@pytest.fixture(scope="module")
def root(tiny_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two videos, for two shards."""
    root = tmp_path_factory.mktemp("root")
    (root / "pan").mkdir()
    for name in ("right.avi", "down.avi"):
        shutil.copy(tiny_videos / "pan" / name, root / "pan")
    return root


@pytest.mark.parametrize("redirection", ["2>&-", ">&- 2>&-", ">/dev/full 2>&1", "2>&1 | true"])
def test_a_run_whose_streams_fail_completes(root, tmp_path, redirection):
    command = make_command(root, tmp_path / "out", "--videos-per-shard", "1", "--workers", "2")
    shown = shell(command, redirection)
    assert shown.returncode == 0, shown
    assert len(list((tmp_path / "out").glob("*.h5"))) == 2
    assert shell(mas("verify", tmp_path / "out"), "").returncode == 0


@pytest.mark.parametrize("redirection", [*CLOSED, *FULL, *ABANDONED])
def test_failing_streams_do_not_change_the_exit_status(tiny_shards, tmp_path, redirection):
    assert shell(mas("failures", *tiny_shards), redirection).returncode == 0
    assert shell(mas("status", tmp_path), redirection).returncode == 1
    shown = shell(mas("--help"), redirection)
    assert shown.returncode == 0 and "Traceback" not in shown.stderr and "Exception" not in shown.stderr


def test_lost_output_is_reported(tiny_shards):
    shown = shell(mas("failures", *tiny_shards), ">/dev/full")
    assert shown.stderr == "note: standard output is lost from here on (No space left on device)\n"
    assert shell(mas("failures", *tiny_shards), "| true").stderr == ""


@pytest.mark.parametrize("redirection", [">&- 2>&-", ">/dev/full 2>/dev/full", "2>&1 | true"])
def test_training_whose_streams_fail_completes(tiny_shards, tmp_path, redirection):
    small = [*SMALL, "--width", WIDTH, "--fc-width", 16, "--batch-size", 4, "--max-steps", 1]
    words = ["--shards", *tiny_shards, "--out", tmp_path / "run", "--no-curves", *small, "--workers", 1]
    shown = shell([sys.executable, "-m", "mas_train", *map(str, words)], redirection)
    assert shown.returncode == 0, shown
    assert (tmp_path / "run/checkpoints/step-00000001.pt").exists()


@pytest.mark.parametrize("module", ["finetune", "export", "evaluate", "reproduce"])
def test_the_other_commands_too(module):
    for redirection in (">/dev/full", "| true", ">&- 2>&-"):
        shown = shell([sys.executable, "-m", f"mas_train.cli.{module}", "--help"], redirection)
        assert shown.returncode == 0 and "Traceback" not in shown.stderr, shown
