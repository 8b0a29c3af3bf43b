"""Digests of a shard: of the whole file, of its content, and of each chunk.

*The file digest.* HDF5 leaves a block at the start of a file to its user, here 512 bytes, and ignores it. It
holds two lines of text with the SHA-256 of every byte that follows, so that a change of any bit is found:
also one in HDF5's own tables and in bytes that nothing uses, which no hash of the content covers. The block
itself is a function of the SHA-256 alone, so a change of the block is found, too. Anybody can check it:
``head -n 2 SHARD`` shows it, ``tail -c +513 SHARD | sha256sum`` computes it.

*The content hash*, attribute ``content_hash``, covers attributes and data as they are read; it is the shard's
identity, and stays the same whatever HDF5 library wrote the file.

*Fletcher32* is the checksum that HDF5 stores with each chunk. It is computed here as well, ten times as fast
as in HDF5, so that raw frames can be read straight into the caller's buffer and still be compared.
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

from mas_labels.errors import MissingDependencyError, ShardError, unavailable
from mas_labels.schema import SHARD_START
from mas_labels.shards.validation import REGENERATE
from mas_labels.system.extensions import available_isas, load_extension

FILE_DIGEST_BYTES: Final = 512
"""Size of the smallest block that HDF5 can leave to its user."""
READ_BYTES: Final = 1 << 20
"""Bytes of the file that are read at a time."""


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def file_digest(descriptor: int) -> bytes:
    """Return the file digest of an open file: the 512 bytes that belong in front.

    Parameters
    ----------
    descriptor
        Of the file, open for reading; its position does not change.

    Returns
    -------
    bytes
        512 bytes, computed from what follows the first 512 bytes of the file.
    """
    sha = hashlib.sha256()
    position = FILE_DIGEST_BYTES
    while data := os.pread(descriptor, READ_BYTES, position):
        sha.update(data)
        position += len(data)
    text = f"{SHARD_START}: 512 bytes of text, then HDF5.\nsha256 of the HDF5: {sha.hexdigest()}\n"
    return text.encode("ascii").ljust(FILE_DIGEST_BYTES - 1) + b"\n"


def write_file_digest(descriptor: int) -> None:
    """Write the file digest in front of a complete file that is open for reading and writing."""
    os.pwrite(descriptor, file_digest(descriptor), 0)


def check_file_digest(path: Path) -> None:
    """Compare a file with its file digest.

    Raises
    ------
    ShardError
        If the file has none, or any bit of it differs.
    UnavailableError
        If it cannot be read now.
    """
    try:
        with path.open("rb", buffering=0) as file:
            found, expected = os.pread(file.fileno(), FILE_DIGEST_BYTES, 0), file_digest(file.fileno())
    except (OSError, MemoryError) as error:
        raise unavailable(path, error) from error
    if found != expected:
        raise ShardError(f"{path}: its bytes do not match its file digest: {REGENERATE}")


class DataDigest:
    """SHA-256 of a data set's rows, which may be added in portions of any size."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._kind = ""

    def update(self, rows: NDArray[Any]) -> None:
        """Add rows."""
        self._kind = f"{rows.dtype.str}{list(rows.shape[1:])}"
        self._sha.update(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)

    def result(self) -> str:
        """Return type, row shape and SHA-256 as one text."""
        return f"{self._kind}:{self._sha.hexdigest()}"


def content_hash(version: int, texts: dict[str, str], digests: dict[str, DataDigest]) -> str:
    """Return the content hash of a shard.

    Parameters
    ----------
    version
        Of the schema.
    texts
        The attributes format, config, plan and versions.
    digests
        Of each data set, by path.
    """
    whole = {
        "attributes": {**texts, "schema_version": version},
        "data": {path: digests[path].result() for path in sorted(digests)},
    }
    return text_digest(json.dumps(whole, sort_keys=True))


CHECKSUM_BYTES: Final = 4
"""Size of the checksum that HDF5 stores after each chunk, lowest byte first."""


def make_fletcher32(isa: str | None = None) -> Callable[[NDArray[np.uint8]], int] | None:
    """Return the function that computes the fletcher32 checksum of contiguous bytes.

    Parameters
    ----------
    isa
        Instruction set, one of `available_isas("checksum")`; None: the best. The result is the same.

    Returns
    -------
    callable or None
        None if the extension was not built: then read through HDF5, which compares checksums itself.
    """
    try:
        native = load_extension("checksum")
    except MissingDependencyError:
        return None
    chosen = isa or available_isas("checksum")[0]
    return lambda data: native.fletcher32(chosen, data)
