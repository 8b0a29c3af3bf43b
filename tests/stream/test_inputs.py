"""Videos from the paths of a command line, their names and their classes."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from helpers.videos import FOLDER_MANIFEST

from mas_labels.errors import DatasetError
from mas_labels.stream import find_inputs

NAMES = ["pan/a.avi", "pan/b b.mp4", "zoom/a.avi", "zoom/ünï'.avi"]


@pytest.fixture
def root(tmp_path):
    """Two class folders of two videos, which are found by their names alone."""
    for name in NAMES:
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "videos"


def names(*paths, root=None):
    return sorted(find_inputs(paths, root=root).videos)


def test_class_folders_are_kept_from_each_folder_or_from_the_root(root):
    assert names(root) == NAMES
    assert names(root / "zoom") == ["a.avi", "ünï'.avi"]
    assert names(root / "zoom", root=root) == NAMES[2:]
    assert names(root / "zoom" / "a.avi", root / "pan" / "a.avi", root=root) == ["pan/a.avi", "zoom/a.avi"]


def test_paths_are_those_of_the_videos(root, monkeypatch):
    monkeypatch.chdir(root)
    found = find_inputs([root / "pan", root.parent / "videos/pan/a.avi"])
    assert found.videos == {"a.avi": root / "pan/a.avi", "b b.mp4": root / "pan/b b.mp4"}
    assert not found.is_single
    assert find_inputs([root / "pan/a.avi"]).is_single


def test_two_videos_of_one_name_are_refused(root):
    with pytest.raises(DatasetError, match=r"pan/a.avi and .*zoom/a.avi: .* the name a.avi: give --root"):
        names(root / "pan", root / "zoom")


def test_a_list_names_videos_before_numbers(root):
    lines = ["pan/b b.mp4 3", "", '"zoom/a.avi" 1 2', f"{root}/pan/a.avi,7", "./zoom/ünï'.avi"]
    (root / "list.txt").write_text("\r\n".join(lines), encoding="utf-8")
    assert names(root / "list.txt") == NAMES
    (root.parent / "list.TXT").write_text("\n".join(lines), encoding="utf-8")
    assert names(root.parent / "list.TXT", root=root) == NAMES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pan/a.avi\nno.avi 1\npan/c.avi 2", "2 of 3 videos are not in .*: no.avi 1, pan/c.avi 2. Check the"),
        ("\n", "expected the paths of videos in .*, found none"),
        ("ab\0c.avi", "1 of 1 videos are not in"),
        ("../other.avi", "other.avi is not in .*videos, from which the names of the output begin: give"),
    ],
)
def test_a_list_that_cannot_be_used_is_one_line(root, text, message):
    (root.parent / "other.avi").touch()
    (root / "list.txt").write_text(text)
    with pytest.raises(DatasetError, match=message) as error:
        names(root / "list.txt")
    assert "\n" not in str(error.value)


def test_frames_of_one_video_and_of_many(tmp_path):
    for folder in ("pan/one", "pan/two.x"):
        (tmp_path / "frames" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "frames" / folder / "img_00001.jpg"), np.zeros((16, 16, 3), np.uint8))
    many = find_inputs([tmp_path / "frames"])
    assert sorted(many.videos) == ["pan/one", "pan/two.x"]
    assert (many.has_extracted, many.is_single) == (True, False)
    assert any("read as one video each" in note for note in many.notes)
    one = find_inputs([tmp_path / "frames/pan/one"])
    assert (list(one.videos), one.has_extracted, one.is_single) == (["one"], True, True)


def test_what_is_left_out_is_said(root):
    (root / "readme.md").touch()
    (root / "linked").symlink_to(root.parent)
    notes = " ".join(find_inputs([root]).notes)
    assert "1 .md" in notes
    assert "symbolic links were not followed" in notes


def test_nothing_to_find(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"expected videos or numbered pictures in .*, found no files"):
        names(tmp_path / "empty")
    with pytest.raises(DatasetError, match=re.escape(f"at {tmp_path / 'none.avi'}, found nothing")):
        names(tmp_path / "none.avi")


def test_a_manifest_names_the_videos_of_a_split(root):
    found = find_inputs([], FOLDER_MANIFEST, root)
    assert found.videos == {name: root / name for name in NAMES}
