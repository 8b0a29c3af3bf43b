"""Several machines: ranks that share a folder, a dask cluster, the status of a folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.processes import contents, digest, make_command, wait_until

from mas_labels.cli.main import main
from mas_labels.errors import ConfigError, DatasetError
from mas_labels.pipeline.status import read_status
from mas_labels.plan.heartbeat import Beat, Heartbeat, read_beats, remove_leftovers
from mas_labels.plan.ranks import find_rank_share

ROOT = Path(__file__).parents[2]


def slurm(task, count, first, last, step=1):
    values = {"ID": task, "COUNT": count, "MIN": first, "MAX": last, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1)),
        ({"SLURM_JOB_ID": "7"}, (0, 1)),
        (slurm(0, 4, 0, 3), (0, 4)),
        (slurm(3, 4, 0, 3), (3, 4)),
        (slurm(1, 8, 1, 8), (0, 8)),
        (slurm(20, 3, 10, 20, 5), (2, 3)),
    ],
)
def test_ranks_follow_from_slurms_array(environment, expected):
    assert find_rank_share(None, None, environment)[:2] == expected
    assert find_rank_share(1, 3, environment) == (1, 3, "--rank")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (slurm(7, 2, 3, 7), "have gaps"),
        (slurm(5, 3, 1, 9, 1), "have gaps"),
        ({"SLURM_ARRAY_TASK_ID": "3"}, "cannot read the rank"),
        (slurm("x", 3, 0, 2), "cannot read the rank"),
    ],
)
def test_an_array_with_gaps_is_refused(environment, message):
    with pytest.raises(ConfigError, match=message):
        find_rank_share(None, None, environment)


@pytest.mark.parametrize(("rank", "world_size"), [(None, 2), (0, None), (2, 2), (-1, 2)])
def test_half_a_rank_is_refused(rank, world_size):
    with pytest.raises(ConfigError, match="--rank"):
        find_rank_share(rank, world_size, {})


def start(command, **more):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def test_ranks_at_once_killed_and_in_other_numbers_give_the_bytes_of_one_run(
    tiny_videos, tiny_shards, tmp_path
):
    """Two at once, one killed; the rest by one rank of three, then by Slurm's variables."""
    out = tmp_path / "out"
    command = make_command(tiny_videos, out, "--workers", "1")
    ranks = [start([*command, "--rank", str(rank), "--world-size", "2"]) for rank in (0, 1)]
    wait_until(lambda: out.is_dir() and tiny_shards[0].name in [beat.name for beat in read_beats(out)])
    ranks[0].kill()
    ranks[0].communicate()
    shown, _ = ranks[1].communicate(timeout=60)
    assert ranks[1].returncode == 0, shown
    assert contents(out)[tiny_shards[1].name] == digest(tiny_shards[1])
    shown, _ = start([*command, "--rank", "2", "--world-size", "3"]).communicate(timeout=60)
    assert "0 shards in" in shown  # shards 0 and 1 belong to others
    last = start(command, env={**os.environ, **slurm(1, 1, 1, 1)})
    shown, _ = last.communicate(timeout=60)
    assert last.returncode == 3, shown
    assert contents(out) == contents(tiny_shards[0].parent)


def test_leftovers_of_dead_workers_are_removed_those_of_live_ones_are_not(tmp_path):
    with Heartbeat(tmp_path, "a-all-00000-of-00003.h5", 5, "run") as beat:
        beat.count(clips=1)
        (tmp_path / ".a-all-00001-of-00003.h5.partial").touch()
        elsewhere = {**vars(read_beats(tmp_path)[0]), "name": "a-all-00002-of-00003.h5", "host": "elsewhere"}
        fresh = tmp_path / ".a-all-00002-of-00003.h5.progress"
        fresh.write_text(json.dumps(elsewhere))
        fresh.with_suffix(".partial").touch()
        (tmp_path / ".lock-1-of-2").touch()
        assert remove_leftovers(tmp_path) == 1
        assert {path.name[:17] for path in tmp_path.iterdir()} == {".a-all-00000-of-0", ".a-all-00002-of-0"}
        os.utime(fresh, (time.time() - 1000, time.time() - 1000))
        assert remove_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_shard_that_another_process_makes_is_left_to_it(tmp_path):
    with (
        Heartbeat(tmp_path, "a.h5", 5, "run"),
        pytest.raises(ConfigError, match="another process is making"),
        Heartbeat(tmp_path, "a.h5", 5, "run"),
    ):
        pass


def test_status_counts_done_running_silent_and_left(tiny_shards, tmp_path):
    name = tiny_shards[0].name
    shutil.copy(tiny_shards[0], tmp_path)
    for index, age in ((1, 5.0), (2, 5000.0)):
        beat = Beat(
            f"folder-all-{index:05d}-of-00006.h5", "r", "node7", 12, time.time() - age - 10, 16, 3, 6, 1
        )
        path = tmp_path / f".{beat.name}.progress"
        path.write_text(json.dumps(vars(beat)))
        os.utime(path, (time.time() - age, time.time() - age))
    shutil.move(tmp_path / name, tmp_path / name.replace("of-00002", "of-00006"))
    (tmp_path / "folder-all-00005-of-00006.h5").write_text("damaged")
    found = json.loads(CliRunner().invoke(main, ["status", str(tmp_path), "--json"]).output)
    assert [found[key] for key in ("total", "done", "left", "clips")] == [6, 2, 3, 4]
    assert [len(found[key]) for key in ("running", "silent", "damaged")] == [1, 1, 1]
    assert found["clips_per_second"] == pytest.approx(0.6, rel=0.1)
    assert found["hours_left"] == pytest.approx((4 * 4 - 6) / 0.6 / 3600, rel=0.1)
    shown = CliRunner().invoke(main, ["status", str(tmp_path)]).output
    assert "2 of 6 shards done, 1 running, 3 left" in shown
    assert "node7 (process 12): 3 of 16 videos, 6 clips, 1 failed, 0.6 clips/s, last sign 5 s ago" in shown
    assert "damaged: " in shown


def test_status_of_a_folder_without_shards_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="expected shards"):
        read_status(tmp_path)


@pytest.fixture
def scheduler():
    """A dask scheduler on loopback: its address, and a function that starts a worker with its nanny."""
    pytest.importorskip("distributed")
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stderr": subprocess.PIPE, "text": True, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    processes = [subprocess.Popen([*dask, "scheduler", *local, "--port", "0"], **quiet)]
    try:
        for line in processes[0].stderr:
            if found := re.search(r"Scheduler at:\s+(tcp://127.0.0.1:\d+)", line):
                break
        worker = [*dask, "worker", found[1], *local, "--nthreads", "1", "--memory-limit", "0"]
        silent = {**quiet, "stderr": subprocess.DEVNULL}
        yield found[1], lambda: processes.append(subprocess.Popen(worker, **silent))
    finally:
        for process in reversed(processes):
            with process:  # closes its pipe, too
                process.terminate()


@pytest.fixture
def cluster(scheduler):
    """The address of a scheduler with two workers."""
    address, start_worker = scheduler
    start_worker()
    start_worker()
    return address


def test_a_cluster_without_workers_is_reported_and_given_up(scheduler, tiny_videos, tmp_path, monkeypatch):
    monkeypatch.setattr("mas_labels.pipeline.pool.NO_WORKERS_SECONDS", 0.5)
    command = make_command(tiny_videos, tmp_path / "out", "--backend", "dask", "--scheduler", scheduler[0])
    shown = CliRunner().invoke(main, command[3:])
    assert shown.exit_code == 1
    assert "the dask cluster has no workers: waiting for one, at most 0.5 s" in shown.output
    assert "error: the dask cluster had no workers for 0.5 s: start some" in shown.output


def test_a_dask_cluster_that_loses_a_worker_makes_the_same_bytes(cluster, tiny_videos, tiny_shards, tmp_path):
    out = tmp_path / "out"
    process = start(make_command(tiny_videos, out, "--backend", "dask", "--scheduler", cluster))
    working: list[int] = []
    wait_until(lambda: out.is_dir() and (working.extend(b.pid for b in read_beats(out)) or working), process)
    os.kill(working[0], signal.SIGKILL)
    shown, _ = process.communicate(timeout=100)
    assert process.returncode == 3, shown
    assert "Traceback" not in shown
    assert contents(out) == contents(tiny_shards[0].parent)


def test_an_unreachable_cluster_is_one_line(tiny_videos, tmp_path):
    """In a separate process: a client that finds no cluster leaves the sockets of its event loop open."""
    pytest.importorskip("distributed")
    code = """
import sys
from mas_labels.cli import main
from mas_labels.pipeline import pool
pool.CONNECT_SECONDS = 0.5
main.main(sys.argv[1:])
"""
    command = make_command(tiny_videos, tmp_path / "out", "--backend", "dask")[3:]
    scheduler = ["--scheduler", "tcp://127.0.0.1:9"]
    shown = subprocess.run([sys.executable, "-c", code, *command, *scheduler], capture_output=True, text=True)
    assert shown.returncode == 1
    assert "error: cannot reach a dask scheduler at tcp://127.0.0.1:9" in shown.stderr
    assert CliRunner().invoke(main, command).exit_code == 2


SCRIPT = ROOT / "examples" / "label_array.sbatch"


def test_the_slurm_script_makes_its_share(tiny_videos, tiny_shards, tmp_path):
    """As Slurm runs it: task 2 of an array from 1 to 2."""
    command = tmp_path / "mas-labels"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mas_labels "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, **slurm(2, 2, 1, 2), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    arguments = make_command(tiny_videos, tmp_path / "out")[5:]
    manifest, _, root, _, out, *options = arguments
    shown, _ = start(["bash", SCRIPT, manifest, root, out, *options], env=environment).communicate()
    assert [path.name for path in (tmp_path / "out").glob("*.h5")] == [tiny_shards[1].name], shown
    assert "rank 1 of 2, from SLURM_ARRAY_TASK_ID" in shown
    assert subprocess.run(["bash", SCRIPT], capture_output=True, check=False).returncode == 2


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_the_slurm_script_is_clean():
    subprocess.run(["shellcheck", SCRIPT], check=True)
