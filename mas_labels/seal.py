"""The seal of a shard: a digest of the whole file, kept in front of it.

HDF5 leaves a block at the start of a file to its user, here 512 bytes, and does not look at it. It holds two
lines of text with the SHA-256 of every byte that follows, so that a change of any bit is found: also one in
HDF5's own tables and in bytes that nothing uses, which no hash of the content sees. The block itself is a
function of the digest alone, so a change of it is found, too.

Anybody can check a seal: ``head -n 2 SHARD`` shows it, ``tail -c +513 SHARD | sha256sum`` computes it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from mas_labels.errors import ShardError, unavailable

SEAL_BYTES: Final = 512
"""The smallest block HDF5 can leave to its user."""
READ_BYTES: Final = 1 << 20


def compute_seal(descriptor: int) -> bytes:
    """Compute the seal of an open file.

    Parameters
    ----------
    descriptor
        Of the file, open for reading; its position is left alone.

    Returns
    -------
    512 bytes, a function of what follows the first 512 bytes of the file.
    """
    sha = hashlib.sha256()
    position = SEAL_BYTES
    while data := os.pread(descriptor, READ_BYTES, position):
        sha.update(data)
        position += len(data)
    text = f"A shard of mas-labels: 512 bytes of text, then HDF5.\nsha256 of the HDF5: {sha.hexdigest()}\n"
    return text.encode("ascii").ljust(SEAL_BYTES - 1) + b"\n"


def write_seal(descriptor: int) -> None:
    """Seal a complete file, open for reading and writing."""
    os.pwrite(descriptor, compute_seal(descriptor), 0)


def check_seal(path: Path) -> None:
    """Compare a file with its seal.

    Raises
    ------
    ShardError
        If the file has no seal, or any bit of it differs.
    UnavailableError
        If it cannot be read now.
    """
    try:
        with path.open("rb", buffering=0) as file:
            found, expected = os.pread(file.fileno(), SEAL_BYTES, 0), compute_seal(file.fileno())
    except (OSError, MemoryError) as error:
        raise unavailable(path, error) from error
    if found != expected:
        raise ShardError(f"{path}: its bytes are not those that were sealed: remove it and make it again")
