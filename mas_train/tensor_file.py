"""Files of tensors: written whole or not at all, and read without running code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from mas_labels.errors import CheckpointError
from mas_train.content_digest import DIGEST, content_digest


def write_atomically(path: Path, content: dict[str, Any]) -> None:
    """Write to a hidden file of the same folder, sync, rename, sync the folder.

    Raises
    ------
    OSError, RuntimeError
        If it cannot be written; a file of that name from before is untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save({**content, DIGEST: content_digest(content)}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_weights_file(path: Path, remedy: str = "") -> Any:
    """Read a file of `torch.save` onto the CPU; it cannot run code.

    Raises
    ------
    CheckpointError
        If it cannot be read; the message ends with `remedy`.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign pickle may raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is no checkpoint that can be read ({reason}){remedy}") from error
