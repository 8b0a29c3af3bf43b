"""Shards to learn from: all that their folders were planned to hold."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from mas_labels.errors import DatasetError, IncompleteWarning
from mas_labels.shards import ShardSet, open_shards


def open_training_shards(paths: Sequence[str | Path], is_incomplete_allowed: bool) -> ShardSet:
    """Open shards for a run that is not to be made of part of them by mistake.

    Parameters
    ----------
    paths
        Files, folders or patterns.
    is_incomplete_allowed
        Whether the folders may lack shards of their plan.

    Raises
    ------
    DatasetError
        If there are no shards, or shards of the plan are missing and may not be.
    ShardError
        If one is damaged, or they do not go together.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteWarning)
        shards = open_shards(list(paths))
    if shards.incomplete and not is_incomplete_allowed:
        raise DatasetError(f"{shards.incomplete[0]}, or give --incomplete to go on with what is there")
    return shards


def incomplete_warnings(sets: Iterable[ShardSet]) -> list[str]:
    """Say which folders of some sets of shards are not complete, each once."""
    return list(dict.fromkeys(f"warning: {folder}" for shards in sets for folder in shards.incomplete))
