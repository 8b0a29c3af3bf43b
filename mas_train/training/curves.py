"""Learning curves of a pre-training run as a picture; matplotlib is an extra."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from mas_labels.errors import TrainingError
from mas_labels.schema import HELDOUT_FILE, LABEL_KINDS, TOTAL_LABEL
from mas_train.runtime.figures import make_figure, save_figure
from mas_train.training.heldout import read_heldout
from mas_train.training.metrics import read_metrics

CURVES_FILE: Final = "curves.png"
PANELS: Final = (*((kind, f"loss_{kind}") for kind in LABEL_KINDS), (TOTAL_LABEL, "loss"))
"""Kind of label, and its column in `mas_labels.schema.METRICS_FILE`."""


def draw_curves(run: Path) -> Path:
    """Draw the losses of a run next to the mean label's, and what was measured on other clips.

    Parameters
    ----------
    run
        The run's folder, with `metrics.csv` and, if clips were held out, `heldout.csv`.

    Returns
    -------
    Path
        The picture, `CURVES_FILE` in that folder.

    Raises
    ------
    ConfigError
        If the picture cannot be written.
    MissingDependencyError
        If matplotlib is not installed.
    TrainingError
        If there are no metrics, or none of a step, as of a run of 0 epochs.
    """
    rows = read_metrics(run)
    if not rows:
        raise TrainingError(f"expected metrics of one step or more in {run}, found none: train it first")
    heldout = read_heldout(run) if (run / HELDOUT_FILE).exists() else []
    probed = [row for row in rows if math.isfinite(row.get("probe_accuracy", math.nan))]
    panels = [panel for panel in PANELS if rows and rows[-1][f"mean_label_{panel[1]}"] > 0]
    count = len(panels) + bool(heldout) + bool(probed)
    figure = make_figure((4.2 * count, 3.4))
    axes = figure.subplots(1, count, squeeze=False)[0]
    for axis, (kind, column) in zip(axes, panels, strict=False):
        _draw_losses(axis, kind, column, rows, heldout)
    if heldout:
        _draw_r2(axes[len(panels)], heldout)
    if probed:
        _draw_probe(axes[-1], probed)
    save_figure(figure, run / CURVES_FILE)
    return run / CURVES_FILE


def _draw_losses(
    axis: Any, kind: str, column: str, rows: list[dict[str, float]], heldout: list[dict[str, Any]]
) -> None:
    """Draw one kind of labels: losses on training and held-out clips, and the mean label's as a level."""
    level = rows[-1][f"mean_label_{column}"]
    axis.plot([row["step"] for row in rows], [row[column] for row in rows], label="training", linewidth=1)
    points = [(row["step"], row["loss"]) for row in heldout if row["label"] == kind]
    if points:
        axis.plot(*zip(*points, strict=True), "o-", markersize=3, label="held out")
    axis.axhline(level, linestyle="--", linewidth=1, color="grey", label="mean label")
    bottom_and_top = (0, 2 * level)  # the loss may overshoot in the first steps
    axis.set(title=kind, xlabel="step", ylabel="loss", ylim=bottom_and_top)
    axis.legend(fontsize="small")


def _draw_probe(axis: Any, rows: list[dict[str, float]]) -> None:
    """Draw the accuracy of nearest neighbours over steps, from the untrained network on, and chance."""
    untrained = rows[-1]["probe_untrained"]
    points = [(row["step"], row["probe_accuracy"]) for row in rows]
    if math.isfinite(untrained):
        points.insert(0, (0.0, untrained))
        axis.axhline(untrained, linestyle=":", linewidth=1, color="grey", label="untrained")
    axis.plot(*zip(*points, strict=True), "o-", markersize=3, linewidth=1, label="probe")
    axis.axhline(rows[-1]["probe_chance"], linestyle="--", linewidth=1, color="grey", label="chance")
    axis.set(title="nearest neighbours", xlabel="step", ylabel="accuracy", ylim=(0, 1))
    axis.legend(fontsize="small")


def _draw_r2(axis: Any, heldout: list[dict[str, Any]]) -> None:
    """Draw R^2 of each label at the last measurement as a horizontal bar."""
    last_step = heldout[-1]["step"]
    sums = (*LABEL_KINDS, TOTAL_LABEL)
    scores = {
        row["label"]: row["r2"] for row in heldout if row["step"] == last_step and row["label"] not in sums
    }
    axis.barh(list(scores), list(scores.values()))
    axis.axvline(0, linewidth=1, color="grey")
    axis.set(title=f"R$^2$ on held-out clips, step {last_step:g}", xlim=(-0.2, 1))
    axis.tick_params(axis="y", labelsize=5)
    axis.invert_yaxis()
