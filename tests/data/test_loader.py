"""Batches that threads read ahead: their content, order and number of threads; errors, and the end."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from mas_labels.errors import ShardError, UnavailableError
from mas_labels.shards import ShardSet, open_shards
from mas_labels.shards import pool as shard_pool
from mas_train.data import auto_workers, loader
from mas_train.data.auto_workers import AutoWorkers
from mas_train.data.clips import ClipBatch, ClipDataset, FrameDataset, RunOrder
from mas_train.data.loader import load_batches
from mas_train.data.prefetch import arrivals, copy_to_device, prefetch
from mas_train.recipe import make_recipe

CPU = torch.device("cpu")
RECIPE = make_recipe("ucf101", batch_size=5, seed=1, epochs=2)  # 12 clips: batches of 5, 5 and 2


@pytest.fixture(scope="module")
def shards(tiny_shards: list[Path]) -> ShardSet:
    return open_shards(tiny_shards)


def read(shards: ShardSet, workers: int | None, say: list[str]) -> list[ClipBatch]:
    batches = load_batches(ClipDataset(shards), RunOrder(shards.lengths, RECIPE), workers, CPU, say.append)
    return [ClipBatch(*(tensor.clone() for tensor in batch)) for batch in batches]


@pytest.mark.parametrize("workers", [1, 2, 9, None])
def test_threads_do_not_change_the_batches(
    shards: ShardSet, workers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_workers, "MEASURED_SECONDS", 0.0)
    monkeypatch.setattr(auto_workers, "MEASURED_BATCHES", 1)
    said: list[str] = []
    for alone, ahead in zip(read(shards, 0, []), read(shards, workers, said), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(alone, ahead, strict=True))
    assert len(said) == (workers is None)  # their number changed while batches were read


def choose(cores: int, reading: float, step: float, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setattr(auto_workers, "usable_cores", lambda: cores)
    auto = AutoWorkers()
    assert auto.workers == min(cores, 16)
    lines = [auto.add(30, 9.0, 9.0, 9.0) for _ in range(2)]  # the first ones do not count
    while not lines[-1]:
        lines.append(auto.add(30, reading, 0.0, step))
    assert not any(lines[:-1]) and not auto.add(30, 99.0, 0.0, 1.0)
    return auto.workers, lines[-1]


def test_as_many_threads_are_chosen_as_the_steps_need_and_the_cores_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert choose(8, 0.06, 0.9, monkeypatch)[0] == 1
    assert choose(8, 0.06, 0.03, monkeypatch) == (  # half as many again as would just do
        3,
        "--workers auto: 3 threads read clips, on 8 cores (a clip takes a thread 2 ms, a step of 30 clips "
        "takes 30 ms)",
    )
    workers, line = choose(2, 0.06, 0.012, monkeypatch)
    assert workers == 2 and "on 2 cores, 8 would keep up with the steps (" in line


def test_cores_are_shared_by_the_processes_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = auto_workers.usable_cores()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(alone))
    assert auto_workers.usable_cores() == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(2 * alone))
    assert auto_workers.usable_cores() == 1


class LoggedReads(FrameDataset):
    """Notes each clip that is read; reading the clips in `damaged` fails."""

    def __init__(self, shards: ShardSet, damaged: tuple[int, ...] = ()) -> None:
        super().__init__(shards)
        self.read: list[int] = []
        self.damaged = damaged

    def read_into(self, batch: ClipBatch, clips: Sequence[int]) -> None:
        self.read += clips
        if {*clips} & {*self.damaged}:
            raise ShardError("gone bad")
        super().read_into(batch, clips)


def test_batches_are_read_ahead_into_memory_that_is_used_again(shards: ShardSet) -> None:
    dataset = LoggedReads(shards)
    ready = load_batches(dataset, [[clip] for clip in range(12)], 1, CPU)
    ahead = loader.SPARE_BATCHES + loader.PART_CLIPS
    places = set()
    for clip, batch in enumerate(ready):
        assert batch.clip_indices.tolist() == [clip]
        np.testing.assert_array_equal(batch.frames[0].numpy(), shards[clip].frames)
        assert max(dataset.read) <= clip + ahead
        places.add(batch.frames.data_ptr())
    assert dataset.read == list(range(12)) and len(places) == 1 + ahead


def test_an_error_comes_where_its_batch_would_and_no_thread_stays(shards: ShardSet) -> None:
    before = {*threading.enumerate()}
    ready = load_batches(LoggedReads(shards, damaged=(1,)), [[0], [1]], 2, CPU)
    assert next(ready).clip_indices.tolist() == [0]
    with pytest.raises(ShardError, match=r"^gone bad$"):
        next(ready)
    assert {*threading.enumerate()} == before
    abandoned = load_batches(LoggedReads(shards), [[clip] for clip in (0, 2, 3, 4)], 2, CPU)
    next(abandoned)
    abandoned.close()
    assert {*threading.enumerate()} == before


def test_a_thread_that_cannot_be_started_is_one_line(shards: ShardSet) -> None:
    before = threading.stack_size(1 << 46)  # bytes, more than there are addresses
    try:
        with pytest.raises(UnavailableError, match=r"^the machine refused .*: end other programs"):
            next(load_batches(FrameDataset(shards), [[0]], 1, CPU))
    finally:
        threading.stack_size(before)


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


def test_workers_left_at_exit_do_not_block_it(tiny_shards: list[Path]) -> None:
    """An iterator, or an exception that holds one, may be kept until the interpreter exits."""
    code = """if __name__ == "__main__":
    import sys, torch
    from mas_labels.shards.shard_set import open_shards
    from mas_train.data.clips import ClipDataset
    from mas_train.data.loader import load_batches
    from mas_train.data.clips import RunOrder
    from mas_train.recipe import make_recipe
    dataset = ClipDataset(open_shards(sys.argv[1:]))
    order = RunOrder(dataset.shards.lengths, make_recipe("ucf101", batch_size=2, epochs=50))
    kept = load_batches(dataset, order, 1, torch.device("cpu"))
    next(kept)
    sys.kept = kept  # no garbage collection reaches it
"""
    command = [sys.executable, "-c", code, *map(str, tiny_shards)]
    assert subprocess.run(command, cwd=Path(__file__).parents[2], timeout=60).returncode == 0


def test_a_batch_on_its_device_is_not_copied(tiny_shards: list[Path]) -> None:
    clip = FrameDataset(open_shards(tiny_shards))[0]
    (batch,) = arrivals(copy_to_device(iter([clip]), CPU))
    assert batch.frames.data_ptr() == clip.frames.data_ptr()
