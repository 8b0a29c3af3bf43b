"""Chunks that are encoded here are those that HDF5's own filters decode."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from mas_labels.shards.hdf5_file import GrowingColumn

GZIP = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def append(path: Path, rows: np.ndarray, chunk_rows: int, filters: dict) -> h5py.Dataset:
    """Append rows in portions of several sizes to a new data set, and return it, opened again."""
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        shape = rows.shape[1:]
        dataset = file.create_dataset(
            "data",
            (0, *shape),
            rows.dtype,
            maxshape=(None, *shape),
            chunks=(chunk_rows, *shape),
            fletcher32=True,
            **filters,
        )
        column = GrowingColumn(dataset)
        for portion in np.split(rows, [1, 2, 6, 6 + len(rows) // 2]):
            column.append(portion)
        column.finish()
    return h5py.File(path)["data"]


@pytest.mark.parametrize("chunk_rows", [1, 4, 20])
@pytest.mark.parametrize("filters", [{}, GZIP], ids=["plain", "gzip"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8", "uint64"])
@pytest.mark.parametrize("shape", [(), (3, 5, 2)])
def test_hdf5_decodes_them(tmp_path, monkeypatch, chunk_rows, filters, dtype, shape):
    """Also the last chunk, which is not full; and equal to those that HDF5 encodes without the extension."""
    rows = (np.random.default_rng(0).standard_normal((19, *shape)) * 100).astype(dtype)
    rows[5:9] = 0
    ours = append(tmp_path / "ours.h5", rows, chunk_rows, filters)
    monkeypatch.setitem(sys.modules, "mas_labels._checksum", None)  # as if it had not been built
    theirs = append(tmp_path / "theirs.h5", rows, chunk_rows, filters)
    for stored in (ours, theirs):
        np.testing.assert_array_equal(stored[()], rows)
    infos = [ours.id.get_chunk_info(number) for number in range(ours.id.get_num_chunks())]
    assert {info.filter_mask for info in infos} == {0}
    if not filters:
        for info in infos:
            place = info.chunk_offset
            assert ours.id.read_direct_chunk(place) == theirs.id.read_direct_chunk(place)


def test_a_changed_byte_is_found(tmp_path):
    rows = np.arange(4000, dtype=np.float16).reshape(4, 1000)
    stored = append(tmp_path / "shard.h5", rows, 2, GZIP)
    place = stored.id.get_chunk_info(1).byte_offset + 20
    stored.file.close()
    with (tmp_path / "shard.h5").open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    with h5py.File(tmp_path / "shard.h5") as file:
        np.testing.assert_array_equal(file["data"][:2], rows[:2])
        with pytest.raises(OSError, match="filter returned failure"):
            file["data"][2:]


def test_runs_of_zeros_take_no_space(tmp_path):
    """Append boundaries of zeros, as where nothing moves, and look at their space."""
    stored = append(tmp_path / "shard.h5", np.zeros((8, 128, 171, 2), np.float16), 2, GZIP)
    assert stored.id.get_storage_size() < 8 * 128 * 171 * 2 * 2 / 100
