"""Listings of any folder: which files are videos, their classes and splits; the files are empty."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.layouts import Grow
from hypothesis import given
from hypothesis import strategies as st

from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.folder import FolderContents, split_extension, walk_folder
from mas_labels.datasets.list_files import read_lines
from mas_labels.datasets.listing import describe
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import ConfigError, DatasetError
from mas_labels.names import printable


def test_extensions_are_compared_ignoring_case_and_hidden_names_are_skipped(grow: Grow) -> None:
    root = grow("a.AVI", "b/c.Mp4", ".hidden.avi", ".git/d.avi", "notes.TXT", "more.txt", "README")
    contents = walk_folder(root, (".avi", ".mp4"))
    assert contents == FolderContents(
        ("a.AVI", "b/c.Mp4"),
        {".txt": 2, "without extension": 1},
        ("2 hidden folders or videos were skipped: .git, .hidden.avi",),
    )


@pytest.mark.parametrize(
    ("path", "stem", "extension"),
    [
        ("a/b.AVI", "a/b", ".avi"),
        ("a.b/c", "a.b/c", ""),
        (".avi", ".avi", ""),
        ("a/.avi", "a/.avi", ""),
        ("b.", "b", "."),
    ],
)
def test_split_extension(path: str, stem: str, extension: str) -> None:
    assert split_extension(path) == (stem, extension)


def test_names_that_are_not_utf8_survive(tmp_path: Path) -> None:
    name = b"caf\xe9 \n\xe8\xa7\x86.avi"
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).touch()
    listing = find_videos(load_manifest("folder"), tmp_path)
    assert os.fsencode(listing.videos[0].path) == name
    assert (listing.root / listing.videos[0].path).is_file()
    assert printable(listing.videos[0].path) == "caf\\xe9 \\n视.avi"
    describe(listing).encode("utf-8")


def test_archives_that_were_not_unpacked_are_named(grow: Grow) -> None:
    root = grow("wave.rar", "run.rar", "lists.zip", "readme.txt")
    expected = "found 2 .rar, 1 .txt, 1 .zip. Check .* If they are in the .rar, .zip, unpack these$"
    with pytest.raises(DatasetError, match=expected):
        find_videos(load_manifest("hmdb51"), root)


def test_links_out_of_the_root_are_noted_but_not_followed(grow: Grow) -> None:
    root = grow("here.avi")
    outside = grow("far.avi", root="elsewhere")
    (root / "inside.avi").symlink_to(root / "here.avi")
    (root / "outside.avi").symlink_to(outside / "far.avi")
    (root / "broken.avi").symlink_to(root / "nothing.avi")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    listing = find_videos(load_manifest("folder"), root)
    assert [video.path for video in listing.videos] == ["here.avi", "inside.avi"]
    assert listing.notes == (
        "3 symbolic links were not followed (--follow-links does, or copy what they lead to): folder, loop, "
        "outside.avi",
        "1 symbolic links lead to no file or folder: broken.avi",
    )


def test_a_pipe_with_the_name_of_a_video_is_skipped(grow: Grow) -> None:
    root = grow("a.avi")
    os.mkfifo(root / "b.avi")
    assert [video.path for video in find_videos(load_manifest("folder"), root).videos] == ["a.avi"]


def test_a_missing_root_a_file_and_a_folder_without_videos_are_refused(grow: Grow) -> None:
    root = grow("a.txt", "b.txt", "c.jpg")
    with pytest.raises(DatasetError, match="found nothing"):
        find_videos(load_manifest("folder"), root / "nowhere")
    with pytest.raises(DatasetError, match="found a file"):
        find_videos(load_manifest("folder"), root / "a.txt")
    with pytest.raises(DatasetError, match=r"found 1 \.jpg, 2 \.txt"):
        find_videos(load_manifest("folder"), root)


def test_folder_subfolders_are_classes_alphabetically_ignoring_case(grow: Grow) -> None:
    listing = find_videos(load_manifest("folder"), grow("b/1.mp4", "A/x/2.mkv", "c/3.MOV", "4.avi"))
    assert listing.classes == ("A", "b", "c")
    assert [(v.path, v.class_name, v.class_index) for v in listing.videos] == [
        ("4.avi", None, -1),
        ("A/x/2.mkv", "A", 0),
        ("b/1.mp4", "b", 1),
        ("c/3.MOV", "c", 2),
    ]


def test_folder_classes_that_differ_in_case_are_merged_and_noted(grow: Grow) -> None:
    listing = find_videos(load_manifest("folder"), grow("Walk/1.avi", "walk/1.avi"))
    assert [(v.path, v.class_name, v.class_index) for v in listing.videos] == [
        ("Walk/1.avi", "Walk", 0),
        ("walk/1.avi", "Walk", 0),
    ]
    assert listing.notes == (
        "1 class names are other spellings of a class and were merged with it: walk is Walk",
    )


def test_folder_without_classes_has_one_split_all(grow: Grow) -> None:
    listing = find_videos(load_manifest("folder"), grow("b.avi", "a.avi"))
    assert listing.classes == () and listing.unlisted == ()
    assert [video.path for video in listing.select("all")] == ["a.avi", "b.avi"]
    with pytest.raises(ConfigError, match="there are: all"):
        listing.select("train")


def test_a_manifest_that_reads_no_lists_refuses_a_folder_of_lists(grow: Grow, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reads no list files"):
        find_videos(load_manifest("folder"), grow("a.avi"), tmp_path)


def test_an_unknown_or_empty_split_is_refused_with_the_known_ones(grow: Grow) -> None:
    listing = find_videos(load_manifest("ucf101"), grow("Archery/v_Archery_g01_c01.avi"))
    with pytest.raises(ConfigError, match="there are: all, train1, test1"):
        listing.select("train")
    with pytest.raises(DatasetError, match="split train1"):
        listing.select("train1")


def test_the_split_can_come_from_the_path(grow: Grow) -> None:
    listing = find_videos(load_manifest("demo"), grow("train/a/1.avi", "train/b/2.mp4", "test/b/3.avi"))
    assert listing.split_names == ("test", "train")
    assert [video.path for video in listing.select("train")] == ["train/a/1.avi", "train/b/2.mp4"]
    assert [video.class_index for video in listing.videos] == [1, 0, 1]


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\t "), min_size=1)),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_lines_of_a_list_file_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(("".join(line + end for line in lines)).encode())
    expected = [line for line in lines if line.strip()]
    if expected and expected[0].startswith("\ufeff") and lines[0] == expected[0]:
        expected[0] = expected[0][1:]  # taken for a byte order mark
    assert read_lines(path) == [line for line in expected if line]
