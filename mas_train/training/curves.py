"""Learning curves of a run as a picture; matplotlib is an extra, imported only here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from mas_labels.errors import MissingDependencyError
from mas_labels.system.files import atomic_path
from mas_train.training.heldout import FILE as HELDOUT_FILE
from mas_train.training.heldout import TOTAL, read_heldout
from mas_train.training.metrics import read_metrics

FILE: Final = "curves.png"
PANELS: Final = (("motion", "loss_motion"), ("appearance", "loss_appearance"), (TOTAL, "loss"))
"""Kind of label, and its column in ``metrics.csv``."""


def draw_curves(run: Path) -> Path:
    """Draw a run's losses, with those of the mean label, and R^2 on held-out clips if there are any.

    Parameters
    ----------
    run
        The run's folder, with ``metrics.csv`` and perhaps ``heldout.csv``.

    Returns
    -------
    Path
        The picture, ``curves.png`` in that folder.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    TrainingError
        If there are no metrics.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            'curves.png needs matplotlib, which is not installed: pip install "mas-video[inspect]"'
        ) from error
    rows = read_metrics(run)
    held_out = read_heldout(run) if (run / HELDOUT_FILE).exists() else []
    panels = [panel for panel in PANELS if rows and rows[-1][f"mean_label_{panel[1]}"] > 0]
    figure = Figure(figsize=(4.2 * (len(panels) + bool(held_out)), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels) + bool(held_out), squeeze=False)[0]
    for axis, (kind, column) in zip(axes, panels, strict=False):
        _draw_losses(axis, kind, column, rows, held_out)
    if held_out:
        _draw_r2(axes[-1], held_out)
    with atomic_path(run / FILE) as hidden:
        figure.savefig(hidden, dpi=120)
    return run / FILE


def _draw_losses(
    axis: Any, kind: str, column: str, rows: list[dict[str, float]], held_out: list[dict[str, Any]]
) -> None:
    """One kind of labels: training, held-out, and the loss of the mean label as a level."""
    level = rows[-1][f"mean_label_{column}"]
    axis.plot([row["step"] for row in rows], [row[column] for row in rows], label="training", linewidth=1)
    points = [(row["step"], row["loss"]) for row in held_out if row["label"] == kind]
    if points:
        axis.plot(*zip(*points, strict=True), "o-", markersize=3, label="held out")
    axis.axhline(level, linestyle="--", linewidth=1, color="grey", label="mean label")
    axis.set(
        title=kind, xlabel="step", ylabel="loss", ylim=(0, 2 * level)
    )  # the first steps may overshoot far
    axis.legend(fontsize="small")


def _draw_r2(axis: Any, held_out: list[dict[str, Any]]) -> None:
    """R^2 of each label at the last measurement, as bars."""
    last = held_out[-1]["step"]
    scores = [(row["label"], row["r2"]) for row in held_out if row["step"] == last and row["label"] != TOTAL]
    labels = [(name, r2) for name, r2 in scores if name not in ("motion", "appearance")]
    axis.barh([name for name, _ in labels], [r2 for _, r2 in labels])
    axis.axvline(0, linewidth=1, color="grey")
    axis.set(title=f"R$^2$ on held-out clips, step {last:g}", xlim=(-0.2, 1))
    axis.tick_params(axis="y", labelsize=5)
    axis.invert_yaxis()
