"""UCF101: splits by lists and by group numbers; no video is decoded, so the files are empty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.layouts import Grow

from mas_labels.datasets.find_videos import find_videos, list_videos
from mas_labels.datasets.folder import FolderContents
from mas_labels.datasets.list_files import read_lines
from mas_labels.datasets.listing import Listing, describe
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import DatasetError

UCF101_SPLITS = ("train1", "test1", "train2", "test2", "train3", "test3")


def ucf_paths(classes: tuple[str, ...] = ("Archery", "YoYo"), groups: int = 25) -> list[str]:
    return [f"{c}/v_{c}_g{group:02d}_c01.avi" for c in classes for group in range(1, groups + 1)]


def write_ucf_lists(folder: Path, classes: tuple[str, ...], end: str = "\n") -> None:
    """Write the lists of split 1 for `classes`, numbered in reverse so that the order is not alphabetical."""
    folder.mkdir(parents=True, exist_ok=True)
    numbered = [f"{number} {name}" for number, name in enumerate(reversed(classes), 1)]
    train = [f"{path} 1" for path in ucf_paths(classes) if int(path[-10:-8]) > 7]
    test = [path for path in ucf_paths(classes) if int(path[-10:-8]) <= 7]
    for name, lines in (("classInd.txt", numbered), ("trainlist01.txt", train), ("testlist01.txt", test)):
        (folder / name).write_bytes("".join(line + end for line in lines).encode())


def test_ucf101_by_group_numbers(grow: Grow) -> None:
    listing = find_videos(load_manifest("ucf101"), grow(*ucf_paths()))
    assert listing.split_names == UCF101_SPLITS
    tests = {split: {int(v.group or 0) for v in listing.select(split)} for split in UCF101_SPLITS}
    everyone = set(range(1, 26))
    for split, low, high in (("1", 1, 7), ("2", 8, 14), ("3", 15, 21)):
        assert tests["test" + split] == set(range(low, high + 1))
        assert tests["train" + split] == everyone - tests["test" + split]
    assert any("classInd.txt" in note for note in listing.notes)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("place", ["root", "next to", "given"])
def test_ucf101_lists_are_found_in_the_root_next_to_it_and_in_a_given_folder(
    grow: Grow, tmp_path: Path, place: str, end: str
) -> None:
    root = grow(*ucf_paths())
    folder = {"root": root, "next to": root.parent / "ucfTrainTestlist", "given": tmp_path / "lists"}[place]
    write_ucf_lists(folder, ("Archery", "YoYo"), end)
    listing = find_videos(load_manifest("ucf101"), root, folder if place == "given" else None)
    assert listing.classes == ("YoYo", "Archery")
    assert listing.split_names == ("train1", "test1")
    assert len(listing.select("train1")) == 36
    assert len(listing.select("test1")) == 14
    assert listing.missing == () and listing.unlisted == ()


def test_missing_and_unlisted_videos_and_missing_classes_are_distinguished(
    grow: Grow, tmp_path: Path
) -> None:
    paths = [path for path in ucf_paths() if "YoYo" not in path and "g01" not in path]
    root = grow(*paths, "Extra/v_Extra_g01_c01.avi", "stray.avi")
    write_ucf_lists(tmp_path / "lists", ("Archery", "YoYo"))
    listing = find_videos(load_manifest("ucf101"), root, tmp_path / "lists")
    assert len(listing.missing) == 26
    assert listing.missing[0].path == "Archery/v_Archery_g01_c01.avi"
    assert listing.missing[0].splits == ("test1",)
    assert {v.class_name: v.class_index for v in listing.missing} == {"YoYo": 0, "Archery": 1}
    assert listing.unlisted == ("Extra/v_Extra_g01_c01.avi",)
    assert listing.classes == ("YoYo", "Archery", "Extra")
    text = describe(listing)
    assert "26 listed videos are not on disk" in text
    assert "1 whole classes: YoYo" in text
    assert "1 videos of the classes on disk: Archery/v_Archery_g01_c01.avi" in text
    assert "stray.avi" in text
    assert "trainlist02.txt" in text
    assert ["total", "25", "18", "6"] in [line.split() for line in text.splitlines()]
    assert len(text.splitlines()) < 20


def test_names_in_a_list_may_differ_in_case_and_contain_spaces(grow: Grow, tmp_path: Path) -> None:
    root = grow("HandstandPushups/v_HandStandPushups_g08_c01.avi", "Yo Yo/v_Yo Yo_g01_c01.avi")
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "trainlist01.txt").write_bytes(
        b"\xef\xbb\xbfHandStandPushups/v_HandStandPushups_g08_c01.avi 37\nYo Yo/v_Yo Yo_g01_c01.avi\n\n"
    )
    (lists / "classInd.txt").write_text("1 Yo Yo\n2 HandStandPushups\n")
    listing = find_videos(load_manifest("ucf101"), root, lists)
    assert [(v.class_name, v.class_index, v.splits) for v in listing.videos] == [
        ("HandStandPushups", 1, ("train1",)),
        ("Yo Yo", 0, ("train1",)),
    ]
    assert any("1 videos differ from the lists only in case" in note for note in listing.notes)


def test_a_given_folder_without_lists_is_refused(grow: Grow, tmp_path: Path) -> None:
    root = grow(*ucf_paths())
    write_ucf_lists(root, ("Archery", "YoYo"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"trainlist01\.txt"):
        find_videos(load_manifest("ucf101"), root, tmp_path / "empty")


def test_a_manifest_with_only_lists_requires_them(grow: Grow) -> None:
    lists_only = replace(load_manifest("ucf101"), splits=load_manifest("ucf101").splits[:1])
    with pytest.raises(DatasetError, match=r"found none of trainlist01\.txt"):
        find_videos(lists_only, grow(*ucf_paths()))


def test_a_class_list_that_repeats_a_class_is_refused(grow: Grow) -> None:
    root = grow(*ucf_paths())
    (root / "classInd.txt").write_text("1 Archery\n2 archery\n")
    with pytest.raises(DatasetError, match="some twice"):
        find_videos(load_manifest("ucf101"), root)


def official(splits: Path, folder: str | None) -> Listing:
    """List UCF101 from the names in its own lists: no video is needed."""
    names = {
        line.split(" ")[0] for k in (1, 2, 3) for line in read_lines(splits / "ucf101" / f"trainlist0{k}.txt")
    }
    contents = FolderContents(tuple(sorted(names)), {}, ())
    return list_videos(
        load_manifest("ucf101"), contents, Path("not-here"), splits / folder if folder else None
    )


def test_ucf101_lists_and_group_numbers_agree(shared_splits: Path) -> None:
    by_lists, by_groups = official(shared_splits, "ucf101"), official(shared_splits, None)
    assert by_lists.split_source != by_groups.split_source
    assert len(by_lists.videos) == 13320
    assert by_lists.missing == () and by_lists.unlisted == () and by_lists.notes == ()
    # without classInd.txt the order is the same: it is alphabetical ignoring case
    assert by_lists.videos == by_groups.videos
    assert by_lists.classes == by_groups.classes
    assert [len(by_lists.select(s)) for s in UCF101_SPLITS] == [9537, 3783, 9586, 3734, 9624, 3696]


def test_ucf101_class_numbers_are_those_of_the_lists(shared_splits: Path) -> None:
    listing = official(shared_splits, "ucf101")
    numbers = dict(line.split(" ") for line in read_lines(shared_splits / "ucf101" / "trainlist01.txt"))
    ours = {video.path: str(video.class_index + 1) for video in listing.select("train1")}
    assert ours == numbers


def test_a_part_of_ucf101_is_described_briefly(shared_splits: Path, grow: Grow) -> None:
    root = grow(*ucf_paths(("Archery", "YoYo")))
    listing = find_videos(load_manifest("ucf101"), root, shared_splits / "ucf101")
    assert {v.class_name: v.class_index for v in listing.videos} == {"Archery": 2, "YoYo": 100}
    text = describe(listing)
    assert "2 of 101 classes" in text
    assert "99 whole classes: ApplyEyeMakeup, ApplyLipstick, BabyCrawling, ..." in text
    assert len(text) < 1500
