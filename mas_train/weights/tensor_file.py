"""Files of tensors: written atomically with a digest, read without running code."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from mas_labels.errors import CheckpointError, unavailable
from mas_labels.system.files import atomic_path


class _RecordingFile(io.FileIO):
    """A file that keeps the error of a failed write: torch raises another one without the reason."""

    write_error: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            self.write_error = error
            raise


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and a digest of the content to a file, atomically.

    Raises
    ------
    OSError
        If it cannot be written; an existing file of that name is unchanged.
    """
    with atomic_path(path) as hidden:
        raw = _RecordingFile(hidden, "wb")
        try:
            with io.BufferedWriter(raw) as file:  # type: ignore[type-var]
                torch.save({**content, DIGEST_KEY: content_digest(content)}, file)
        except RuntimeError as error:
            raise raw.write_error or error from error


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
    """Read a file of `torch.save` onto the CPU, without running code that it may hold.

    Raises
    ------
    CheckpointError
        If it cannot be unpickled; the message ends with `remedy`.
    UnavailableError
        If it cannot be read now.
    """
    data = read_bytes(path)
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a corrupt file may raise anything
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise unavailable(path, MemoryError()) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # torch advises to load such a file with its code
            reason = "it is damaged, or holds more than tensors and plain values"
        raise CheckpointError(f"{path} is not a readable checkpoint ({reason}){remedy}") from error


DIGEST_KEY: Final = "sha256"
"""Key of the digest in a checkpoint."""


def content_digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a checkpoint without its digest, in hexadecimal."""
    sha = hashlib.sha256()
    for part in _parts({key: value for key, value in content.items() if key != DIGEST_KEY}):
        sha.update(part)
    return sha.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    """Yield the bytes of a value, each part preceded by its type and length."""
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


def check_digest(content: Mapping[str, Any], name: str, remedy: str = "") -> None:
    """Check a checkpoint against its digest.

    Raises
    ------
    CheckpointError
        If it has none, or its content differs; the message begins with `name` and ends with `remedy`.
    """
    try:
        is_intact = content.get(DIGEST_KEY) == content_digest(content)
    except (RuntimeError, TypeError, ValueError):  # a kind of tensor that is never written here
        is_intact = False
    if not is_intact:
        raise CheckpointError(f"{name} is damaged: its content differs from its digest{remedy}")
