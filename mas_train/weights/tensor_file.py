"""Files of tensors: written whole or not at all, and read without running code."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from mas_labels.errors import CheckpointError, unavailable
from mas_labels.system.files import atomic_path


class _File(io.FileIO):
    """A file that remembers what the machine refused: torch turns that into an error without its reason."""

    trouble: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            self.trouble = error
            raise


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write tensors with the digest of them all to a file that is there whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written; a file of that name from before is untouched.
    """
    with atomic_path(path) as hidden:
        raw = _File(hidden, "wb")
        try:
            with io.BufferedWriter(raw) as file:  # type: ignore[type-var]
                torch.save({**content, DIGEST_KEY: content_digest(content)}, file)
        except RuntimeError as error:
            raise raw.trouble or error from error


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    UnavailableError
        If it cannot be read now.
    """
    try:
        return path.read_bytes()
    except (OSError, MemoryError) as error:
        raise unavailable(path, error) from error


def read_tensors(path: Path, remedy: str = "") -> Any:
    """Read a file of `torch.save` onto the CPU; it cannot run code.

    Raises
    ------
    CheckpointError
        If it is corrupt or foreign; the message ends with `remedy`.
    UnavailableError
        If it cannot be read now.
    """
    data = read_bytes(path)
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign pickle may raise anything
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise unavailable(path, MemoryError()) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is no checkpoint that can be read ({reason}){remedy}") from error


DIGEST_KEY: Final = "sha256"
"""The key of a checkpoint that holds its digest."""


def content_digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything in a checkpoint but its digest, in hexadecimal."""
    sha = hashlib.sha256()
    for part in _parts({key: value for key, value in content.items() if key != DIGEST_KEY}):
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
        same = content.get(DIGEST_KEY) == content_digest(content)
    except (RuntimeError, TypeError, ValueError):  # tensors of a kind that we never write
        same = False
    if not same:
        raise CheckpointError(
            f"{name} is damaged: it does not hold what was written; go on from the one before"
        )
