"""Shards that are missing from a folder, by the names of the others and by its plan files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from mas_labels.names import first_names, printable
from mas_labels.plan.file_names import (
    ADDED_BATCH_NAME,
    ALL_SHARDS,
    PLAN_NAME,
    SHARD_NAME,
    SHARD_OR_PARTIAL_NAME,
    added_batch_name,
    shard_name,
)
from mas_labels.plan.heartbeat import STALE_SECONDS, read_beats


class IncompleteFolder(NamedTuple):
    """A folder that lacks shards of its plan."""

    folder: Path
    planned: int
    missing: tuple[str, ...]
    """File names of the missing shards, sorted; one pattern for a batch of which nothing is there."""
    in_progress: bool
    """True if a labelling run is at work there."""

    def __str__(self) -> str:
        running = "; a labelling run is at work there" if self.in_progress else ""
        at_least = "at least " if any(name.endswith(ALL_SHARDS) for name in self.missing) else ""
        finished = self.planned - len(self.missing)
        return (
            f"{printable(str(self.folder))} holds {finished} of {at_least}{self.planned} "
            f"shards of its plan (missing: {first_names(self.missing)}{running}). Label first: the same "
            "`mas-labels make` command finishes it"
        )


def planned_counts(out: Path) -> dict[tuple[str, int], int]:
    """Count the shards of each batch of a folder; plan files are read only of batches without any shard.

    Returns
    -------
    dict
        (name of the batch, planned shards) -> finished shards.

    Raises
    ------
    ConfigError
        If such a plan file is corrupt.
    """
    names = [entry.name for entry in os.scandir(out)]
    counts: dict[tuple[str, int], int] = {}
    for match in filter(None, map(SHARD_OR_PARTIAL_NAME.fullmatch, names)):
        batch = match["batch"], int(match["count"])
        counts[batch] = counts.get(batch, 0) + bool(SHARD_NAME.fullmatch(match.group()))
    with_shards = {name for name, _ in counts}
    for match in filter(None, map(PLAN_NAME.fullmatch, names)):
        if match["batch"] not in with_shards:
            from mas_labels.plan.plan_file import read_plan_file

            counts[match["batch"], read_plan_file(out / match.group()).count] = 0
    return counts


def find_incomplete(paths: Iterable[Path]) -> tuple[IncompleteFolder, ...]:
    """Return the folders of some shards that lack others, each once.

    Raises
    ------
    ConfigError
        If a plan file that says what is missing is corrupt.
    """
    folders = {folder.resolve(): folder for folder in dict.fromkeys(path.parent for path in paths)}
    return tuple(filter(None, map(_find_missing, folders.values())))


def _find_missing(folder: Path) -> IncompleteFolder | None:
    """Return which shards a folder lacks; None if it is complete."""
    counts: dict[tuple[str, int], int] = {}
    with contextlib.suppress(OSError):  # a folder that may be entered and not listed
        counts = planned_counts(folder)
    missing_batches = _missing_batches({name for name, _ in counts})
    planned = sum(count for _, count in counts) + len(missing_batches)
    if sum(counts.values()) >= planned:
        return None
    names = {f"{name}{ALL_SHARDS}" for name in missing_batches}
    names |= {shard_name(name, index, count) for name, count in counts for index in range(count)}
    missing = tuple(sorted(names.difference(entry.name for entry in os.scandir(folder))))
    in_progress = any(beat.age_seconds < STALE_SECONDS for beat in read_beats(folder))
    return IncompleteFolder(folder, planned, missing, in_progress)


def _missing_batches(names: Collection[str]) -> set[str]:
    """Return the batches without any file that, by the numbers of later ones, must have been there."""
    added = filter(None, map(ADDED_BATCH_NAME.fullmatch, names))
    earlier = {
        added_batch_name(match["first"], number) for match in added for number in range(int(match["number"]))
    }
    return earlier.difference(names)
