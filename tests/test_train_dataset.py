"""Clips streamed from real shards, in an order that depends on seed and epoch alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mas_labels.errors import ConfigError, ShardError
from mas_labels.shard import ShardSet, open_shards
from mas_train.dataset import ClipBatch, ClipDataset, RunOrder, epoch_order, label_blocks, load_batches

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shards(tiny_shards: list[Path]) -> ShardSet:
    return open_shards(tiny_shards)


def read(shards: ShardSet, workers: int) -> list[ClipBatch]:
    order = RunOrder(len(shards), batch_size=5, seed=1, epochs=2)
    return list(load_batches(ClipDataset(shards), order, workers, CPU))


def test_batches_hold_what_the_shards_hold(shards: ShardSet) -> None:
    batches = read(shards, workers=0)
    assert [len(batch.frames) for batch in batches] == [5, 5, 2, 5, 5, 2]  # 12 clips twice
    for batch in batches[:3]:
        assert batch.frames.dtype == batch.view_labels.dtype == torch.uint8
        assert batch.frames.shape[1:] == (16, 128, 171, 3)
        assert batch.view_labels.shape[1:] == (len(shards.views), 27)
        for row, clip in enumerate(batch.clip_indices.tolist()):
            np.testing.assert_array_equal(batch.frames[row].numpy(), shards[clip].frames)
            np.testing.assert_array_equal(batch.view_labels[row].numpy(), shards[clip].view_labels)


def test_workers_change_nothing(shards: ShardSet) -> None:
    for alone, two in zip(read(shards, workers=0), read(shards, workers=2), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(alone, two, strict=True))


def test_reading_draws_nothing_from_the_global_generator(shards: ShardSet) -> None:
    before = torch.get_rng_state()
    read(shards, workers=0)
    assert torch.equal(before, torch.get_rng_state())


def test_label_blocks_are_all_labels_once(shards: ShardSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mas_train.dataset.LABEL_BLOCK_CLIPS", 3)
    blocks = list(label_blocks(shards))
    assert max(map(len, blocks)) == 3
    np.testing.assert_array_equal(np.concatenate(blocks), [clip.view_labels for clip in shards])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.integers(0, 99), st.data())
def test_an_order_gone_on_with_is_the_rest_of_the_whole(
    clips: int, batch_size: int, epochs: int, seed: int, data: st.DataObject
) -> None:
    batch_size = min(batch_size, clips)
    whole = list(RunOrder(clips, batch_size, seed, epochs))
    start = data.draw(st.integers(0, len(whole)))
    rest = RunOrder(clips, batch_size, seed, epochs, start)
    assert list(rest) == whole[start:] and len(rest) == len(whole) - start
    assert list(RunOrder(clips, batch_size, seed, epochs, max_steps=start)) == whole[:start]
    flat = [clip for batch in whole for clip in batch]
    for epoch in range(epochs):
        assert sorted(flat[epoch * clips : (epoch + 1) * clips]) == list(range(clips))


def test_orders_differ_between_epochs_and_seeds() -> None:
    orders = [epoch_order(seed, epoch, 50).tolist() for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert len(set(map(tuple, orders))) == 4 and epoch_order(1, 0, 50).tolist() == orders[2]


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch of 13 is larger than the data \(12 clips\).*--batch-size"):
        RunOrder(12, batch_size=13, seed=0, epochs=1)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_shard_that_goes_bad_is_named_in_one_line(
    tiny_shards: list[Path], tmp_path: Path, workers: int
) -> None:
    copy = tmp_path / "copy.h5"
    copy.write_bytes(tiny_shards[0].read_bytes())
    dataset = ClipDataset(open_shards(copy))
    copy.write_bytes(b"no longer a shard" * 1000)
    order = RunOrder(len(dataset), batch_size=2, seed=0, epochs=1)
    with pytest.raises(ShardError, match=r"copy\.h5") as caught:
        list(load_batches(dataset, order, workers, CPU))
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_workers_left_over_at_exit_do_not_hang_it(tiny_shards: list[Path]) -> None:
    """Whoever keeps an iterator, or an exception that holds one, until the interpreter exits."""
    code = """if __name__ == "__main__":
    import sys, torch
    from mas_labels.shard import open_shards
    from mas_train.dataset import ClipDataset, RunOrder, load_batches
    dataset = ClipDataset(open_shards(sys.argv[1:]))
    kept = load_batches(dataset, RunOrder(len(dataset), 2, 0, 50), 1, torch.device("cpu"))
    next(kept)
    sys.kept = kept  # no garbage collection reaches it
"""
    command = [sys.executable, "-c", code, *map(str, tiny_shards)]
    assert subprocess.run(command, cwd=Path(__file__).parents[1], timeout=60).returncode == 0
