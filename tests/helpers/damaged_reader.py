"""A reader of clips that a worker process imports, and that fails at one clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mas_labels.errors import ShardError
from mas_train.data.read_ahead import ClipArrays, ClipReader


@dataclass(frozen=True)
class DamagedReader(ClipReader):
    """Reads clips until it comes to the one that is damaged."""

    damaged: int = -1

    def read_into(self, memory: ClipArrays, clips: Sequence[int]) -> None:
        if self.damaged in clips:
            raise ShardError("gone bad")
        super().read_into(memory, clips)
