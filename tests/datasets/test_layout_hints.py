"""Hints at another root or manifest, for classes and splits in unexpected folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.layouts import found, grow, has_note, write

from mas_labels.errors import DatasetError


def test_a_root_that_hides_the_classes_is_noted(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", "data/A/1.avi", "data/B/2.avi")
    assert has_note(
        found("folder", root),
        "all videos are in data, which is read as their class: with it as the root there are 2",
    )
    assert not has_note(found("folder", root / "data"), "read as")
    assert has_note(
        found("split_folders", root / "data"), f"if A, B are classes, not splits, the root is {root}"
    )
    one_class = grow(tmp_path / "one", "wave/wave/x.avi", "wave/wave/y.avi")
    assert not has_note(found("hmdb51", one_class, hmdb51_lists(tmp_path)), "read as their class")


def hmdb51_lists(tmp_path: Path) -> Path:
    write(tmp_path / "lists" / "wave_test_split1.txt", "x.avi 1\ny.avi 2\n")
    return tmp_path / "lists"


def test_splits_below_the_classes_are_noted_with_a_manifest_for_them(tmp_path: Path) -> None:
    root = grow(tmp_path, "A/train/1.avi", "A/test/2.avi", "B/train/3.avi")
    assert has_note(found("split_folders", root), "path: '(?P<class>[^/]+)/(?P<split>[^/]+)/.+'")


def test_videos_without_folders_get_no_hint_at_a_root_with_one_class(tmp_path: Path) -> None:
    root = grow(tmp_path / "hmdb51", "x_wave_f.avi", "x_run_f.avi")
    with pytest.raises(
        DatasetError, match=r"If hmdb51 is their class, .*; else give each class its own folder"
    ):
        found("hmdb51", root, hmdb51_lists(tmp_path))


def test_a_root_given_as_two_dots_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(tmp_path / "yupenn", "Beach/1.mov", "Beach/below/notes.txt")
    monkeypatch.chdir(tmp_path / "yupenn" / "Beach" / "below")
    with pytest.raises(DatasetError, match=r"They match if the root is \S+/yupenn$"):
        found("yupenn", Path(".."))


def test_names_that_match_under_no_root_are_refused_with_a_remedy(tmp_path: Path) -> None:
    root = grow(tmp_path, "train/class one/ABCDEFGHIJK-27-37.mp4")
    with pytest.raises(DatasetError, match=r"Rename them, or describe .* your own manifest"):
        found("kinetics400", root)
