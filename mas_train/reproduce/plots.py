"""Pictures of the small experiment: accuracies by row with their intervals, and R^2 by label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mas_train.reproduce.measure import MEASURES, Cell, LabelFit
from mas_train.runtime.figures import make_figure, save_figure

PANELS_PER_ROW = 4
COLOURS = ("#999999", "#bbbbbb", "#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee")


def draw_accuracies(cells: Sequence[Cell], titles: dict[str, str], path: Path) -> None:
    """Draw one panel per measure, with one bar per row, as a PNG file.

    Bars are means over all splits, lines their intervals, dots the networks.

    Raises the errors of `mas_train.runtime.figures.make_figure` and `save_figure`.

    Parameters
    ----------
    cells
        The results; the last of them are those of all splits.
    titles
        Title of each row, in the order of the bars.
    """
    shown = [cell for cell in cells if cell.split == cells[-1].split]
    measures = [measure.title for measure in MEASURES if any(c.measure == measure.title for c in shown)]
    cols = min(PANELS_PER_ROW, len(measures))
    rows = -(-len(measures) // cols)
    figure = make_figure((3 * cols + 2, 2.6 * rows + 0.4))
    panels = figure.subplots(rows, cols, squeeze=False, sharey=True).ravel()
    for unused in panels[len(measures) :]:
        unused.set_axis_off()
    for panel, measure in zip(panels, measures, strict=False):
        for place, (row, colour) in enumerate(zip(titles, COLOURS, strict=False)):
            for cell in shown:
                if (cell.measure, cell.row) != (measure, row) or not cell.values:
                    continue
                panel.barh(place, 100 * cell.mean, color=colour)
                panel.plot(
                    [100 * value for value in cell.values], [place] * len(cell.values), "k.", markersize=4
                )
                bounds = cell.interval
                if bounds.low is not None and bounds.high is not None:
                    panel.plot([100 * bounds.low, 100 * bounds.high], [place + 0.25] * 2, "k-", linewidth=1)
        panel.set_title(measure, fontsize=10)
        panel.set_yticks(range(len(titles)), list(titles.values()), fontsize=9)
        panel.set(xlim=(0, 100), ylim=(len(titles) - 0.5, -0.5))
    figure.suptitle("percent; bars: means, lines: 95 % intervals, dots: networks", fontsize=10)
    save_figure(figure, path)


def draw_labels(fits: Sequence[LabelFit], titles: dict[str, str], path: Path) -> None:
    """Draw R^2 of each label on held-out clips, one bar per row with the range over seeds, as a PNG.

    Raises the errors of `mas_train.runtime.figures.make_figure` and `save_figure`.

    Parameters
    ----------
    fits
        The scores of the labels.
    titles
        Title of each row.
    """
    rows = [name for name in titles if name != "random" and any(fit.row == name for fit in fits)]
    labels = list(dict.fromkeys(fit.label for fit in fits if fit.row in rows))
    figure = make_figure((12, 4))
    axes = figure.add_subplot()
    width = 0.8 / max(1, len(rows))
    for number, row in enumerate(rows):
        r2 = {fit.label: fit.r2 for fit in fits if fit.row == row}
        positions = [position for position, label in enumerate(labels) if label in r2]
        values = [r2[labels[position]] for position in positions]
        means = np.array([np.mean(value) for value in values])
        ranges = np.array([[m - min(v), max(v) - m] for m, v in zip(means, values, strict=True)]).T
        axes.bar(
            np.array(positions) + (number + 0.5) * width - 0.4,
            means,
            width,
            yerr=ranges,
            label=titles[row],
            color=COLOURS[list(titles).index(row)],
            error_kw={"linewidth": 0.7},
        )
    axes.axhline(0, color="black", linewidth=0.7)
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8)
    axes.set(ylabel="R^2 on held-out clips", ylim=(-0.3, 0.8))
    if rows:
        axes.legend(fontsize=8)
    save_figure(figure, path)
