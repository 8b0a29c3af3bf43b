"""The seal of a shard: a digest of the whole file, kept in front of it.

HDF5 leaves a block at the start of a file to its user, here 512 bytes, and does not look at it. It holds two
lines of text with the SHA-256 of every byte that follows, so that a change of any bit is found: also one in
HDF5's own tables and in bytes that nothing uses, which no hash of the content sees. The block itself is a
function of the digest alone, so a change of it is found, too.

Anybody can check a seal: ``head -n 2 SHARD`` shows it, ``tail -c +513 SHARD | sha256sum`` computes it.

HDF5's own checksum of a chunk, fletcher32, is computed here as well, ten times as fast as HDF5 does: so raw
frames are read straight into the caller's buffer and still compared.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels import schema
from mas_labels.errors import MissingDependencyError, ShardError, unavailable
from mas_labels.system.extensions import available_isas, load_extension

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


class DataDigest:
    """SHA-256 of a data set's rows, fed in any portions."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._kind = ""

    def update(self, rows: NDArray[Any]) -> None:
        """Take in some rows."""
        self._kind = f"{rows.dtype.str}{list(rows.shape[1:])}"
        self._sha.update(np.ascontiguousarray(rows).tobytes())

    def result(self) -> str:
        """Return type, row shape and hash as one text."""
        return f"{self._kind}:{self._sha.hexdigest()}"


def content_hash(texts: dict[str, str], digests: dict[str, DataDigest]) -> str:
    """Return the hash of a shard's attributes (without the hash itself) and data."""
    whole = {
        "attributes": {**texts, "schema_version": schema.SCHEMA_VERSION},
        "data": {path: digests[path].result() for path in sorted(digests)},
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


CHECKSUM_BYTES: Final = 4
"""What HDF5's filter puts after each chunk, the lowest byte first."""


def make_fletcher32(isa: str | None = None) -> Callable[[NDArray[np.uint8]], int] | None:
    """Return the function that computes the checksum of contiguous bytes.

    Parameters
    ----------
    isa
        One of `available_isas`, for tests; None takes the best. The result is the same.

    Returns
    -------
    callable or None
        None if the extension is not built: read through HDF5 then, which compares checksums itself.
    """
    try:
        native = load_extension("checksum")
    except MissingDependencyError:
        return None
    chosen = isa or available_isas("checksum")[0]
    return lambda data: native.fletcher32(chosen, data)
