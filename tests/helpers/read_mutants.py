"""A program that corrupts a shard or a checkpoint repeatedly and reads it; test_fuzz_readers.py runs it.

    python read_mutants.py shard|checkpoint FILE SEED COUNT [POSITION,POSITION,...]

With positions, one bit of each of these bytes is flipped; otherwise `mutations.mutate` is called `COUNT`
times. Prints the outcome of each on a line: `refused` by a `MasError`, `same` content as before, or `WRONG`
content; any other error, or a crash, ends the program.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np

from helpers.mutations import mutate
from mas_labels.errors import MasError


def read_shard(path: Path) -> str:
    """Return a digest of everything that a reader can see."""
    from mas_labels import open_shards

    sha = hashlib.sha256()
    shards = open_shards(path)
    sha.update(repr([shards.videos, shards.failures, shards.config, shards.classes]).encode())
    for clip in shards:
        for part in (clip.views, clip.frames, clip.view_labels, *clip.motion_boundaries, clip.motion):
            sha.update(part.tobytes())
        sha.update(repr([clip.source, clip.start_frame, clip.labels]).encode())
    shards.close()
    return sha.hexdigest()


def read_checkpoint(path: Path) -> str:
    from mas_train.weights.checkpoint import load_checkpoint

    return hashlib.sha256(repr(_listed(load_checkpoint(path))).encode()).hexdigest()


def _listed(value: object) -> object:
    if isinstance(value, dict):
        return [(repr(key), _listed(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_listed(item) for item in value]
    return value.numpy().tobytes() if hasattr(value, "numpy") else repr(value)


def main() -> None:
    kind, source, seed, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    positions = [int(text) for text in sys.argv[5].split(",")] if len(sys.argv) > 5 else []
    read = {"shard": read_shard, "checkpoint": read_checkpoint}[kind]
    intact, rng, path = (
        source.read_bytes(),
        np.random.default_rng(seed),
        source.with_name(f"mutant-{source.name}"),
    )
    expected = read(source)
    for number in range(len(positions) or count):
        if positions:
            changed = bytearray(intact)
            changed[positions[number]] ^= 1 << int(rng.integers(8))
        else:
            changed = bytearray(mutate(intact, rng))
        path.unlink(missing_ok=True)
        path.write_bytes(changed)
        try:
            print("same" if read(path) == expected else "WRONG", flush=True)
        except MasError:
            print("refused", flush=True)


if __name__ == "__main__":
    main()
