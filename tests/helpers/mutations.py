"""Corruption of files, as disks, networks and interrupted copies cause it."""

from __future__ import annotations

import numpy as np


def mutate(data: bytes, rng: np.random.Generator, other: bytes = b"") -> bytes:
    """Return `data` with one random corruption; `other` is spliced in by one of them."""
    mutations = [flip_bits, truncate, zero_block, splice, swap_blocks, insert_bytes]
    return mutations[rng.integers(len(mutations))](data, rng, other or data)


def flip_bits(data: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    changed = bytearray(data)
    for position in rng.integers(0, len(data), int(rng.choice([1, 1, 4, 40]))):
        changed[position] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def truncate(data: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def zero_block(data: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    start, size = int(rng.integers(0, len(data))), int(rng.choice([16, 512, 4096]))
    return data[:start] + bytes(len(data[start : start + size])) + data[start + size :]


def splice(data: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    """Join the start of one file and the end of another."""
    return data[: int(rng.integers(0, len(data)))] + other[int(rng.integers(0, len(other))) :]


def swap_blocks(data: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    size = max(1, min(512, len(data) // 4))
    one, two = sorted(rng.integers(0, max(1, len(data) // size), 2) * size)
    changed = bytearray(data)
    changed[one : one + size], changed[two : two + size] = data[two : two + size], data[one : one + size]
    return bytes(changed)


def insert_bytes(data: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    position, noise = int(rng.integers(0, len(data) + 1)), rng.bytes(int(rng.integers(1, 64)))
    return data[:position] + noise + data[position:]
