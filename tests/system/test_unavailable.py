"""Files that cannot be read now: never reported as corrupt, never with advice to remove them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from helpers.commands import mas
from helpers.faults import with_fault
from helpers.processes import make_command
from helpers.shards import write_shard
from helpers.videos import moving_texture, write_video

from mas_labels import config
from mas_labels.errors import ShardError, UnavailableError, VideoError, system_error, unavailable
from mas_labels.pipeline import label_video, make_shard
from mas_labels.shards import frames, hdf5_file
from mas_labels.shards.opening import find_shards
from mas_labels.shards.reader import Shard
from mas_labels.shards.shard_set import open_shards
from mas_labels.verify.run import Checks, verify_shard
from mas_labels.video import reader, video_file

READ = "read,pread64,preadv,readv"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mas_labels", *map(str, arguments)]


def require_no_advice_to_remove(text: str) -> None:
    assert "remove" not in text and "regenerate" not in text and "damaged" not in text and "BAD" not in text


@pytest.mark.parametrize(
    ("calls", "error", "when", "reason"),
    [
        ("openat", "EIO", "", "Input/output error"),
        ("openat", "EACCES", "", "Permission denied"),
        ("openat", "EMFILE", "2+", "Too many open files"),
        (READ, "ESTALE", "", "Stale file handle"),
        (READ, "EIO", "9+", "Input/output error"),
    ],
)
def test_verify_of_a_sound_shard_that_cannot_be_read_now(tiny_shards, calls, error, when, reason):
    shown = with_fault(command("verify", tiny_shards[0]), calls, error, tiny_shards[0], when)
    assert shown.returncode == 6, shown
    assert (
        f"CANNOT READ {tiny_shards[0]}" in shown.stdout and f"cannot be read now ({reason})" in shown.stdout
    )
    require_no_advice_to_remove(shown.stdout + shown.stderr)


def test_an_unavailable_shard_is_neither_sound_nor_unsound_in_json(tiny_shards):
    shown = with_fault(command("verify", "--json", *tiny_shards), READ, "EIO", tiny_shards[1])
    found = json.loads(shown.stdout)
    assert (shown.returncode, found["sound"]) == (6, None)
    assert [shard["sound"] for shard in found["shards"]] == [True, None]
    assert "Input/output error" in found["shards"][1]["unavailable"] and not found["shards"][1]["problems"]


def test_status_reports_a_shard_that_cannot_be_read_now(tiny_shards):
    for as_json in ([], ["--json"]):
        shown = with_fault(
            command("status", tiny_shards[0].parent, *as_json), "openat", "ESTALE", tiny_shards[0]
        )
        assert shown.returncode == 6 and "cannot be read now (Stale file handle)" in shown.stdout
        if as_json:
            assert json.loads(shown.stdout)["damaged"] == []
        else:
            require_no_advice_to_remove(shown.stdout + shown.stderr)


def test_a_run_over_shards_that_cannot_be_read_stops_before_work(tiny_videos, tiny_shards, tmp_path):
    for path in tiny_shards:
        shutil.copy(path, tmp_path)
    target = tmp_path / tiny_shards[0].name
    shown = with_fault(make_command(tiny_videos, tmp_path), READ, "EIO", target)
    assert shown.returncode == 1 and "cannot be read now (Input/output error)" in shown.stderr
    require_no_advice_to_remove(shown.stderr)
    assert target.read_bytes() == tiny_shards[0].read_bytes()


@pytest.mark.parametrize("when", ["5+", "30+", "45+"])
def test_an_io_error_at_any_moment_is_not_reported_as_corruption(tiny_shards, when):
    """Opening, the tables, the file digest, frames: HDF5 words its errors differently at each."""
    code = (
        "import sys; from mas_labels.shards.shard_set import open_shards\n"
        "from mas_labels.errors import UnavailableError\n"
        "try:\n"
        "    shards = open_shards(sys.argv[1])\n"
        "    [(shards.read_labels(i), shards.read_frames(i)) for i in range(len(shards))]\n"
        "    shards.shard(0).verify()\n"
        "except UnavailableError as error: print('unavailable', error)\n"
    )
    shown = with_fault([sys.executable, "-c", code, str(tiny_shards[0])], READ, "EIO", tiny_shards[0], when)
    assert shown.stdout.startswith("unavailable"), shown
    assert "(Input/output error)" in shown.stdout
    require_no_advice_to_remove(shown.stdout)


def test_a_truncated_or_foreign_file_is_corrupt(tiny_shards, tmp_path):
    for size in (0, 100, 5000, -5000):
        path = tmp_path / "a.h5"
        path.write_bytes(tiny_shards[0].read_bytes()[:size])
        with pytest.raises(ShardError, match="remove it and regenerate it"):
            Shard(path)


def test_the_file_digest_distinguishes_lack_of_memory_from_corruption(tiny_shards, tmp_path):
    assert isinstance(hdf5_file.explain(tiny_shards[0], MemoryError(), "is damaged"), UnavailableError)
    no_memory = OSError("memory allocation failed for chunk")
    assert isinstance(hdf5_file.explain(tiny_shards[0], no_memory, "is damaged"), UnavailableError)
    path = tmp_path / "a.h5"
    path.write_bytes(tiny_shards[0].read_bytes()[:-1] + b"?")
    assert isinstance(hdf5_file.explain(path, MemoryError(), "is damaged"), ShardError)


def test_verify_without_memory_knows_nothing(tiny_shards, monkeypatch):
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Shard, "verify_content", no_memory)
    report = verify_shard(tiny_shards[0], Checks())
    assert report.is_sound is None and "Cannot allocate memory" in str(report.unavailable)


@pytest.mark.parametrize("name", ["preadv", "fstat"])
def test_raw_frames_that_cannot_be_read_now(tmp_path, monkeypatch, name):
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with Shard(write_shard(tmp_path / "a.h5", frames="raw")) as shard:
        shard.read_frames(0)
        with monkeypatch.context() as patch, pytest.raises(UnavailableError, match="Input/output error"):
            patch.setattr(frames.os, name, refuse)
            shard.read_frames(0)


def test_missing_files_are_not_reported_as_corrupt(tmp_path):
    with pytest.raises(UnavailableError, match="No such file or directory"):
        Shard(tmp_path / "none.h5")


def test_a_folder_of_shards_that_cannot_be_listed_says_so(tiny_shards, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    for path in (tiny_shards[0].parent, tiny_shards[0].parent / "*.h6"):
        with pytest.raises(UnavailableError, match="Permission denied"):
            find_shards(path)


def test_h5py_and_open_shards_open_the_same_file_in_either_order(tiny_shards):
    """HDF5 compares the settings of the locks of a file that is open twice."""
    shards = open_shards(tiny_shards[:1])
    clip = shards.read_frames(0)
    for locking in (None, True, False, "best-effort"):
        with h5py.File(tiny_shards[0], locking=locking) as plain:
            assert len(plain["clips/video"]) == len(shards)
    shards.close()
    for locking in (None, True, False, "best-effort"):
        with h5py.File(tiny_shards[0], locking=locking) as plain, Shard(tiny_shards[0]) as ours:
            assert (ours.read_frames(0) == clip).all() and len(plain["clips/video"]) == len(ours)


def test_a_shard_is_read_while_h5py_holds_its_lock_and_without_locks(tiny_shards):
    code = "import sys; from mas_labels import open_shards; open_shards(sys.argv[1]).read_frames(0)"
    with h5py.File(tiny_shards[0], locking=True):
        shown = with_fault([sys.executable, "-c", code, str(tiny_shards[0])], "flock", "EINVAL")
    assert shown.returncode == 0, shown


@pytest.mark.parametrize(
    ("calls", "error", "when", "stage"),
    [
        ("openat", "EACCES", "", "open"),
        ("openat", "EMFILE", "", "open"),
        (READ, "EIO", "1+", "open"),
        (READ, "EIO", "9+", "decode"),
        (READ, "ESTALE", "11+", "decode"),
        ("lseek", "EIO", "1+", None),
        ("lseek", "EIO", "2+", None),
    ],
)
def test_a_video_that_cannot_be_read_is_a_row_with_its_own_code(tiny_videos, calls, error, when, stage):
    path = tiny_videos / "pan/right.avi"
    code = (
        "import sys; from pathlib import Path; from mas_labels.video.video_file import VideoReader\n"
        "from mas_labels.errors import VideoError\n"
        "reader = VideoReader(Path(sys.argv[1]))\n"
        "try: [None for _ in reader]\n"
        "except VideoError as error: print(error.stage, error.code, error)\n"
    )
    shown = with_fault([sys.executable, "-c", code, str(path)], calls, error, path, when)
    found = shown.stdout.split(maxsplit=2)
    assert found[1] == "unreadable" and found[0] == (stage or found[0]), shown
    assert os.strerror(getattr(errno, error)) in found[2] and "--retry-failed" in found[2]
    assert "cut short" not in found[2] and "damaged" not in found[2]


@pytest.mark.parametrize(("name", "when"), [("a.zip", "1+"), ("a.zip", "5+"), ("a.tar", "3+")])
def test_an_archive_of_frames_that_cannot_be_read_is_not_reported_as_corrupt(tmp_path, name, when):
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"img_{number:05}.jpg"), np.full((48, 64, 3), number, np.uint8))
    shutil.make_archive(str(tmp_path / "a"), Path(name).suffix[1:], tmp_path, ".")
    code = (
        "import sys; from pathlib import Path; from mas_labels.video.open_video import open_video\n"
        "from mas_labels.errors import VideoError\n"
        "try: [None for _ in open_video(Path(sys.argv[1]))]\n"
        "except VideoError as error: print(error.stage, error.code, error)\n"
    )
    path = tmp_path / name
    shown = with_fault([sys.executable, "-c", code, str(path)], READ, "EIO", path, when)
    assert shown.stdout.split()[1] == "unreadable" and "Input/output error" in shown.stdout, shown


def test_one_unreadable_video_is_a_row_and_retried(tiny_videos, tmp_path):
    root = tmp_path / "root"
    for name in ("right.avi", "down.avi"):
        (root / "pan").mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny_videos / "pan" / name, root / "pan")
    target = root / "pan/right.avi"
    shown = with_fault(make_command(root, tmp_path / "out", "--workers", "1"), READ, "EIO", target, "1+")
    assert shown.returncode == 3, shown
    assert (
        "'pan/right.avi': open/unreadable: the machine could not read the file (Input/output error)"
        in shown.stdout
    )
    assert mas("make", *make_command(root, tmp_path / "out", "--retry-failed")[4:]).exit_code == 0


def test_an_unavailable_disk_leaves_no_shard_of_failures(tiny_videos, tmp_path):
    shown = with_fault(
        make_command(tiny_videos / "pan", tmp_path / "out", "--workers", "1"),
        "openat",
        "EIO",
        tiny_videos / "pan",
    )
    assert shown.returncode != 0


def test_lack_of_memory_is_not_a_fault_of_the_video(tiny_videos, monkeypatch):
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("mas_labels.pipeline.label_video.label_clip", no_memory)
    right = video_file.VideoReader(tiny_videos / "pan/right.avi")
    with pytest.raises(VideoError) as caught:
        list(label_video.label_video(right, config.LabelConfig(flow="dis")))
    assert caught.value.code == "no_memory"


SHORT_OF_MEMORY = """
import os, resource, sys
from pathlib import Path
from mas_labels.errors import VideoError
from mas_labels.video.video_file import VideoReader

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for megabytes in range(6):
    if os.fork() == 0:
        resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20),) * 2)
        try:
            list(VideoReader(Path(sys.argv[1])))
        except VideoError as error:
            os.write(1, error.code.encode() + b" ")
        except MemoryError:
            os.write(1, b"no_memory ")
        os._exit(0)
    os.wait()
"""


def test_a_decoder_without_memory_is_not_a_fault_of_the_video(tmp_path):
    """At whatever moment it runs out: the limits leave more and more of it."""
    path = write_video(tmp_path / "a.avi", moving_texture(20, 240, 320, 1, 0))
    done = subprocess.run([sys.executable, "-c", SHORT_OF_MEMORY, path], capture_output=True, check=True)
    assert {"no_memory"} <= {*done.stdout.decode().split()} <= {"no_memory", "unreadable"}, done.stdout


def test_a_shard_of_machine_errors_alone_is_not_kept():
    facts = reader.VideoFacts()
    lost = make_shard.VideoOutcome(0, facts, VideoError("open", "unreadable", "Input/output error"))
    bad = make_shard.VideoOutcome(0, facts, VideoError("open", "cannot_open", "no video"))
    with pytest.raises(UnavailableError, match="none of its 2 videos"):
        make_shard._require_a_readable_video([lost, lost], Path("root"))
    make_shard._require_a_readable_video([lost, bad], Path("root"))
    make_shard._require_a_readable_video([lost], Path("root"))


def test_unavailable_videos_do_not_make_a_shard_unsound(tiny_shards, tmp_path):
    shown = mas("verify", tiny_shards[0], "--recompute", "100%", "--root", tmp_path)
    assert shown.exit_code == 6 and "videos could not be read now" in shown.output
    require_no_advice_to_remove(shown.output)


def test_errors_name_the_reason_of_the_system():
    assert system_error(KeyError("read failed: errno = 116, error message")) == errno.ESTALE
    assert system_error(OSError(errno.EINVAL, "an offset that a corrupt file leads to")) is None
    assert "ulimit -n" in str(unavailable("a.h5", OSError(errno.EMFILE, "")))
    assert cv2.Error.StsNoMem == -4
