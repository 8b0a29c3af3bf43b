"""File systems with limited support: unsupported calls are left out, failing ones stop the run."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.coloured import SMALL, WIDTH
from helpers.faults import SHARED_MEMORY, with_fault, with_shared_memory
from helpers.processes import contents, make_command

from mas_labels.plan.heartbeat import Heartbeat, read_beat
from mas_labels.system import files
from mas_labels.system.linux import reserve
from mas_train.weights.checkpoint import BEST_CHECKPOINT, CHECKPOINT_FOLDER, LAST_CHECKPOINT, _link


def training(shards: list[Path], out: Path) -> list[str]:
    """A command that takes two steps."""
    small = [*SMALL, "--width", WIDTH, "--fc-width", 16, "--batch-size", 4, "--max-steps", 2]
    words = ["--shards", *shards, "--out", out, *small, "--workers", 0]
    return [sys.executable, "-m", "mas_train", *map(str, words)]


@pytest.fixture(scope="module")
def root(tiny_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one video."""
    root = tmp_path_factory.mktemp("root")
    (root / "pan").mkdir()
    shutil.copy(tiny_videos / "pan/right.avi", root / "pan")
    return root


@pytest.fixture(scope="module")
def shards(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files that the run makes on a file system that supports everything."""
    out = tmp_path_factory.mktemp("shards")
    assert subprocess.run(make_command(root, out, "--workers", "1"), check=False).returncode == 0
    return contents(out)


def make(root: Path, out: Path, calls: str, error: str | int, path: Path | None = None):
    return with_fault(make_command(root, out, "--workers", "1"), calls, error, path)


@pytest.mark.parametrize(
    ("calls", "error"),
    [
        ("fsync", "EINVAL"),
        ("flock", "EINVAL"),
        ("flock", 524),
        ("fallocate", "ENOSYS"),
        ("fallocate", "EINVAL"),
    ],
)
def test_unsupported_calls_are_left_out_and_reported_once(root, shards, tmp_path, calls, error):
    shown = make(root, tmp_path / "out", calls, error)
    assert shown.returncode == 0, shown
    assert contents(tmp_path / "out") == shards
    notes = [line for line in shown.stderr.splitlines() if "does not support" in line]
    assert len(notes) == 1 and calls in notes[0]


@pytest.mark.parametrize("error", ["EINVAL", "EACCES"])
def test_folders_that_cannot_be_synced(root, shards, tmp_path, error):
    path = tmp_path / "out"
    path.mkdir()
    shown = make(root, path, "fsync", error, path)
    assert shown.returncode == 0 and contents(path) == shards
    assert shown.stderr.count("does not support") == 1 and "fsync of folders" in shown.stderr


@pytest.mark.parametrize(
    ("calls", "error"), [("fsync", "EIO"), ("fallocate", "ENOSPC"), ("fallocate", "EDQUOT")]
)
def test_failing_calls_stop_the_run(root, tmp_path, calls, error):
    shown = make(root, tmp_path / "out", calls, error)
    assert shown.returncode == 1 and os.strerror(getattr(errno, error)) in shown.stderr, shown
    assert "Traceback" not in shown.stderr
    assert [name for name in contents(tmp_path / "out") if name.endswith(".h5")] == []


def test_a_published_shard_whose_folder_fails_is_not_called_unwritten(root, tmp_path):
    (tmp_path / "out").mkdir()
    shown = make(root, tmp_path / "out", "fsync", "EIO", tmp_path / "out")
    assert (
        shown.returncode == 1
        and "was written, but its folder could not be synced to the disk" in shown.stderr
    )


def test_a_file_that_cannot_be_removed_does_not_end_a_run(root, shards, tmp_path):
    shown = make(root, tmp_path / "out", "unlink,unlinkat", "EIO", tmp_path / "out" / ".lock")
    assert shown.returncode == 0, shown
    found = contents(tmp_path / "out")
    assert found.pop(".lock").startswith("0 bytes") and found == shards


def test_training_where_fsync_and_links_are_not_supported(tiny_shards, tmp_path):
    command = training(tiny_shards, tmp_path / "run")
    shown = with_fault(command, "fsync,symlink,symlinkat", 524)
    assert shown.returncode == 0, shown
    assert shown.stdout.count("does not support") == 1
    folder = tmp_path / "run" / CHECKPOINT_FOLDER
    assert not (folder / LAST_CHECKPOINT).is_symlink()
    assert (folder / LAST_CHECKPOINT).read_bytes() == (folder / "step-00000002.pt").read_bytes()


def test_training_on_a_disk_that_fails_stops_in_one_line(tiny_shards, tmp_path):
    shown = with_fault(training(tiny_shards, tmp_path / "run"), "fsync", "EIO")
    assert shown.returncode == 1 and "Input/output error" in shown.stderr and "Traceback" not in shown.stderr


def test_a_copy_stands_for_a_checkpoint_where_there_are_no_links(tmp_path, monkeypatch):
    (tmp_path / "step-00000001.pt").write_bytes(b"weights")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "FAT has no links")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    _link(tmp_path / "step-00000001.pt", BEST_CHECKPOINT)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["weights"] * 2


def test_files_are_written_atomically(tmp_path):
    path = tmp_path / "a.json"
    files.write_text(path, "before")
    with pytest.raises(ZeroDivisionError), files.atomic_path(path) as hidden:
        hidden.write_text("half")
        raise ZeroDivisionError
    assert [item.read_text() for item in tmp_path.iterdir()] == ["before"]
    with files.atomic_path(path, is_shared=True) as hidden:
        hidden.write_text("after")
        assert hidden.suffix == ".json" and str(os.getpid()) in hidden.name
    assert [item.read_text() for item in tmp_path.iterdir()] == ["after"]


def test_space_is_reserved_by_appending_zeros(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    path = tmp_path / "a"
    path.write_bytes(b"data")
    with path.open("rb+") as file:
        reserve(file.fileno(), 3 << 20)
        reserve(file.fileno(), 1 << 20)
    assert path.read_bytes() == b"data".ljust(3 << 20, b"\0")


def test_a_heartbeat_needs_no_truncation(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "ftruncate", refuse)
    (tmp_path / ".a.h5.progress").write_text('{"left": "by another' + " " * 2000)
    with Heartbeat(tmp_path, "a.h5", 3, "run") as beat:
        beat._written = -1.0
        beat.count(videos=1)
        found = read_beat(tmp_path / ".a.h5.progress")
        assert found is not None and found.planned == 3


@pytest.mark.parametrize(
    ("program", "kind"), [(program, kind) for program in ("make", "verify") for kind in SHARED_MEMORY]
)
def test_without_shared_memory_there_is_one_line(tiny_videos, tiny_shards, tmp_path, kind, program):
    commands = {
        "make": make_command(tiny_videos, tmp_path / "out", "--workers", "2"),
        "verify": [sys.executable, "-m", "mas_labels", "verify", *map(str, tiny_shards)],
    }
    shown = with_shared_memory(kind, commands[program])
    assert shown.returncode == 1, shown
    lines = [line for line in shown.stderr.splitlines() if line and "|" not in line]  # except progress bars
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: several processes need a writable /dev/shm (")
    reason = {"read-only": "Read-only file system", "full": "No space left on device"}
    assert reason.get(kind, "") in lines[0]


def test_one_worker_needs_no_shared_memory(root, shards, tmp_path):
    shown = with_shared_memory("read-only", make_command(root, tmp_path / "out", "--workers", "1"))
    assert shown.returncode == 0 and "arning" not in shown.stderr
    assert contents(tmp_path / "out") == shards
