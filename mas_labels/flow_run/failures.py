"""The videos of a run of flow that failed, as a table in the output folder."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mas_labels.errors import storage_error
from mas_labels.system.files import atomic_path


class FlowFailure(NamedTuple):
    """A row of the table: the video's path, and stage, code and message of its `VideoError`."""

    path: str
    stage: str
    code: str
    message: str


def failures_path(out: Path, rank: int, world_size: int) -> Path:
    """Return the table of a run, or of one rank of several."""
    return out / ("failures.csv" if world_size == 1 else f"failures-{rank}-of-{world_size}.csv")


def remove_rank_tables(out: Path) -> None:
    """Remove the tables of runs of several ranks, after a run that has dealt with all their videos."""
    for path in out.glob("failures-*-of-*.csv"):
        with suppress(OSError):
            path.unlink()


def write_failures(path: Path, rows: Sequence[FlowFailure]) -> None:
    """Write the table atomically, sorted; without rows, remove that of an earlier run.

    Paths are written as the bytes that they are on the disk.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    try:
        if not rows:
            path.unlink(missing_ok=True)
            return
        with (
            atomic_path(path) as hidden,
            hidden.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerows([FlowFailure._fields, *sorted(rows)])
    except OSError as error:
        raise storage_error(path, error, "video") from error
