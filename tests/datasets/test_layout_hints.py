"""Hints at another root or manifest where classes and splits are not where they were looked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.layouts import found, grow, told, write

from mas_labels.errors import DatasetError


def test_a_root_that_hides_the_classes_is_told(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", "data/A/1.avi", "data/B/2.avi")
    assert told(
        found("folder", root),
        "all videos lie in data, which is taken for their class: with it as the root there are 2",
    )
    assert not told(found("folder", root / "data"), "taken for")
    assert told(
        found("split_folders", root / "data"), f"if A, B are classes and no splits, the root is {root}"
    )
    one_class = grow(tmp_path / "one", "wave/wave/x.avi", "wave/wave/y.avi")
    assert not told(found("hmdb51", one_class, hmdb51_lists(tmp_path)), "taken for their class")


def hmdb51_lists(tmp_path: Path) -> Path:
    write(tmp_path / "lists" / "wave_test_split1.txt", "x.avi 1\ny.avi 2\n")
    return tmp_path / "lists"


def test_splits_below_the_classes_are_told_with_what_reads_them(tmp_path: Path) -> None:
    root = grow(tmp_path, "A/train/1.avi", "A/test/2.avi", "B/train/3.avi")
    assert told(found("split_folders", root), "path: '(?P<class>[^/]+)/(?P<split>[^/]+)/.+'")


def test_videos_without_folders_are_not_sent_to_a_root_that_has_one_class(tmp_path: Path) -> None:
    root = grow(tmp_path / "hmdb51", "x_wave_f.avi", "x_run_f.avi")
    with pytest.raises(DatasetError, match=r"If hmdb51 is their class, .*; else give each class a folder"):
        found("hmdb51", root, hmdb51_lists(tmp_path))


def test_names_that_no_root_fits_are_refused_with_a_remedy(tmp_path: Path) -> None:
    root = grow(tmp_path, "train/class one/ABCDEFGHIJK.mp4")
    with pytest.raises(DatasetError, match=r"Rename them, or describe .* manifest of your own"):
        found("kinetics400", root)
