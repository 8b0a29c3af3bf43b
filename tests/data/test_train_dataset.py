"""Clips read from shards in batches, in an order that depends on seed and epoch alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mas_labels.errors import ConfigError
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_train.data import clips
from mas_train.data.clips import ClipBatch, ClipDataset, RunOrder, epoch_order, label_blocks
from mas_train.data.loader import load_batches
from mas_train.recipe import Recipe, make_recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shards(tiny_shards: list[Path]) -> ShardSet:
    return open_shards(tiny_shards)


def recipe(batch_size: int, **changes: object) -> Recipe:
    return make_recipe("ucf101", batch_size=batch_size, **changes)


def read(shards: ShardSet, workers: int) -> list[ClipBatch]:
    order = RunOrder(shards.lengths, recipe(5, seed=1, epochs=2))
    batches = load_batches(ClipDataset(shards), order, workers, CPU)
    return [ClipBatch(*(tensor.clone() for tensor in batch)) for batch in batches]


def test_batches_hold_the_content_of_the_shards(shards: ShardSet) -> None:
    batches = read(shards, workers=0)
    assert [len(batch.frames) for batch in batches] == [5, 5, 2, 5, 5, 2]  # 12 clips twice
    for batch in batches[:3]:
        assert batch.frames.dtype == batch.view_labels.dtype == torch.uint8
        assert batch.frames.shape[1:] == (16, 128, 171, 3)
        assert batch.view_labels.shape[1:] == (len(shards.views), 27)
        for row, clip in enumerate(batch.clip_indices.tolist()):
            np.testing.assert_array_equal(batch.frames[row].numpy(), shards[clip].frames)
            np.testing.assert_array_equal(batch.view_labels[row].numpy(), shards[clip].view_labels)


def test_reading_does_not_use_the_global_generator(shards: ShardSet) -> None:
    before = torch.get_rng_state()
    read(shards, workers=0)
    assert torch.equal(before, torch.get_rng_state())


def test_label_blocks_cover_all_labels_once(shards: ShardSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mas_train.data.clips.LABEL_BLOCK_CLIPS", 3)
    blocks = list(label_blocks(shards))
    assert max(map(len, blocks)) == 3
    np.testing.assert_array_equal(np.concatenate(blocks), [clip.view_labels for clip in shards])


LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any)
WINDOWS = st.sampled_from(
    [{"shuffle": "full"}, *({"shuffle": "window", "shuffle_window": n} for n in (1, 2, 9))]
)


@settings(max_examples=60)
@given(LENGTHS, WINDOWS, st.integers(1, 40), st.integers(1, 4), st.integers(0, 99), st.data())
def test_a_resumed_order_is_the_rest_of_the_whole_order(
    lengths: list[int], shuffle: dict, batch_size: int, epochs: int, seed: int, data: st.DataObject
) -> None:
    clips = sum(lengths)
    order_recipe = recipe(min(batch_size, clips), epochs=epochs, seed=seed, **shuffle)
    whole = list(RunOrder(lengths, order_recipe))
    start = data.draw(st.integers(0, len(whole)))
    rest = RunOrder(lengths, order_recipe, start)
    assert list(rest) == whole[start:] and len(rest) == len(whole) - start
    assert list(RunOrder(lengths, order_recipe, max_steps=start)) == whole[:start]
    flat = [clip for batch in whole for clip in batch]
    for epoch in range(epochs):
        assert sorted(flat[epoch * clips : (epoch + 1) * clips]) == list(range(clips))


def test_an_epoch_is_drawn_once_while_batches_of_the_next_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = clips.epoch_order
    monkeypatch.setattr(clips, "epoch_order", lambda *args: drawn.append(args[1]) or draw(*args))
    order = RunOrder([6], recipe(2, epochs=3))
    taken = [(order.batch(step + 3), order.batch(step))[1] for step in range(6)]
    assert drawn == [1, 0, 2] and taken == list(RunOrder([6], recipe(2, epochs=2)))


@settings(max_examples=60)
@given(LENGTHS, WINDOWS, st.integers(1, 40), st.integers(1, 5))
def test_ranks_split_the_batches_of_one_process(
    lengths: list[int], shuffle: dict, batch_size: int, ranks: int
) -> None:
    order_recipe = recipe(min(batch_size, sum(lengths)), epochs=2, **shuffle)
    ranks = min(ranks, order_recipe.batch_size)
    alone = RunOrder(lengths, order_recipe)
    orders = [RunOrder(lengths, order_recipe, rank=rank, ranks=ranks) for rank in range(ranks)]
    for step, batch in enumerate(alone):
        parts = [order.part(step) for order in orders]
        assert [clip for clips, weight in parts if weight for clip in clips] == batch == alone.batch(step)
        assert sum(weight for _, weight in parts) == pytest.approx(1)
        assert all(0 < len(clips) <= -(-order_recipe.batch_size // ranks) for clips, _ in parts)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 9), st.integers(0, 9))
def test_a_window_opens_few_shards_at_a_time(lengths: list[int], window: int, epoch: int) -> None:
    order = epoch_order(0, epoch, lengths, window)
    shards = np.repeat(np.arange(len(lengths)), lengths)[order]  # of each clip, in the order they come
    spans = [np.flatnonzero(shards == shard)[[0, -1]] for shard in range(len(lengths))]
    for at in range(len(order)):
        assert sum(first <= at <= last for first, last in spans) <= window


def test_a_window_mixes_the_clips_of_its_shards() -> None:
    shards = epoch_order(0, 0, [50] * 4, 2) // 50
    assert set(shards[:100]) | set(shards[100:]) == {0, 1, 2, 3} and len(set(shards[:100])) == 2
    assert (np.diff(shards[:100]) != 0).sum() > 30  # 49 on average if they are drawn evenly


def test_orders_differ_between_epochs_and_seeds() -> None:
    for window in (None, 2):
        orders = [
            epoch_order(*key, [20, 20, 10], window).tolist() for key in ((0, 0), (0, 1), (1, 0), (1, 1))
        ]
        assert len(set(map(tuple, orders))) == 4
        assert epoch_order(1, 0, [20, 20, 10], window).tolist() == orders[2]


def test_invalid_batch_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch of 13 is larger than the data \(12 clips\).*--batch-size"):
        RunOrder([5, 7], recipe(13))
    with pytest.raises(ConfigError, match=r"batch of 3 is too small for 4 processes.*--batch-size 4"):
        RunOrder([5, 7], recipe(3), ranks=4)
