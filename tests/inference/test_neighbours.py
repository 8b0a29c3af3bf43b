"""The picture of neighbours for any names and classes."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

import cv2
import numpy as np
import pytest

from mas_train.inference.neighbours import PicturedVideos, draw_neighbours
from mas_train.runtime.figures import shorten

HOSTILE = ["$x_1$/a_b.avi", "line\nbreak.mp4", "\u6f22\u5b57.avi", "\udcff.avi", "x" * 300, "", "b$", "c.avi"]
"""Names that are formulas, break lines, have no letters in the font, are not UTF-8, long or empty."""


def test_names_are_shortened_in_the_middle() -> None:
    assert shorten("short.avi", 9) == "short.avi"
    assert shorten("abcdefghij", 5) == "ab\u2026ij"
    assert shorten("a\nb", 9) == "a\\nb" and shorten("\udcff", 9) == "\\xff"


def test_no_video_is_its_own_neighbour_and_one_that_is_gone_is_drawn_without_a_frame(tmp_path: Path) -> None:
    asked: list[Set[str]] = []

    def read_frames(names: Set[str]) -> dict[str, np.ndarray]:
        asked.append(names)
        return {name: np.full((12, 16, 3), 90, np.uint8) for name in names if name != "c.avi"}

    angles = np.arange(len(HOSTILE)) * 0.1
    values = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    classes = ["$\\frac", None, "a_b", "a_b", "\n", "a_b", None, "c"]
    videos = PicturedVideos(HOSTILE, values, classes, read_frames)
    draw_neighbours(videos, videos, [0, 7], tmp_path / "n.png")
    assert asked == [{HOSTILE[0], HOSTILE[7]}, set(HOSTILE[1:7])]  # five neighbours each
    picture = cv2.imread(str(tmp_path / "n.png"))
    assert picture.shape[0] < picture.shape[1] and picture.std() > 20


def test_letters_that_the_font_lacks_are_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mas_train.runtime.figures import make_figure, save_figure

    figure = make_figure((1, 1))
    figure.text(0, 0, "\u6f22\u5b57")
    save_figure(figure, tmp_path / "a.png")
    assert capsys.readouterr().err.count("\n") == 1
