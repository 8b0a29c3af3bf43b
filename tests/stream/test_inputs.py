"""Videos from the paths of a command line, their names and their classes."""

from __future__ import annotations

import csv
import re
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.videos import FOLDER_MANIFEST
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mas_labels.errors import ConfigError, DatasetError
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
    assert find_inputs(root / "pan/a.avi").is_single and find_inputs(str(root / "pan/a.avi")).is_single


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
    assert found.classes == {name: name.partition("/")[0] for name in NAMES}


def classes(*paths, root=None):
    return find_inputs([str(path) for path in paths], root=root and str(root)).classes


def test_the_class_is_the_first_folder_below_that_given_or_of_the_name(root):
    of_zoom = {"zoom/a.avi": "zoom", "zoom/ünï'.avi": "zoom"}
    assert classes(root) == {"pan/a.avi": "pan", "pan/b b.mp4": "pan"} | of_zoom
    assert classes(root / "zoom", root=root) == of_zoom
    assert classes(root / "zoom") == classes(root / "zoom/a.avi") == {}
    assert set(classes(root, root=root.parent).values()) == {"pan", "zoom"}
    assert set(classes(root / "zoom", root=root.parent).values()) == {"videos"}
    root.rename(root.with_name("train"))
    assert set(classes(root.with_name("train"), root=root.parent).values()) == {"pan", "zoom"}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["pan/a.avi 0", "pan/b b.mp4 0", "zoom/a.avi 1"], ["pan", "pan", "zoom"]),  # numbers of the folders
        (["pan/a.avi 300 5", "pan/b b.mp4 280 7", "zoom/a.avi 9 5"], ["5", "7", "5"]),
        (["pan/a.avi 5", "pan/b b.mp4", "zoom/a.avi 7"], ["5", None, "7"]),
        (["pan/a.avi,go", '"pan/b b.mp4","to be"', "zoom\\a.avi|go"], ["go", "to be", "go"]),
        (["video_name;Label", "pan/a.avi;go", '"pan/b b.mp4";to, be', "zoom/a.avi;7"], ["go", "to, be", "7"]),
        (["pan/a.avi", "pan/b b.mp4", "zoom/a.avi"], ["pan", "pan", "zoom"]),
        (["label,Path", "Walk,pan/a.avi", "Run,pan/b b.mp4", "7,zoom/a.avi"], ["Walk", "Run", "7"]),
        (["video,clips", '"pan/a.avi",1', "pan/b b.mp4,2", "zoom/a.avi,3"], ["pan", "pan", "zoom"]),
        (["class,label,file", "a,0,pan/a.avi", '"b, c",1,pan/b b.mp4', ",1,zoom/a.avi"], ["a", "b, c", None]),
        (["pan/a.avi,3", "pan/b b.mp4,3", "zoom/a.avi,3"], ["3", "3", "3"]),
    ],
)
def test_lists_state_classes_by_name_or_number_or_leave_them_to_the_folders(root, lines, expected):
    (root / "list.csv").write_text("\n".join(lines))
    found = find_inputs([root / "list.csv"])
    assert list(found.videos) == NAMES[:3]
    assert [found.classes.get(name) for name in NAMES[:3]] == expected


def test_numbers_in_the_name_of_a_video_are_no_class(tmp_path):
    for name in ("v 1", "w 2.avi"):
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text("v 1\nw 2.avi")
    assert (list(find_inputs([tmp_path / "list.txt"]).videos), classes(tmp_path / "list.txt")) == (
        ["v 1", "w 2.avi"],
        {},
    )


def test_a_table_without_videos_is_one_line(root):
    for text, message in (
        ("video,class\n", "expected the paths of videos in .*list.csv, one a line, found none"),
        ("video,class\nno.avi,1\n,2", "2 of 2 videos are not in .*: no.avi,1, ,2. Check the root"),
        ("youtube_id,label\nabc,run", "2 of 2 videos are not in .*: youtube_id,label, abc,run. Check"),
        ("youtube_id,label\nabc,run", "list; a table needs a column video, path, file, filename"),
        (f'path\n"{"x" * 200_000}', "2 of 2 videos are not in .*xxx"),
        ("a\0b", "1 of 1 videos are not in"),
    ):
        (root / "list.csv").write_text(text)
        with pytest.raises(DatasetError, match=message) as error:
            classes(root / "list.csv")
        assert "\n" not in str(error.value) and len(str(error.value)) < 4000


def test_paths_and_a_manifest_exclude_one_another(root):
    for named, message in (
        ({"paths": []}, "expected PATHS or --manifest, found neither: give one"),
        ({"paths": [root], "manifest": FOLDER_MANIFEST}, "expected PATHS or --manifest, found both"),
        ({"paths": [root], "split": "test"}, "--split and --splits belong to --manifest"),
        ({"paths": [], "manifest": FOLDER_MANIFEST}, "--manifest needs --root, the data set's folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            find_inputs(**named)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=9),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
        min_size=1,
        max_size=5,
    )
)
def test_a_table_gives_any_names_and_classes_back(tmp_path, stated):
    """Names with commas, quotes, blanks and line ends, as every writer of tables quotes them."""
    expected = {f"{name}.avi": text for name, text in stated.items()}
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    for name in expected:
        (folder / name).touch()
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "class"), *expected.items()])
    found = find_inputs([folder / "list.csv"])
    assert found.videos == {name: folder / name for name in expected}
    assert found.classes == {name: text for name, text in expected.items() if text}
