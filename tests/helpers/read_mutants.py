"""Run as a program: damages a shard or a checkpoint again and again, and reads it. See test_fuzz_readers.py.

    python read_mutants.py shard|checkpoint FILE SEED COUNT [POSITION,POSITION,...]

With positions, one bit of each of these bytes is flipped; else `mutations.mutate` is called `COUNT` times.
Prints what became of each, one word a line: `refused` by an error of ours, `same` where what is read is the
same, `WRONG` where it is not; any other error, and of course a crash, ends the program.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np

from helpers.mutations import mutate
from mas_labels.errors import MasError


def read_shard(path: Path) -> str:
    """Digest everything a reader gets to see."""
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
    whole, rng, path = (
        source.read_bytes(),
        np.random.default_rng(seed),
        source.with_name(f"mutant-{source.name}"),
    )
    expected = read(source)
    for number in range(len(positions) or count):
        if positions:
            changed = bytearray(whole)
            changed[positions[number]] ^= 1 << int(rng.integers(8))
        else:
            changed = bytearray(mutate(whole, rng))
        path.unlink(missing_ok=True)
        path.write_bytes(changed)
        try:
            print("same" if read(path) == expected else "WRONG", flush=True)
        except MasError:
            print("refused", flush=True)


if __name__ == "__main__":
    main()
