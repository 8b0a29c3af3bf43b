"""Pictures of the small experiment: accuracies by condition, and R^2 by label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mas_labels.schema import LABEL_NAMES
from mas_train.reproduce.measure import MEASURES, Cell, LabelFit
from mas_train.runtime.figures import make_figure, save_figure

PANELS_PER_ROW = 4
COLOURS = ("#999999", "#bbbbbb", "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee")


def draw_accuracies(cells: Sequence[Cell], titles: dict[str, str], path: Path) -> None:
    """Draw one panel per measure, with one bar per condition, as a PNG file.

    Bars are means of split 1, dots its networks, crosses those of split 2.

    Raises the errors of `mas_train.runtime.figures.make_figure` and `save_figure`.

    Parameters
    ----------
    cells
        The results.
    titles
        Title of each condition, in the order of the bars.
    """
    measures = [measure.title for measure in MEASURES if any(c.measure == measure.title for c in cells)]
    cols = min(PANELS_PER_ROW, len(measures))
    rows = -(-len(measures) // cols)
    figure = make_figure((3 * cols + 2, 2.6 * rows + 0.4))
    panels = figure.subplots(rows, cols, squeeze=False, sharey=True).ravel()
    for unused in panels[len(measures) :]:
        unused.set_axis_off()
    for panel, measure in zip(panels, measures, strict=False):
        for row, (condition, colour) in enumerate(zip(titles, COLOURS, strict=False)):
            for cell in cells:
                if (cell.measure, cell.condition) != (measure, condition) or not cell.values:
                    continue
                percent = [100 * value for value in cell.values]
                if cell.split == cells[0].split:
                    panel.barh(row, 100 * cell.mean, color=colour)
                    panel.plot(percent, [row] * len(percent), "k.", markersize=5)
                else:
                    panel.plot(percent, [row + 0.25] * len(percent), "kx", markersize=5)
        panel.set_title(measure, fontsize=10)
        panel.set_yticks(range(len(titles)), list(titles.values()), fontsize=9)
        panel.set(xlim=(0, 100), ylim=(len(titles) - 0.5, -0.5))
    figure.suptitle(
        "percent; bars: mean of split 1, dots: its networks, crosses: those of split 2", fontsize=10
    )
    save_figure(figure, path)


def draw_labels(fits: Sequence[LabelFit], titles: dict[str, str], path: Path) -> None:
    """Draw R^2 of each label on held-out clips, one bar per condition with the range over seeds, as a PNG.

    Raises the errors of `mas_train.runtime.figures.make_figure` and `save_figure`.

    Parameters
    ----------
    fits
        The scores of the labels.
    titles
        Title of each condition.
    """
    conditions = [name for name in titles if name != "random" and any(fit.condition == name for fit in fits)]
    figure = make_figure((12, 4))
    axes = figure.add_subplot()
    width = 0.8 / max(1, len(conditions))
    for number, condition in enumerate(conditions):
        r2 = {fit.label: fit.r2 for fit in fits if fit.condition == condition}
        positions = [position for position, label in enumerate(LABEL_NAMES) if label in r2]
        values = [r2[LABEL_NAMES[position]] for position in positions]
        means = np.array([np.mean(value) for value in values])
        ranges = np.array([[m - min(v), max(v) - m] for m, v in zip(means, values, strict=True)]).T
        axes.bar(
            np.array(positions) + (number + 0.5) * width - 0.4,
            means,
            width,
            yerr=ranges,
            label=titles[condition],
            color=COLOURS[list(titles).index(condition)],
            error_kw={"linewidth": 0.7},
        )
    axes.axhline(0, color="black", linewidth=0.7)
    axes.set_xticks(range(len(LABEL_NAMES)), list(LABEL_NAMES), rotation=90, fontsize=8)
    axes.set(ylabel="R^2 on held-out clips", ylim=(-0.3, 0.8))
    if conditions:
        axes.legend(fontsize=8)
    save_figure(figure, path)
