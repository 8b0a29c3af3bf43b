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
        Names of its columns. The last one is never empty, so that a row truncated by a kill is recognised.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)

    def cut_back(self, step: int) -> None:
        """Start the file, or remove the rows after a checkpoint of `step` steps."""
        lines = [",".join(self.columns)]
        if self.path.exists():
            lines += [row for row in self.path.read_text().splitlines()[1:] if 0 < self._step(row) <= step]
        write_text(self.path, "\n".join(lines) + "\n")

    def _step(self, row: str) -> int:
        """Return the step of a row; 0 for a row that a kill truncated."""
        cells = row.split(",")
        is_complete = len(cells) == len(self.columns) and cells[-1] and cells[0].isdigit()
        return int(cells[0]) if is_complete else 0

    def append(self, rows: Iterable[Sequence[str]]) -> None:
        """Append rows."""
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def read(self) -> list[dict[str, str]]:
        """Read all rows, one dictionary per row.

        Raises
        ------
        TrainingError
            If the file is missing or has other columns.
        """
        try:
            with self.path.open(newline="") as file:
                return [{name: row[name] for name in self.columns} for row in csv.DictReader(file)]
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{self.path} is not a table of a run ({error}): expected columns {','.join(self.columns)}"
            ) from error
        except OSError as error:
            raise unavailable(self.path, error) from error
