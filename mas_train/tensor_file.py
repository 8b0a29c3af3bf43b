"""Files of tensors: written whole or not at all, and read without running code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from mas_labels.errors import CheckpointError, unavailable
from mas_labels.system import atomic_path
from mas_train.content_digest import DIGEST, content_digest


class _File(io.FileIO):
    """A file that remembers what the machine refused: torch turns that into an error without its reason."""

    trouble: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            self.trouble = error
            raise


def write_atomically(path: Path, content: dict[str, Any]) -> None:
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
                torch.save({**content, DIGEST: content_digest(content)}, file)
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


def read_weights_file(path: Path, remedy: str = "") -> Any:
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
