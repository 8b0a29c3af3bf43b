"""Batches that processes read ahead: their content, order and number of processes; errors, and the end."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.damaged_reader import DamagedReader

from mas_labels.errors import ConfigError, ShardError, TrainingError, UnavailableError
from mas_labels.shards import ShardSet, open_shards
from mas_labels.shards import pool as shard_pool
from mas_train.data import auto_workers, loader
from mas_train.data.auto_workers import AutoWorkers
from mas_train.data.clips import ClipBatch, ClipDataset, FrameDataset, RunOrder
from mas_train.data.loader import load_batches
from mas_train.data.prefetch import arrivals, copy_to_device, prefetch
from mas_train.recipe import make_recipe

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
RECIPE = make_recipe("ucf101", batch_size=5, seed=1, epochs=2)  # 12 clips: batches of 5, 5 and 2


@pytest.fixture(scope="module")
def shards(tiny_shards: list[Path]) -> ShardSet:
    return open_shards(tiny_shards)


def read(shards: ShardSet, workers: int | None, say: list[str]) -> list[ClipBatch]:
    batches = load_batches(ClipDataset(shards), RunOrder(shards.lengths, RECIPE), workers, CPU, say.append)
    return [ClipBatch(*(tensor.clone() for tensor in batch)) for batch in batches]


@pytest.mark.parametrize("workers", [2, None])
def test_workers_do_not_change_the_batches(
    shards: ShardSet, workers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MEASURED_SECONDS", 0.0), ("MEASURED_BATCHES", 1), ("START_SECONDS", 0.0)):
        monkeypatch.setattr(auto_workers, name, value)
    said: list[str] = []
    for alone, ahead in zip(read(shards, 0, []), read(shards, workers, said), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(alone, ahead, strict=True))
    assert len(said) == (workers is None)
    assert all("no processes" not in line for line in said)  # half of the batches came from others


def choose(
    cores: int, reading: float, step: float, monkeypatch: pytest.MonkeyPatch, batches: int = 10_000
) -> tuple[int, str]:
    monkeypatch.setattr(auto_workers, "usable_cores", lambda: cores)
    auto = AutoWorkers(batches)
    for _ in range(auto_workers.SKIPPED_BATCHES):
        auto.add(30, 9.0, 9.0)
    while not auto.is_chosen:
        assert not auto.line
        auto.add(30, reading, step)
    return auto.workers, auto.line


def test_as_many_processes_are_chosen_as_the_steps_need_and_the_cores_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert choose(8, 0.06, 0.9, monkeypatch)[0] == 1
    assert choose(8, 0.06, 0.03, monkeypatch) == (  # half as many again as would just do
        3,
        "--workers auto: 3 processes read clips ahead, on 8 cores (reading a clip takes 2 ms, a step of 30 "
        "clips 30 ms)",
    )
    workers, line = choose(2, 0.06, 0.012, monkeypatch)
    assert workers == 2 and "on 2 cores, 8 would keep up with the steps (" in line


def test_no_process_is_started_where_none_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(8, 0.01, 0.9, monkeypatch)[0] == 0
    workers, line = choose(8, 0.06, 0.03, monkeypatch, batches=50)
    assert workers == 0 and "no processes read clips ahead, on 8 cores: 25 batches are left (" in line
    few = AutoWorkers(5)
    for _ in range(5):
        few.add(30, 0.06, 0.03)
    assert (few.is_chosen, few.workers, few.line) == (False, 0, "")


def test_cores_are_shared_by_the_processes_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = auto_workers.usable_cores()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(alone))
    assert auto_workers.usable_cores() == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(2 * alone))
    assert auto_workers.usable_cores() == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "two")
    with pytest.raises(ConfigError, match=r"^LOCAL_WORLD_SIZE is 'two' .* expected a number: start with tor"):
        auto_workers.usable_cores()


def children() -> set[int]:
    """Return the processes that this one has started."""
    return {
        int(child) for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    }


def test_batches_are_read_ahead_into_memory_that_is_used_again_and_an_error_comes_in_its_place(
    shards: ShardSet,
) -> None:
    before, dataset = children(), FrameDataset(shards)
    damaged = 11
    dataset.reader = DamagedReader(shards, damaged=damaged)
    ready, places = load_batches(dataset, [[clip] for clip in range(12)], 1, CPU), set()
    for clip in range(damaged):
        batch = next(ready)
        assert batch.clip_indices.tolist() == [clip]
        np.testing.assert_array_equal(batch.frames[0].numpy(), shards[clip].frames)
        places.add(batch.frames.data_ptr())
    assert len(children() - before) == 1
    assert len(places) == 1 + loader.SPARE_BATCHES + loader.MIN_PART_CLIPS
    with pytest.raises(ShardError, match=r"^gone bad$"):
        next(ready)
    assert children() <= before


def test_a_killed_worker_is_one_line_and_no_process_stays(shards: ShardSet) -> None:
    before = children()
    ready = load_batches(FrameDataset(shards), [[clip % 12] for clip in range(99)], 1, CPU)
    next(ready)
    (worker,) = children() - before
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        os.kill(worker, number)  # as to the group: its parent decides
    next(ready)
    os.kill(worker, signal.SIGKILL)  # what the system does to whoever takes too much memory
    with pytest.raises(TrainingError, match=r"^a process that reads clips died \(status -9\).*--workers"):
        list(ready)
    assert children() <= before


@pytest.mark.parametrize(
    ("limit", "problem"),
    [("NOFILE", r"Too many open files\): .*ulimit -n"), ("FSIZE", r"File too large\): .*ulimit -f")],
)
def test_a_machine_that_gives_no_more_files_or_memory_is_one_line(
    shards: ShardSet, limit: str, problem: str
) -> None:
    list(load_batches(FrameDataset(shards), [[0]], 0, CPU))
    before, kind = children(), getattr(resource, f"RLIMIT_{limit}")
    soft, hard = resource.getrlimit(kind)
    few = len([*Path("/proc/self/fd").iterdir()]) + 6
    resource.setrlimit(kind, (few, hard))
    try:
        with pytest.raises(UnavailableError, match=rf"^the machine refused \({problem}"):
            next(load_batches(FrameDataset(shards), [[0]], 32, CPU))
    finally:
        resource.setrlimit(kind, (soft, hard))
    assert children() <= before


PROCESSES = """import os, resource, sys
from mas_labels.errors import UnavailableError
from mas_labels.shards import open_shards
from mas_train.data.read_ahead import ClipReader, ReadingProcesses
reader = ClipReader(open_shards(sys.argv[1:]))
processes = ReadingProcesses(reader, 1, 1)
processes.begin(0, [0])
print(*processes.wait(), len(os.listdir(f"/proc/{processes._workers[0].process.pid}/task")))
processes.close()
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    ReadingProcesses(reader, 1, 1)
except UnavailableError as error:
    print(error)
"""


def test_a_process_is_one_thread_and_one_that_is_not_granted_is_one_line(tiny_shards: list[Path]) -> None:
    command = [sys.executable, "-c", PROCESSES, *map(str, tiny_shards)]
    if os.getuid() == 0:  # whom the limit does not hold for: as a user who may read what root reads
        setpriv = shutil.which("setpriv") or pytest.skip("no setpriv: nothing limits the processes of root")
        alone, readers = ["--reuid=65534", "--regid=65534", "--clear-groups"], "-all,+dac_read_search"
        command = [setpriv, *alone, f"--inh-caps={readers}", f"--ambient-caps={readers}", *command]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    shown = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (shown.returncode, shown.stderr) == (0, ""), shown
    read, refused = shown.stdout.splitlines()
    assert read == "(0, None) 1"
    assert refused.startswith("the machine refused (Resource temporarily unavailable): raise the limit")
    assert "(ulimit -u" in refused and refused.endswith("; or give fewer --workers")


def test_a_thread_copies_ahead_and_ends_with_its_consumer(shards: ShardSet) -> None:
    """As for CUDA, but onto the CPU."""
    before = {*threading.enumerate()}
    batches = prefetch(copy_to_device(iter([FrameDataset(shards)[clip] for clip in range(4)]), CPU))
    assert [batch.clip_indices.tolist() for batch in arrivals(batches)] == [0, 1, 2, 3]
    batches = prefetch(copy_to_device(iter([FrameDataset(shards)[clip] for clip in range(4)]), CPU))
    next(batches)
    batches.close()
    assert {*threading.enumerate()} == before


def test_a_shard_whose_place_is_taken_stays_open_while_it_is_read(
    shards: ShardSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_pool, "max_open_shards", lambda: 1)
    expected = [clip.frames for clip in shards]
    shards.close()
    clips = np.random.default_rng(0).permutation(np.tile(np.arange(len(shards)), 8)).tolist()
    with ThreadPoolExecutor(4) as threads:
        for clip, frames in zip(clips, threads.map(shards.read_frames, clips), strict=True):
            np.testing.assert_array_equal(frames, expected[clip])
    assert len(shards._pool) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_shard_is_named_in_one_line(tiny_shards: list[Path], tmp_path: Path, workers: int) -> None:
    copy = tmp_path / "copy.h5"
    copy.write_bytes(tiny_shards[0].read_bytes())
    dataset = ClipDataset(open_shards(copy))
    copy.write_bytes(b"no longer a shard" * 1000)
    order = RunOrder(dataset.shards.lengths, make_recipe("ucf101", batch_size=2, epochs=1))
    with pytest.raises(ShardError, match=r"copy\.h5") as caught:
        list(load_batches(dataset, order, workers, CPU))
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_no_worker_outlives_a_killed_parent(tiny_shards: list[Path]) -> None:
    code = """import os, signal, sys
from mas_labels.shards import open_shards
from mas_train.data.read_ahead import ClipReader, ReadingProcesses
processes = ReadingProcesses(ClipReader(open_shards(sys.argv[1:])), 1, 1)
processes.begin(0, [0])
print(*processes.wait(), "torch" in sys.modules, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", code, *map(str, tiny_shards)]
    shown = subprocess.run(  # which ends when the last process that could write has ended
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (-signal.SIGKILL, "(0, None) False\n", "")


def test_a_batch_on_its_device_is_not_copied(tiny_shards: list[Path]) -> None:
    clip = FrameDataset(open_shards(tiny_shards))[0]
    (batch,) = arrivals(copy_to_device(iter([clip]), CPU))
    assert batch.frames.data_ptr() == clip.frames.data_ptr()
