"""What a run writes down while it learns: `metrics.csv` and the progress bar."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from tqdm import tqdm

from mas_labels.errors import TrainingError
from mas_train.loss import Losses

FILE: Final = "metrics.csv"
COLUMNS: Final = (
    "step",
    "epoch",
    "learning_rate",
    "loss_motion",
    "loss_appearance",
    "loss",
    "mean_label_loss_motion",
    "mean_label_loss_appearance",
    "mean_label_loss",
    "grad_norm",
    "clips_per_second",
    "waiting_share",
)
"""Losses, gradient norm and speed are means over the steps since the row before; `step` counts steps done,
`epoch` is from 0, `waiting_share` is the share of the time spent waiting for data."""
LOG_SECONDS: Final = 10.0
"""Between two lines of progress where the output is no terminal."""


class StepRecord(NamedTuple):
    """One step, measured."""

    step: int
    epoch: int
    learning_rate: float
    losses: tuple[float, ...]
    """Motion, appearance, total: the order of `mas_train.loss.Losses`."""
    grad_norm: float
    clips: int
    seconds: float
    waiting_seconds: float


class MetricsLog:
    """Gathers steps into rows of `metrics.csv` and shows the newest step in a bar.

    Parameters
    ----------
    run
        The run's folder. Rows after `start_step`, left by a run that was killed, are removed.
    baseline
        Losses of predicting the mean label, written beside the run's own.
    start_step, end_step
        Steps done before, and in the end.
    log_steps
        Steps a row.
    """

    def __init__(self, run: Path, baseline: Losses, start_step: int, end_step: int, log_steps: int) -> None:
        self._path = run / FILE
        self._baseline = [loss.item() for loss in baseline]
        self._log_steps = log_steps
        self._pending: list[StepRecord] = []
        _keep_rows(self._path, start_step)
        quiet = {} if sys.stderr.isatty() else {"mininterval": LOG_SECONDS, "maxinterval": LOG_SECONDS}
        self._bar: Any = tqdm(
            total=end_step, initial=start_step, unit="step", dynamic_ncols=True, file=sys.stderr, **quiet
        )

    def add(self, record: StepRecord) -> None:
        """Take in a step; write a row if one is full."""
        self._pending.append(record)
        self._bar.set_postfix_str(
            f"loss {record.losses[-1]:.2f} (mean label {self._baseline[-1]:.2f}), "
            f"{record.clips / record.seconds:.1f} clips/s, "
            f"waiting {record.waiting_seconds / record.seconds:.0%}",
            refresh=False,
        )
        self._bar.update()
        if record.step % self._log_steps == 0:
            self.flush()

    def flush(self) -> None:
        """Write the steps since the last row, if any, as a row."""
        if not self._pending:
            return
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow(self._row())
        self._pending.clear()

    def _row(self) -> list[str]:
        steps, last = self._pending, self._pending[-1]
        losses = [sum(column) / len(steps) for column in zip(*(step.losses for step in steps), strict=True)]
        seconds = sum(step.seconds for step in steps)
        values = [
            *losses,
            *self._baseline,
            sum(step.grad_norm for step in steps) / len(steps),
            sum(step.clips for step in steps) / seconds,
            sum(step.waiting_seconds for step in steps) / seconds,
        ]
        return [str(last.step), str(last.epoch), f"{last.learning_rate:g}", *(f"{v:.6g}" for v in values)]

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the bar, and write what is pending."""
        self._bar.close()
        self.flush()


def read_metrics(run: Path) -> list[dict[str, float]]:
    """Read a run's `metrics.csv`, a dictionary a row.

    Raises
    ------
    TrainingError
        If there is none, or it is not one of ours.
    """
    path = run / FILE
    try:
        with path.open(newline="") as file:
            return [{name: float(row[name]) for name in COLUMNS} for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path} is not the metrics of a run ({error}): expected {','.join(COLUMNS)}"
        ) from error


def _keep_rows(path: Path, step: int) -> None:
    """Begin the file, or cut it back to what a checkpoint after `step` steps knows."""
    lines = [",".join(COLUMNS)]
    if path.exists():
        lines += [row for row in path.read_text().splitlines()[1:] if 0 < _row_step(row) <= step]
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _row_step(row: str) -> int:
    """Step of a row; 0 for one that a kill cut short."""
    cells = row.split(",")
    return int(cells[0]) if len(cells) == len(COLUMNS) and cells[-1] and cells[0].isdigit() else 0
