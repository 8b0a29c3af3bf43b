"""A digest of what a checkpoint holds: torch's own format does not notice a flipped bit in a weight."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from mas_labels.errors import CheckpointError

DIGEST: Final = "sha256"
"""The key of a checkpoint that holds its digest."""


def content_digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything in a checkpoint but its digest, in hexadecimal."""
    sha = hashlib.sha256()
    for part in _parts({key: value for key, value in content.items() if key != DIGEST}):
        sha.update(part)
    return sha.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    """Yield the bytes of a value; what each part is, and how long, comes before it."""
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        yield f"{value.dtype} {list(value.shape)}:".encode()
        yield flat.view(torch.uint8).numpy().tobytes()
    elif isinstance(value, Mapping):
        yield f"{len(value)} pairs:".encode()
        for key, item in value.items():
            yield from _parts(key)
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        yield f"{len(value)} items:".encode()
        for item in value:
            yield from _parts(item)
    else:
        text = repr(value).encode("utf-8", "surrogatepass")
        yield f"{type(value).__name__} {len(text)}:".encode() + text


def check_digest(content: Mapping[str, Any], name: str) -> None:
    """Compare a checkpoint with the digest it holds.

    Raises
    ------
    CheckpointError
        If it has none, or another content; the message begins with `name`.
    """
    try:
        same = content.get(DIGEST) == content_digest(content)
    except (RuntimeError, TypeError, ValueError):  # tensors of a kind that we never write
        same = False
    if not same:
        raise CheckpointError(
            f"{name} is damaged: it does not hold what was written; go on from the one before"
        )
