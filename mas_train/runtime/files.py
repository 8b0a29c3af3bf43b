"""Tables of a run that grow while it learns, and that a resumed run cuts back to its checkpoint."""

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
        Names of its columns; the last one is never empty, so that a row cut short by a kill is known.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)

    def cut_back(self, step: int) -> None:
        """Begin the file, or cut it back to what a checkpoint after `step` steps knows."""
        lines = [",".join(self.columns)]
        if self.path.exists():
            lines += [row for row in self.path.read_text().splitlines()[1:] if 0 < self._step(row) <= step]
        write_text(self.path, "\n".join(lines) + "\n")

    def _step(self, row: str) -> int:
        """Step of a row; 0 for one that a kill cut short."""
        cells = row.split(",")
        whole = len(cells) == len(self.columns) and cells[-1] and cells[0].isdigit()
        return int(cells[0]) if whole else 0

    def append(self, rows: Iterable[Sequence[str]]) -> None:
        """Write rows at the end."""
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def read(self) -> list[dict[str, str]]:
        """Read all rows, a dictionary a row.

        Raises
        ------
        TrainingError
            If there is no such file, or it has other columns.
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
