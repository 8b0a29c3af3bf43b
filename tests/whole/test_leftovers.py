"""Nothing of ours is left when a process ends: no process, no socket, no file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("kept = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)", "process "),
        ("kept = socket.socketpair()", "<socket.socket"),
        ("kept = open(sys.executable)", "_io.FileIO"),
    ],
)
def test_what_tests_leave_behind_fails_the_run(line: str, named: str) -> None:
    found = run("-c", f"import helpers.leftovers, socket, subprocess, sys\n{line}")
    assert found.returncode == 1
    assert "left behind by the tests:" in found.stderr and named in found.stderr


def test_what_a_test_drops_without_closing_it_fails_the_test(tmp_path: Path) -> None:
    test = tmp_path / "test_planted.py"
    test.write_text("def test():\n    open(__file__)\n")
    config = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    found = run("-m", "pytest", "-q", "-p", "no:cacheprovider", *config, str(test))
    assert found.returncode == 1 and "unclosed file" in found.stdout, found.stdout


def test_a_labelling_process_that_nobody_uses_ends_with_us() -> None:
    code = """
import helpers.leftovers
from mas_labels.pipeline.supervisor import borrowed_labeller
with borrowed_labeller(lambda: None) as labeller:
    print(labeller.versions is not None)
"""
    found = run("-X", "dev", "-c", code)
    assert (found.returncode, found.stdout, found.stderr) == (0, "True\n", "")
