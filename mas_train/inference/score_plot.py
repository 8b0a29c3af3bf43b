"""Class scores along the time of videos, drawn as one panel a video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_train.inference.predict import VideoScores
from mas_train.runtime.figures import COLOURS, make_figure, save_figure, shorten

MAX_PANELS: Final = 8
"""Most videos in the picture."""
MAX_LINES: Final = 5
"""Most classes in a panel: those with the highest means."""
MAX_MARKED: Final = 60
"""Most clips of a video that are marked one by one."""
STYLES: Final = ("-", "--", ":", "-.")
"""Classes beyond the number of colours repeat them in another style."""
TITLE_LETTERS: Final = 90
NAME_LETTERS: Final = 28


def draw_scores(videos: Sequence[VideoScores], classes: Sequence[str], top: int, path: Path) -> None:
    """Draw the scores of each clip of some videos over seconds, as a PNG file.

    A class has the same colour and style in all panels.

    Raises the errors of `mas_train.runtime.figures.make_figure` and `save_figure`.

    Parameters
    ----------
    videos
        The videos, at least one, each with one clip or more.
    classes
        Names of the classes, by number.
    top
        Number of classes a panel, at most `MAX_LINES`: those with the highest mean.
    path
        The picture.
    """
    figure = make_figure((9, 2.1 * len(videos) + 0.3))
    panels = figure.subplots(len(videos), 1, squeeze=False)[:, 0]
    looks: dict[int, int] = {}
    for panel, video in zip(panels, videos, strict=True):
        assert video.scores is not None  # it has clips
        highest = np.argsort(-video.scores, kind="stable")[: min(top, MAX_LINES)].tolist()
        times, unit = _times(video)
        for number in highest:
            look = looks.setdefault(number, len(looks))
            panel.plot(
                times.mean(axis=1),
                video.clip_scores[:, number],
                STYLES[look // len(COLOURS) % len(STYLES)],
                color=COLOURS[look % len(COLOURS)],
                marker="o" if len(times) <= MAX_MARKED else None,
                markersize=3,
                linewidth=1.3,
                label=f"{video.scores[number]:.2f} {shorten(classes[number], NAME_LETTERS)}",
            )
        _finish_panel(panel, video, (times[0, 0], times[-1, 1]), unit)
    save_figure(figure, path)


def _times(video: VideoScores) -> tuple[NDArray[np.float64], str]:
    """Return begin and end of each clip, (n, 2), and their unit: frames where times are unknown."""
    seconds = np.array([(clip.start_seconds, clip.end_seconds) for clip in video.clips])
    if np.isfinite(seconds).all():
        return seconds, "seconds"
    return np.array([(clip.start_frame, clip.end_frame) for clip in video.clips], np.float64), "frame"


def _finish_panel(panel: Any, video: VideoScores, ends: tuple[float, float], unit: str) -> None:
    """Add title, legend and scale; the horizontal axis spans the video's clips."""
    truth = f"   (class: {video.true_class})" if video.true_class else ""
    title = shorten(f"{video.video}{truth}", TITLE_LETTERS)
    panel.set_title(title, fontsize=8, loc="left", parse_math=False)
    panel.set(ylim=(-0.03, 1.03), xlim=ends, xlabel=unit, ylabel="score")
    panel.xaxis.label.set_size(8)
    panel.yaxis.label.set_size(8)
    panel.tick_params(labelsize=7)
    panel.grid(linewidth=0.3)
    legend = panel.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.05), fontsize=7, frameon=False, title="mean, class"
    )
    legend.get_title().set_fontsize(7)
    for text in legend.get_texts():
        text.set_parse_math(False)
