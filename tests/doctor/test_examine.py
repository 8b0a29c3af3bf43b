"""`mas-labels doctor` on machines where nearly everything is broken: each fault is a line with its remedy."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.faults import with_fault, with_shared_memory
from helpers.processes import wait_until

import mas_labels
from mas_labels.doctor.folder import find_folder
from mas_labels.doctor.machine import MIN_OPEN_FILES
from mas_labels.doctor.run import examine
from mas_labels.doctor.torch_process import find_torch
from mas_labels.shards.pool import MAX_OPEN_SHARDS, OTHER_FILES
from mas_labels.system import files
from mas_labels.system.process import describe_end
from mas_labels.system.signals import EXIT_SIGNAL

PACKAGE = Path(mas_labels.__file__).parent
LIBGL = "libGL.so.1: cannot open shared object file: No such file or directory"


def lines_of(shown: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """Return the verdict and the text of each finding by its name."""
    rows = [(line[:7].strip(), *line[9:].split("  ", 1)) for line in shown.stdout.splitlines()]
    return {name: (verdict, text.strip()) for verdict, name, text in rows}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A machine without libGL, compiled code and a torch that run, files to open and a folder."""
    root = tmp_path_factory.mktemp("broken")
    shutil.copytree(PACKAGE, root / "mas_labels", ignore=shutil.ignore_patterns("*.so", "native"))
    shutil.copytree(PACKAGE.parent / "mas_train" / "runtime", root / "mas_train" / "runtime")
    (root / "mas_train" / "__init__.py").touch()
    for extension in PACKAGE.glob("_tvl1*.so"):
        (root / "mas_labels" / extension.name).write_bytes(b"cut")
    (root / "mas_labels" / "_labels.py").write_text("import os; os.abort()\n")
    (root / "cv2.py").write_text(f"raise ImportError({LIBGL!r}, name='cv2')\n")
    (root / "torch.py").write_text("import os; os.abort()\n")
    (root / "file").touch()
    limited = ["sh", "-c", 'ulimit -n 20; exec "$@"', "sh", sys.executable, "-m", "mas_labels", "doctor"]
    return subprocess.run(
        [*limited, "--out", "file/labels"], cwd=root, env={"PYTHONPATH": str(root), "PATH": "/bin:/usr/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_every_fault_is_a_line_and_errors_give_status_1(broken):
    assert (broken.returncode, broken.stderr) == (1, "")
    found = {name: verdict for name, (verdict, _) in lines_of(broken).items()}
    errors = {name for name, verdict in found.items() if verdict == "error"}
    assert errors == {"OpenCV", "labelling", "tvl1", "extensions", "labels", "folder"}
    assert {"open files", "torch"} <= {name for name, verdict in found.items() if verdict == "warning"}
    assert {"Python", "cores", "memory", "/dev/shm"} <= {
        name for name, verdict in found.items() if verdict == "ok"
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("OpenCV", f"({LIBGL}): install it (Debian: apt install libgl1"),
        ("labelling", "see OpenCV"),
        ("tvl1", "without it `tvl1` flow stops with a message: the compiled extension is not there"),
        ("tvl1", "Install a C++17 compiler, GCC or Clang (Debian: apt install g++)"),
        ("extensions", "ended the process (killed by SIGABRT): install the project again for this machine"),
        ("labels", "see extensions"),
        ("open files", "20 allowed, too few for many shards or workers: raise the limit of open files"),
        ("folder", "file (Not a directory): check the path"),
        ("torch", "(killed by SIGABRT, Fatal Python error: Aborted): pip install"),
    ],
)
def test_a_fault_comes_with_its_remedy(broken, name, words):
    assert words in lines_of(broken)[name][1]


def examine_folder(folder: Path) -> list[str]:
    """A program that examines a folder."""
    program = (
        "import pathlib, sys; from mas_labels.doctor.folder import find_folder\n"
        "print(*find_folder(pathlib.Path(sys.argv[1])), sep='\\n')"
    )
    return [sys.executable, "-c", program, str(folder)]


def test_a_folder_in_order_keeps_no_trace(tmp_path):
    shown = subprocess.run(examine_folder(tmp_path / "new/er"), capture_output=True, text=True, check=True)
    assert lines_of(shown)["folder"] == ("ok", f"{tmp_path}: fsync, locks, reserved space and links work")
    assert lines_of(shown)["disk"][1].endswith(" free") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("calls", "error", "verdict", "words"),
    [
        (
            "fsync",
            "EINVAL",
            "warning",
            "does not support fsync: the latest data may be lost in a power failure",
        ),
        ("fsync", "EIO", "error", "(Input/output error): it may be sound: check the disk or the network"),
        ("flock", "EINVAL", "warning", "does not support flock: only heartbeats distinguish runs"),
        ("link,linkat", "EPERM", "warning", "no hard links: a run that is killed may leave a file"),
    ],
)
def test_what_a_disk_does_not_support_is_told(tmp_path, calls, error, verdict, words):
    shown = with_fault(examine_folder(tmp_path), calls, error)
    found, text = lines_of(shown)["folder"]
    assert found == verdict and words in text, shown


def test_locks_that_are_granted_twice_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "try_lock", lambda descriptor: True)
    first, _ = find_folder(tmp_path)
    assert first.verdict == "warning" and first.text.startswith("locks are granted twice")


def test_without_shared_memory_the_remedy_is_one_worker():
    program = (
        "from mas_labels.doctor.examine import EXAMINATIONS, carry_out\n"
        "for each in EXAMINATIONS:\n    if each.name == '/dev/shm': print(*carry_out(each, None))"
    )
    shown = with_shared_memory("read-only", [sys.executable, "-c", program])
    verdict, text = lines_of(shown)["/dev/shm"]
    assert verdict == "warning" and text.endswith(", or give --workers 1"), shown


def test_fewer_open_files_are_told_where_fewer_shards_stay_open():
    assert MIN_OPEN_FILES == MAX_OPEN_SHARDS + OTHER_FILES


def test_files_of_the_current_folder_do_not_stand_for_modules(tmp_path, monkeypatch):
    (tmp_path / "mas_labels").mkdir()
    for name in ("mas_labels/__init__.py", "random.py"):
        (tmp_path / name).write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    assert next(examine()).verdict == "ok"
    assert next(find_torch())[:2] == ("ok", "torch")


def test_a_torch_that_hangs_ends_with_the_doctor(tmp_path, monkeypatch):
    """Whoever is tired of waiting stops the doctor; the lock tells whether torch still runs."""
    lock = tmp_path / "lock"
    (tmp_path / "torch.py").write_text(
        "import fcntl, time\n"
        f"file = open({str(lock)!r}, 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "file.write('held')\nfile.flush()\ntime.sleep(300)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{PACKAGE.parent}")
    with subprocess.Popen(
        [sys.executable, "-m", "mas_labels", "doctor"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as doctor:
        wait_until(lambda: lock.exists() and lock.read_text() == "held")
        doctor.terminate()
        assert doctor.wait(60) == EXIT_SIGNAL + signal.SIGTERM
        assert doctor.stderr.read() == "stopped by SIGTERM; the same command starts over\n"
    wait_until(lambda: files.take_lock(lock) is not None)


def test_a_torch_that_the_system_kills_is_not_called_broken(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = find_torch()
    assert found.text.startswith("does not load (killed by SIGKILL, no message): memory ran out, perhaps: ")


@pytest.mark.parametrize(
    ("status", "end"), [(3, "exit status 3"), (-9, "killed by SIGKILL"), (-40, "killed by signal 40")]
)
def test_the_end_of_a_process_is_told(status, end):
    assert describe_end(status) == end


def test_a_folder_below_a_current_one_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    (found,) = find_folder(Path("labels"))
    assert found.verdict == "error" and found.text.startswith("cannot write to labels (No such file")
