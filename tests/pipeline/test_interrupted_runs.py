"""Runs that are killed, interrupted, or fill the disk: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from helpers.processes import contents, make_command, wait_until

from mas_labels.plan.heartbeat import read_beats
from mas_labels.shards.reader import Shard


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tiny_videos, tmp_path, workers):
    """A limit on the size of files stands for the disk: the reservation fails in the same way."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**22, 2**22));"
        "from mas_labels.cli.main import main; main(prog_name='mas-labels')"
    )
    command = make_command(tiny_videos, tmp_path / "out", "--workers", workers)
    shown = subprocess.run(
        [sys.executable, "-c", code, *command[3:]], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 1, shown.stderr
    assert "error: cannot write" in shown.stderr
    assert "File too large" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert [path.name for path in (tmp_path / "out").iterdir() if path.suffix == ".h5"] == []


@pytest.mark.slow
def test_a_small_disk_that_fills_up(tiny_videos, tmp_path):
    """A real file system of 46 MB: room to begin, but not for all."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=46m", "none", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        command = make_command(
            tiny_videos, tmp_path / "out", "--frames", "raw", "--workers", "1", "--store-flow"
        )
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
        assert shown.returncode == 1, shown.stderr
        assert "No space left on device" in shown.stderr
        assert "Traceback" not in shown.stderr
        for path in (tmp_path / "out").glob("*.h5"):
            with Shard(path) as shard:
                shard.verify()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_workers_end_with_a_killed_parent_and_the_next_run_resumes(tiny_videos, tiny_shards, tmp_path):
    out = tmp_path / "out"
    command = make_command(tiny_videos, out, "--workers", "2")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: list(out.glob(".*.partial")), process)
    process.kill()
    process.wait()
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 3
    assert contents(out) == contents(tiny_shards[0].parent)


def _kill_and_finish(tiny_videos, tiny_shards, out, delay_seconds, *options):
    """Kill a run's whole process group after a while, run it again to its end, compare the bytes."""
    run_once = subprocess.Popen(
        make_command(tiny_videos, out, *options),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while run_once.poll() is None and not list(out.glob(".*.partial")):
        time.sleep(0.01)
    time.sleep(delay_seconds)  # counted from the start of the first shard
    finished_early = run_once.poll() is not None
    if not finished_early:
        os.killpg(run_once.pid, signal.SIGKILL)
    run_once.wait()
    complete = list(out.glob("*.h5")) if out.exists() else []
    for path in complete:
        with Shard(path) as shard:
            shard.verify()
    again = subprocess.run(
        make_command(tiny_videos, out, *options), capture_output=True, text=True, check=False
    )
    assert again.returncode == 3, again.stderr  # three of the files cannot be used
    assert contents(out) == contents(tiny_shards[0].parent)
    return finished_early


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_started_again_gives_the_same_bytes(tiny_videos, tiny_shards, tmp_path, workers):
    """The delays are spread so that some kill falls into decoding, some into writing."""
    early = [
        _kill_and_finish(tiny_videos, tiny_shards, tmp_path / str(delay), delay, "--workers", str(workers))
        for delay in (0.1, 0.8)
    ]
    assert not all(early)


def test_a_killed_worker_is_reported_and_its_shard_is_made_again(tiny_videos, tiny_shards, tmp_path):
    out = tmp_path / "out"
    command = make_command(tiny_videos, out, "--workers", "2")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: list(out.glob(".*.partial")), process)
    os.kill(read_beats(out)[0].pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors  # as without the kill: three of the files cannot be used
    assert "a worker process died, killed or out of memory" in errors
    assert "Traceback" not in errors
    assert contents(out) == contents(tiny_shards[0].parent)


def test_a_shard_whose_worker_always_dies_is_given_up_and_the_others_are_made(
    tiny_videos, tiny_shards, tmp_path
):
    out = tmp_path / "out"
    command = make_command(tiny_videos, out, "--workers", "2")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    killed = set()
    while process.poll() is None:
        for beat in read_beats(out) if out.is_dir() else []:
            if beat.name == tiny_shards[0].name and beat.pid not in killed:
                os.kill(beat.pid, signal.SIGKILL)
                killed.add(beat.pid)
        time.sleep(0.01)
    shown, _ = process.communicate()
    assert process.returncode == 1, shown
    assert len(killed) == 3
    assert f"shard {tiny_shards[0].name} was not written: its worker process died 3 times" in shown
    whole = contents(tiny_shards[0].parent)
    assert contents(out) == {name: whole[name] for name in whole if name != tiny_shards[0].name}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_says_so_and_leaves_no_traceback(tiny_videos, tmp_path, number, workers):
    command = make_command(tiny_videos, tmp_path / "out", "--workers", workers)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: list((tmp_path / "out").glob(".*.partial")), process)
    os.killpg(process.pid, number)  # as a terminal's Ctrl-C does: the workers get it, too
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "the same command resumes" in errors
    assert "Traceback" not in errors


def test_a_hangup_under_nohup_is_ignored(tiny_videos, tmp_path):
    command = ["nohup", *make_command(tiny_videos, tmp_path / "out", "--workers", "2")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: list((tmp_path / "out").glob(".*.partial")), process)
    os.killpg(process.pid, signal.SIGHUP)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors  # some of the videos are broken
