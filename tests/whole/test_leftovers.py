"""Nothing is left open when a process ends: no child process, no socket, no file."""

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
def test_leftovers_of_tests_fail_the_run(line: str, named: str) -> None:
    done = run("-c", f"import helpers.leftovers, socket, subprocess, sys\n{line}")
    assert done.returncode == 1
    assert "left behind by the tests:" in done.stderr and named in done.stderr


@pytest.mark.parametrize("status", [0, 1])
def test_leftovers_in_a_worker_fail_the_run(status: int, tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    kept = "open(__file__)" if status else "None"
    (tmp_path / "test_planted.py").write_text(f"import sys\ndef test():\n    sys.kept = {kept}\n")
    options = ["-p", "no:cacheprovider", "-p", "helpers.leftovers", "-n", "1", "--rootdir", str(tmp_path)]
    done = run("-m", "pytest", "-q", *options, str(tmp_path))
    assert "1 passed" in done.stdout and done.returncode == status, done.stdout
    assert ("test_planted.py" in done.stderr) == bool(status)


def test_an_unclosed_file_fails_its_test(tmp_path: Path) -> None:
    test = tmp_path / "test_planted.py"
    test.write_text("def test():\n    open(__file__)\n")
    config = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", *config, str(test))
    assert done.returncode == 1 and "unclosed file" in done.stdout, done.stdout


def test_an_idle_labelling_process_ends_with_its_parent() -> None:
    code = """
import helpers.leftovers
from mas_labels.pipeline.supervisor import borrowed_process
with borrowed_process(lambda: None) as process:
    print(process.versions is not None)
"""
    done = run("-X", "dev", "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
