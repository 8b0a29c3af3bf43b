"""A map of features: videos in the plane of the two directions in which their features vary most (PCA)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.shards import ShardSet, spread_evenly
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.protocol import Evaluation
from mas_train.model.similarity import require_finite_outputs
from mas_train.runtime.figures import COLOURS, make_figure, save_figure, shorten

MAX_VIDEOS: Final = 500
"""Most videos on the map; of more, so many are evenly spread over all."""
MARKERS: Final = "os^DvPX*<>ph"
"""As many classes are named, each with a marker of its own; the other videos are grey."""
NAME_LETTERS: Final = 28


class Projection(NamedTuple):
    """Features seen along their two principal axes."""

    places: NDArray[np.float64]
    """(V, 2), distances from the mean of all features along each axis."""
    shares: tuple[float, float]
    """Share of the features' variance along each axis; 0 where they do not vary."""


def project(features: NDArray[np.floating]) -> Projection:
    """Project features onto their first two principal axes (PCA).

    Parameters
    ----------
    features
        (V, D), at least one row.

    Raises
    ------
    InputError
        If a shape is wrong, or a feature is not finite.

    Notes
    -----
    An axis has no sign of its own: it is turned so that the largest of its D numbers is positive.
    """
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2 or not rows.size:
        raise InputError(f"expected features (V, D), found {rows.shape}")
    require_finite_outputs("features", rows)
    rows = rows - rows.mean(axis=0)
    _, lengths, axes = np.linalg.svd(rows, full_matrices=False)
    axes = axes[:2]
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    places, shares = np.zeros((len(rows), 2)), np.zeros(2)
    places[:, : len(axes)] = rows @ axes.T
    if total := float((lengths**2).sum()):
        shares[: len(axes)] = lengths[:2] ** 2 / total
    return Projection(places, (float(shares[0]), float(shares[1])))


def map_videos(evaluation: Evaluation, shards: ShardSet, features: VideoFeatures | None, path: Path) -> None:
    """Draw the map of a shard set's videos, or of `MAX_VIDEOS` evenly spread ones, as a PNG file.

    Parameters
    ----------
    evaluation
        The weights.
    shards
        The videos.
    features
        Their features; None: only those of the videos on the map are computed.
    path
        The picture.

    Raises
    ------
    ConfigError
        If the picture cannot be written.
    DatasetError
        If there are no clips.
    """
    videos = len(shards.videos)
    chosen = spread_evenly(videos, MAX_VIDEOS, ends=False)
    if features is None:
        part = shards.subset(np.flatnonzero(np.isin(shards.clip_videos(), chosen)))
        of_part = evaluation.features(evaluation.weights, part)
        values, numbers = of_part.values, of_part.classes
    else:
        values, numbers = features.values[chosen], features.classes[chosen]
    classes = [shards.classes[number] if number >= 0 else None for number in numbers]
    draw_map(values, classes, videos, path)


def draw_map(
    features: NDArray[np.floating], classes: Sequence[str | None], of_videos: int, path: Path
) -> None:
    """Draw features in two dimensions, classes by colour and marker, as a PNG file.

    Raises the errors of `project` and of `mas_train.runtime.figures.save_figure`.

    Parameters
    ----------
    features, classes
        (V, D), and the class of each; None where it is unknown.
    of_videos
        Number of videos that these were chosen from, evenly spread.
    path
        The picture; its description says how much of the variance is seen.
    """
    places, shares = project(features)
    figure = make_figure((9, 6))
    axes = figure.add_subplot()
    _draw_classes(axes, places, classes)
    first, second = (f"principal axis: {share:.1%} of the variance" for share in shares)
    axes.set(xlabel=f"first {first}", ylabel=f"second {second}")
    axes.tick_params(labelsize=8)
    number = f"{len(places):,} videos"
    if of_videos > len(places):
        number = f"{len(places):,} of {of_videos:,} videos, evenly spread"
    axes.set_title(
        f"Features of {number}: these two axes show {sum(shares):.0%} of the variance", fontsize=10
    )
    legend = figure.legend(loc="outside right upper", fontsize=8, frameon=False, title="videos, class")
    for text in legend.get_texts():
        text.set_parse_math(False)
    description = (
        f"Each mark is a video, at the place of its mean feature along the two principal axes (PCA) of the "
        f"features of {number}. Two dimensions show only {sum(shares):.0%} of the variance: videos that are "
        "near each other here may be far apart in the others, and classes that overlap here may be separable."
    )
    save_figure(figure, path, description)


def _draw_classes(axes: Any, places: NDArray[np.float64], classes: Sequence[str | None]) -> None:
    """Draw the videos of the largest classes in colours of their own, the others below them in grey."""
    sizes = Counter(name for name in classes if name is not None)
    named = [name for name, _ in sizes.most_common(len(MARKERS))]
    others = np.array([name is not None and name not in named for name in classes])
    unknown = np.array([name is None for name in classes])
    of_others = f"{others.sum()} in {len(sizes) - len(named)} other classes"
    of_unknown = f"{unknown.sum()} of unknown class"
    for rows, marker, label in ((others, ".", of_others), (unknown, "|", of_unknown)):
        if rows.any():
            axes.plot(*places[rows].T, marker, color="#999999", markersize=5, label=label)
    for place, name in enumerate(named):
        rows = np.array([other == name for other in classes])
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place]
        axes.plot(
            *places[rows].T,
            marker,
            color=colour,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.4,
            label=f"{sizes[name]} {shorten(name, NAME_LETTERS)}",  # one that begins with _ were left out
        )
