"""Corrupted shards and checkpoints, read in a separate process so that a crash is detected."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.shards import write_shard

from mas_labels.errors import ShardError
from mas_labels.shards.digests import FILE_DIGEST_BYTES, check_file_digest

HERE = Path(__file__).parents[1]


def read_mutants(kind, path, seed, count, positions=()):
    """Return how often each outcome occurred; fail if the reader crashed or raised a foreign exception."""
    command = [sys.executable, HERE / "helpers" / "read_mutants.py", kind, path, str(seed), str(count)]
    command += [",".join(map(str, positions))] if len(positions) else []
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3600, check=False)
    seen = run.stdout.split()
    assert run.returncode == 0, f"after {len(seen)}: status {run.returncode}\n{run.stderr[-2000:]}"
    assert len(seen) == (len(positions) or count)
    return Counter(seen)


@pytest.fixture(scope="module")
def small_shard(tmp_path_factory):
    return write_shard(tmp_path_factory.mktemp("shard") / "a.h5", clips=2, jpeg_quality=1)


def structural_bytes(path):
    """Return the positions of all bytes outside of chunks: HDF5's tables, padding, the file digest."""
    whole, table = path.read_bytes(), np.ones(path.stat().st_size, bool)
    with h5py.File(path) as file:

        def exclude_chunks(name, item):
            if isinstance(item, h5py.Dataset) and item.chunks:
                for number in range(item.id.get_num_chunks()):
                    chunk = item.id.get_chunk_info(number)
                    stored = item.id.read_direct_chunk(chunk.chunk_offset)[1]
                    # HDF5's versions do not agree on where offsets count from
                    base = next(
                        offset
                        for offset in (0, FILE_DIGEST_BYTES)
                        if whole[chunk.byte_offset + offset :].startswith(stored)
                    )
                    table[chunk.byte_offset + base :][: chunk.size] = False

        file.visititems(exclude_chunks)
    return np.flatnonzero(table)


def test_structural_bytes_are_those_outside_of_chunks(small_shard):
    positions = structural_bytes(small_shard)
    assert set(range(FILE_DIGEST_BYTES)) < set(positions.tolist())
    assert 5_000 < len(positions) < 60_000 < small_shard.stat().st_size


@pytest.mark.parametrize("every", [37, pytest.param(1, marks=pytest.mark.slow)])
def test_a_flipped_bit_anywhere_breaks_the_file_digest(small_shard, tmp_path, every):
    """Every `every`th byte of the tables and some of the data; all bits of the file digest itself."""
    whole = small_shard.read_bytes()
    structural = structural_bytes(small_shard)
    rng = np.random.default_rng(every)
    data = rng.integers(0, len(whole), 50)
    flips = [
        (int(position), int(rng.integers(8))) for position in [*structural[FILE_DIGEST_BYTES::every], *data]
    ]
    flips += [(position, bit) for position in range(0, FILE_DIGEST_BYTES, min(every, 7)) for bit in range(8)]
    path = tmp_path / "a.h5"
    path.write_bytes(whole)
    check_file_digest(path)
    with path.open("r+b", buffering=0) as file:
        for position, bit in flips:
            os.pwrite(file.fileno(), bytes([whole[position] ^ 1 << bit]), position)
            with pytest.raises(ShardError, match="do not match its file digest"):
                check_file_digest(path)
            os.pwrite(file.fileno(), whole[position : position + 1], position)
    check_file_digest(path)


@pytest.mark.parametrize("every", [211, pytest.param(1, marks=pytest.mark.slow)])
def test_a_flipped_bit_in_the_tables_never_gives_wrong_data(small_shard, every):
    """Bytes without a checksum do not change the data: the reader refuses, or reads the same."""
    seen = read_mutants(
        "shard", small_shard, every, 0, structural_bytes(small_shard)[FILE_DIGEST_BYTES::every].tolist()
    )
    assert seen["WRONG"] == 0, seen
    assert seen["refused"] > seen["same"] > 0


@pytest.mark.parametrize("count", [60, pytest.param(5000, marks=pytest.mark.slow)])
def test_damaged_shards_are_refused_or_read_the_same(small_shard, count):
    seen = read_mutants("shard", small_shard, 1, count)
    assert seen["WRONG"] == 0, seen
    assert seen["refused"] > count / 2


@pytest.fixture(scope="module")
def small_checkpoint(tiny_shards, tmp_path_factory):
    """Return the checkpoint of a small network after one step."""
    pytest.importorskip("torch")
    from mas_train.recipe import make_recipe
    from mas_train.training.options import TrainingOptions
    from mas_train.training.pretrain import pretrain
    from mas_train.weights.checkpoint import list_checkpoints

    out = tmp_path_factory.mktemp("run")
    recipe = make_recipe("ucf101", width=1 / 32, fc_width=4, batch_size=2)
    pretrain(recipe, TrainingOptions(tiny_shards, out, "cpu", workers=0, threads=1, max_steps=1))
    return list_checkpoints(out)[-1]


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_checkpoints_are_refused_or_read_the_same(small_checkpoint, count):
    seen = read_mutants("checkpoint", small_checkpoint, 2, count)
    assert seen["WRONG"] == 0, seen
    assert seen["refused"] > count / 2
