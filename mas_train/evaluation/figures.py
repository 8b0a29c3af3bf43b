"""Pictures of results: confusion matrix, ROC curve, attention (paper, figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mas_train.runtime.figures import make_figure, save_figure


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix, each row as shares of its class, as a PNG file.

    Parameters
    ----------
    confusion
        (C, C + 1) int64, as in `mas_train.evaluation.accuracy.Accuracy`.
    classes
        Names of the C classes.
    path
        The file.

    Raises
    ------
    ConfigError
        The file cannot be written.
    MissingDependencyError
        matplotlib is not installed.
    """
    side = max(4.0, 0.16 * len(classes) + 2.5)
    figure = make_figure((side, side))
    axes = figure.add_subplot()
    shares = confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="recognised as", ylabel="class")
    axes.set_yticks(range(len(classes)), list(classes), fontsize=7, parse_math=False)
    names = [*classes, "(failed)"]
    axes.set_xticks(range(len(names)), names, fontsize=7, rotation=90, parse_math=False)
    figure.colorbar(image, ax=axes, label="share of the class's videos", shrink=0.7)
    save_figure(figure, path)


def draw_roc(curves: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Draw ROC curves as a PNG file.

    Parameters
    ----------
    curves
        Name, such as ``"ours, AUC 0.62"`` -> (K, 2) false and true positive rates.
    path
        The file.

    Raises
    ------
    ConfigError
        The file cannot be written.
    MissingDependencyError
        matplotlib is not installed.
    """
    figure = make_figure((5, 5))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#999999", linestyle="--", label="chance")
    for name, rates in curves.items():
        axes.plot(rates[:, 0], rates[:, 1], label=name)
    axes.set(
        xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1), aspect="equal"
    )
    axes.legend(loc="lower right")
    save_figure(figure, path)


class AttentionRow(NamedTuple):
    """One row of figure 6."""

    title: str
    frame: NDArray[np.uint8]
    """(112, 112, 3): the middle frame as the network sees it."""
    attention: NDArray[np.float32]
    """(112, 112), from 0 to 1."""
    boundaries: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    """|Mu| and |Mv|, (112, 112) each; None where the shard does not hold them."""


def draw_attention(rows: Sequence[AttentionRow], path: Path) -> None:
    """Draw frames, attention over them, |Mu| and |Mv|, a row a clip, as a PNG file.

    Raises
    ------
    ConfigError
        The file cannot be written.
    MissingDependencyError
        matplotlib is not installed.
    """
    figure = make_figure((9.2, 2.5 * len(rows)))
    grid = figure.subplots(len(rows), 4, squeeze=False)
    for row, axes in zip(rows, grid, strict=True):
        for panel, name in zip(axes, ("frame", "attention", "|Mu|", "|Mv|"), strict=True):
            panel.set_title(name, fontsize=8)
            panel.set(xticks=[], yticks=[])
        axes[0].imshow(row.frame)
        axes[0].set_ylabel(row.title, fontsize=7, parse_math=False)
        axes[1].imshow(row.frame)
        axes[1].imshow(row.attention, cmap="inferno", alpha=0.5, vmin=0, vmax=1)
        for panel, field in zip(axes[2:], row.boundaries or (None, None), strict=True):
            if field is None:
                panel.text(0.5, 0.5, "not in this shard", transform=panel.transAxes, ha="center", fontsize=8)
            else:
                panel.imshow(field, cmap="magma", vmin=0, vmax=float(np.quantile(field, 0.999)) or 1.0)
    save_figure(figure, path)


class Thumbnail(NamedTuple):
    """One video in a picture of neighbours."""

    frame: NDArray[np.uint8]
    """(rows, cols, 3)."""
    words: str
    hit: bool | None
    """Whether it is of the class that was asked for; None for the video that asks."""


class NeighbourRow(NamedTuple):
    """A video and its neighbours, the nearest first."""

    video: Thumbnail
    neighbours: Sequence[Thumbnail]


def draw_thumbnails(rows: Sequence[NeighbourRow], path: Path) -> None:
    """Draw videos and their neighbours, a row each, as a PNG file.

    Neighbours of another class have a cross and are paler, so that it shows in grey, too.

    Raises
    ------
    ConfigError
        The file cannot be written.
    MissingDependencyError
        matplotlib is not installed.
    """
    columns = 1 + max(len(row.neighbours) for row in rows)
    figure = make_figure((1.75 * columns, 1.62 * len(rows)))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, axes in zip(rows, grid, strict=True):
        for panel in axes:
            panel.set_axis_off()
        for panel, shown in zip(axes, (row.video, *row.neighbours), strict=False):
            mark = {None: "", True: "\u2713 ", False: "\u2717 "}[shown.hit]
            panel.imshow(shown.frame, alpha=0.6 if shown.hit is False else 1.0)
            weight = "bold" if shown.hit is None else "normal"
            title = f"{mark}{shown.words[:22]}"
            panel.set_title(title, fontsize=8, fontweight=weight, parse_math=False, pad=3)
    save_figure(figure, path)
