"""Leaks between the splits of a data set: the same video, group or content in both parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.layouts import grow

from mas_labels.cli.main import main
from mas_labels.datasets.find_videos import find_videos, list_videos
from mas_labels.datasets.folder import FolderContents
from mas_labels.datasets.leakage import Leak, find_leaks, split_pairs
from mas_labels.datasets.list_files import read_lines
from mas_labels.datasets.manifest import load_manifest


def write(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    return folder


def test_split_pairs() -> None:
    names = ["train1", "test1", "train2", "test2", "all", "test3"]
    assert split_pairs(names) == [("train1", "test1"), ("train2", "test2")]
    assert split_pairs(["val", "train", "test"]) == [("train", "val"), ("train", "test")]


def leaky(tmp_path: Path) -> Path:
    """UCF101 with group 9 in both parts of split 1, a video in both, and two copies under other names."""
    names = ["g01_c01", "g02_c01", "g09_c01", "g09_c02", "g10_c01", "g11_c01"]
    root = grow(tmp_path / "data", *(f"YoYo/v_YoYo_{name}.avi" for name in names))
    for number, name in enumerate(names):
        (root / f"YoYo/v_YoYo_{name}.avi").write_bytes(bytes([number]) * 100_000)
    start = bytes(99_999)
    (root / "YoYo/v_YoYo_g01_c01.avi").write_bytes(start + b"a")
    (root / "YoYo/v_YoYo_g10_c01.avi").write_bytes(start + b"a")
    (root / "YoYo/v_YoYo_g11_c01.avi").write_bytes(start + b"b")
    lists = {
        "trainlist01.txt": ["g09_c01", "g10_c01", "g11_c01"],
        "testlist01.txt": ["g01_c01", "g02_c01", "g09_c02", "g11_c01"],
    }
    write(root, {key: "".join(f"YoYo/v_YoYo_{n}.avi\n" for n in value) for key, value in lists.items()})
    return root


def test_leaks_of_videos_groups_and_contents_are_found(tmp_path: Path) -> None:
    listing = find_videos(load_manifest("ucf101"), leaky(tmp_path))
    assert find_leaks(listing) == [
        Leak("train1", "test1", "video", ("YoYo/v_YoYo_g11_c01.avi",)),
        Leak("train1", "test1", "group", ("YoYo group 09", "YoYo group 11")),
        Leak("train1", "test1", "content", ("YoYo/v_YoYo_g01_c01.avi = YoYo/v_YoYo_g10_c01.avi",)),
    ]
    (listing.root / "YoYo/v_YoYo_g10_c01.avi").unlink()  # gone since: no leak, and no crash
    assert [leak.kind for leak in find_leaks(listing)] == ["video", "group"]


def test_empty_files_are_not_copies_of_one_another(tmp_path: Path) -> None:
    root = grow(tmp_path, "YoYo/v_YoYo_g01_c01.avi", "YoYo/v_YoYo_g10_c01.avi")
    assert find_leaks(find_videos(load_manifest("ucf101"), root)) == []


@pytest.mark.parametrize(("options", "contents"), [([], True), (["--no-contents"], False)])
def test_list_shows_leaks(tmp_path: Path, options: list[str], contents: bool) -> None:
    command = ["list", "--manifest", "ucf101", "--root", str(leaky(tmp_path)), *options]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0
    assert (
        "leak between train1 and test1: 2 groups are in both: YoYo group 09, YoYo group 11" in result.output
    )
    assert ("copies of videos of the first" in result.output) == contents


def test_the_official_splits_of_ucf101_have_no_leak(shared_splits: Path) -> None:
    lists = shared_splits / "ucf101"
    names = {line.split(" ")[0] for k in (1, 2, 3) for line in read_lines(lists / f"trainlist0{k}.txt")}
    listing = list_videos(
        load_manifest("ucf101"), FolderContents(tuple(sorted(names)), {}, ()), Path("nowhere"), lists
    )
    assert find_leaks(listing) == []
