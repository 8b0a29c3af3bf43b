"""Our fletcher32 equals the checksum that HDF5 stores with a chunk, on every instruction set."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mas_labels.shards.digests import CHECKSUM_BYTES, make_fletcher32
from mas_labels.system.extensions import available_isas


def of_hdf5(data: NDArray[np.uint8]) -> int:
    """Return the checksum that HDF5 stores after a chunk."""
    with h5py.File("chunk", "w", driver="core", backing_store=False) as file:
        stored = file.create_dataset("data", data=data, chunks=data.shape, fletcher32=True)
        return int.from_bytes(stored.id.read_direct_chunk((0,))[1][-CHECKSUM_BYTES:], "little")


def test_by_hand() -> None:
    """Words 0x0102 and 0x0304: their sum is 0x0406, that of the sums 0x0102 + 0x0406 = 0x0508."""
    fletcher32 = make_fletcher32()
    assert fletcher32 is not None
    assert fletcher32(np.array([1, 2, 3, 4], np.uint8)) == 0x05080406
    assert fletcher32(np.zeros(1000, np.uint8)) == 0
    assert fletcher32(np.full(2, 255, np.uint8)) == 0xFFFFFFFF  # 65535 is not 0


@pytest.mark.parametrize("isa", available_isas("checksum"))
@given(
    size=st.one_of(st.integers(1, 300), st.integers(16_000, 40_000)),
    seed=st.integers(0, 99),
    highest=st.sampled_from([1, 2, 256]),
)
def test_the_checksum_equals_that_of_hdf5(isa: str, size: int, seed: int, highest: int) -> None:
    data = np.random.default_rng(seed).integers(0, highest, size).astype(np.uint8)
    fletcher32 = make_fletcher32(isa)
    assert fletcher32 is not None and fletcher32(data) == of_hdf5(data)


@pytest.mark.parametrize("isa", available_isas("checksum"))
def test_a_whole_white_clip_does_not_overflow(isa: str) -> None:
    data = np.full(16 * 128 * 171 * 3, 255, np.uint8)
    fletcher32 = make_fletcher32(isa)
    assert fletcher32 is not None and fletcher32(data) == of_hdf5(data)
