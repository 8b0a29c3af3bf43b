"""Log of a pre-training run: `metrics.csv`, the progress bar and TensorBoard events."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from tqdm import tqdm

from mas_labels.errors import TrainingError
from mas_labels.schema import METRICS_COLUMNS, METRICS_FILE, PROBE_COLUMNS
from mas_labels.system.extras import load_extra
from mas_labels.system.process import bar_settings
from mas_train.model.loss import Losses
from mas_train.runtime.csv_table import CsvTable

EVENTS_FOLDER: Final = "tensorboard"


class StepRecord(NamedTuple):
    """Measurements of one step."""

    step: int
    epoch: int
    learning_rate: float
    losses: tuple[float, ...]
    """Motion, appearance, total: the order of `mas_train.model.loss.Losses`."""
    grad_norm: float
    clips: int
    seconds: float
    waiting_seconds: float


class ProbeScore(NamedTuple):
    """Nearest neighbours of the probe's videos at a step: the columns `mas_labels.schema.PROBE_COLUMNS`."""

    accuracy: float
    untrained: float
    """NaN if it is not known."""
    chance: float
    videos: int

    def __str__(self) -> str:
        """Describe the score next to what it is compared with."""
        untrained = f"untrained {self.untrained:.1%}, " if math.isfinite(self.untrained) else ""
        return (
            f"probe: {self.accuracy:.1%} of {self.videos} videos have their nearest neighbour in their class "
            f"({untrained}chance {self.chance:.1%})"
        )


class MetricsLog:
    """Collects steps into rows of `metrics.csv` and shows the latest of them in a progress bar.

    Parameters
    ----------
    run
        The run's folder. Rows after `start_step`, which a killed run left, are removed.
    baseline
        Losses of always predicting the mean label, written next to the run's own.
    start_step, end_step
        Steps done before, and at the end of the run.
    log_steps
        Steps per row.
    events
        TensorBoard events that get the rows as well.
    has_probe
        Whether rows may have the columns of a probe.
    """

    def __init__(
        self,
        run: Path,
        baseline: Losses,
        start_step: int,
        end_step: int,
        log_steps: int,
        events: TensorBoardEvents | None = None,
        has_probe: bool = False,
    ) -> None:
        columns = METRICS_COLUMNS + PROBE_COLUMNS if has_probe else METRICS_COLUMNS
        self._table = CsvTable(run / METRICS_FILE, columns)
        self._events = events
        self._baseline = [loss.item() for loss in baseline]
        self._log_steps = log_steps
        self._pending: list[StepRecord] = []
        self._table.cut_back(start_step)
        self._bar: Any = tqdm(
            total=end_step,
            initial=start_step,
            unit="step",
            dynamic_ncols=True,
            file=sys.stderr,
            **bar_settings(),
        )

    def add(self, record: StepRecord, probe: ProbeScore | None = None) -> None:
        """Add a step; write a row after every `log_steps` steps, and for each score of the probe."""
        self._pending.append(record)
        self._bar.set_postfix_str(
            f"loss {record.losses[-1]:.2f} (mean label {self._baseline[-1]:.2f}), "
            f"{record.clips / record.seconds:.1f} clips/s, "
            f"waiting {record.waiting_seconds / record.seconds:.0%}",
            refresh=False,
        )
        if record.step % self._log_steps == 0 or probe is not None:
            self.flush(probe)

    def advance(self) -> None:
        """Move the progress bar by a step; its losses are added later."""
        self._bar.update()

    def flush(self, probe: ProbeScore | None = None) -> None:
        """Write the steps since the last row, if any, as one row; its last step may have a probe's score."""
        if not self._pending:
            return
        values = self._mean_row()
        step, epoch = int(values["step"]), int(values["epoch"])
        row = [str(step), str(epoch), *(f"{values[name]:.6g}" for name in METRICS_COLUMNS[2:])]
        scores = [] if probe is None else [f"{value:.6g}" if math.isfinite(value) else "" for value in probe]
        self._table.append([[*row, *scores]])
        if self._events is not None:
            self._events.add(step, {f"train/{name}": values[name] for name in METRICS_COLUMNS[1:]})
        self._pending.clear()

    def _mean_row(self) -> dict[str, float]:
        """Average the pending steps into a row, by column."""
        steps, last = self._pending, self._pending[-1]
        seconds = sum(step.seconds for step in steps)
        values = (
            last.step,
            last.epoch,
            last.learning_rate,
            *(sum(column) / len(steps) for column in zip(*(step.losses for step in steps), strict=True)),
            *self._baseline,
            sum(step.grad_norm for step in steps) / len(steps),
            sum(step.clips for step in steps) / seconds,
            sum(step.waiting_seconds for step in steps) / seconds,
        )
        return dict(zip(METRICS_COLUMNS, values, strict=True))

    def note(self, text: str) -> None:
        """Print a line above the progress bar."""
        self._bar.write(text, file=sys.stderr)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the progress bar, and write the pending steps."""
        self._bar.close()
        self.flush()


def read_metrics(run: Path) -> list[dict[str, float]]:
    """Read a run's `metrics.csv`, one dictionary per row; NaN where a row has no score of the probe.

    Raises
    ------
    TrainingError
        If it is missing, or has other columns.
    """
    table = CsvTable(run / METRICS_FILE, METRICS_COLUMNS)
    try:
        return [
            {name: float(cell or (math.nan if name in PROBE_COLUMNS else "")) for name, cell in row.items()}
            for row in table.read()
        ]
    except (TypeError, ValueError) as error:
        raise TrainingError(f"{table.path} is not the metrics of a run: {error}") from error


class TensorBoardEvents:
    """Writes scalars for TensorBoard into a run's folder ``tensorboard``.

    Parameters
    ----------
    run
        The run's folder.
    start_step
        Steps done: TensorBoard hides the events that a killed run wrote after them.

    Raises
    ------
    MissingDependencyError
        If tensorboard is not installed.
    """

    def __init__(self, run: Path, start_step: int) -> None:
        load_extra("tensorboard", "--tensorboard needs", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / EVENTS_FOLDER), purge_step=start_step and start_step + 1)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the values of one step."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
