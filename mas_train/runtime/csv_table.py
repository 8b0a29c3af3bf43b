"""CSV tables of a run: appended to during training, cut back to the checkpoint on resuming."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from mas_labels.errors import TrainingError, unavailable
from mas_labels.system.files import write_text


class CsvTable:
    """A CSV file whose first column is the step.

    Parameters
    ----------
    path
        The file.
    columns
        Names of its columns. A file that is appended to keeps the others that it has; new rows leave them
        empty.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)

    def cut_back(self, step: int) -> None:
        """Start the file, or remove the rows after a checkpoint of `step` steps."""
        rows: list[list[str]] = []
        if self.path.exists():  # what follows the last line break is a row that a kill cut off
            header, *lines = self.path.read_text().split("\n")[:-1] or [""]
            written = header.split(",")
            self.columns += tuple(name for name in written if name and name not in self.columns)
            cells = [dict(zip(written, line.split(","), strict=False)) for line in lines]
            kept = [row for row in cells if len(row) == len(written) and 0 < _step(row) <= step]
            rows = [[row.get(name, "") for name in self.columns] for row in kept]
        write_text(self.path, "".join(",".join(row) + "\n" for row in [self.columns, *rows]))

    def append(self, rows: Iterable[Sequence[str]]) -> None:
        """Append rows, whose last cells may be missing: they are left empty."""
        whole = [[*row, *[""] * (len(self.columns) - len(row))] for row in rows]
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(whole)

    def read(self) -> list[dict[str, str]]:
        """Read all rows, one dictionary per row, with all columns that the file has.

        Raises
        ------
        TrainingError
            If the file is missing or lacks a column.
        """
        try:
            with self.path.open(newline="") as file:
                return [{**{name: row[name] for name in self.columns}, **row} for row in csv.DictReader(file)]
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{self.path} is not a table of a run ({error}): expected columns {','.join(self.columns)}"
            ) from error
        except OSError as error:
            raise unavailable(self.path, error) from error


def _step(row: dict[str, str]) -> int:
    """Return the step of a row, its first cell; 0 if it is not a number."""
    step = next(iter(row.values()))
    return int(step) if step.isdigit() else 0
