"""Shards that a folder was planned to hold and does not, by the names of the others and by plan files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from mas_labels.names import first_names, printable
from mas_labels.plan.file_names import (
    ADDED_NAME,
    ALL_SHARDS,
    PLAN_NAME,
    SHARD_NAME,
    SHARD_OR_PARTIAL_NAME,
    added_name,
    shard_name,
)
from mas_labels.plan.heartbeat import STALE_SECONDS, read_beats


class IncompleteFolder(NamedTuple):
    """A folder that lacks shards of its plan."""

    folder: Path
    planned: int
    missing: tuple[str, ...]
    """File names of the missing shards, sorted; of a batch of which there is nothing one for all."""
    in_progress: bool
    """True while a labelling run is at work there."""

    def __str__(self) -> str:
        running = "; a labelling run is at work there" if self.in_progress else ""
        at_least = "at least " if any(name.endswith(ALL_SHARDS) for name in self.missing) else ""
        there = self.planned - len(self.missing)
        return (
            f"{printable(str(self.folder))} holds {there} of {at_least}{self.planned} "
            f"shards of its plan (missing: {first_names(self.missing)}{running}). Label first: the same "
            "`mas-labels make` command finishes it"
        )


def planned_counts(out: Path) -> dict[tuple[str, int], int]:
    """Return the shards that each batch of a folder is planned to have and has: (name, planned) -> there.

    Plan files are read only of batches of which no shard was begun.

    Raises
    ------
    ConfigError
        If such a plan file is damaged.
    """
    names = [entry.name for entry in os.scandir(out)]
    counts: dict[tuple[str, int], int] = {}
    for match in filter(None, map(SHARD_OR_PARTIAL_NAME.fullmatch, names)):
        batch = match["batch"], int(match["count"])
        counts[batch] = counts.get(batch, 0) + bool(SHARD_NAME.fullmatch(match.group()))
    begun = {name for name, _ in counts}
    for match in filter(None, map(PLAN_NAME.fullmatch, names)):
        if match["batch"] not in begun:
            from mas_labels.plan.plan_file import read_plan_file

            counts[match["batch"], read_plan_file(out / match.group()).count] = 0
    return counts


def find_incomplete(paths: Iterable[Path]) -> tuple[IncompleteFolder, ...]:
    """Return the folders of some shards that lack others, each once.

    Raises
    ------
    ConfigError
        If a plan file that tells it is damaged.
    """
    folders = {folder.resolve(): folder for folder in dict.fromkeys(path.parent for path in paths)}
    return tuple(found for found in map(_look_into, folders.values()) if found is not None)


def _look_into(folder: Path) -> IncompleteFolder | None:
    counts: dict[tuple[str, int], int] = {}
    with contextlib.suppress(OSError):  # a folder that may be entered and not listed
        counts = planned_counts(folder)
    earlier = _earlier_batches({name for name, _ in counts})
    planned, there = sum(count for _, count in counts) + len(earlier), sum(counts.values())
    if there >= planned:
        return None
    names = {f"{name}{ALL_SHARDS}" for name in earlier}
    names |= {shard_name(name, index, count) for name, count in counts for index in range(count)}
    missing = tuple(sorted(names.difference(entry.name for entry in os.scandir(folder))))
    in_progress = any(beat.age_seconds < STALE_SECONDS for beat in read_beats(folder))
    return IncompleteFolder(folder, planned, missing, in_progress)


def _earlier_batches(names: Collection[str]) -> set[str]:
    """Return the names of the batches that others say were there before them, and are not."""
    added = filter(None, map(ADDED_NAME.fullmatch, names))
    before = {added_name(one["first"], number) for one in added for number in range(int(one["number"]))}
    return before.difference(names)
