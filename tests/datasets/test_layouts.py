"""Real-world data sets: re-encoded, moved, duplicated, with lists of other programs.

Files are empty, since a listing reads only names. Paths on disk are always kept unchanged.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from helpers.layouts import CLIP, ID, found, grow, has_note, rows, write

from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.leakage import split_pairs
from mas_labels.datasets.list_files import read_lines
from mas_labels.datasets.listing import Listing
from mas_labels.datasets.manifest import parse_manifest
from mas_labels.errors import DatasetError

# the names in lists

VIDEO = "Archery/v_Archery_g08_c02"


@pytest.mark.parametrize("path", [f"{VIDEO}.avi", f"{VIDEO}.mp4", f"{VIDEO}.WebM"])
@pytest.mark.parametrize(
    "line",
    [
        "Archery/v_Archery_g08_c02.avi 3",
        "./Archery/v_Archery_g08_c02.avi 3",
        "UCF-101/Archery/v_Archery_g08_c02.avi 3",
        "/data/sets/UCF-101/Archery/v_Archery_g08_c02.avi 3",
        "../UCF-101/Archery/v_Archery_g08_c02.avi 3",
        "Archery\\v_Archery_g08_c02.avi 3",
        "D:\\sets\\UCF-101\\Archery\\v_Archery_g08_c02.avi 3",
        "Archery/v_Archery_g08_c02.avi\t3",
        "Archery/v_Archery_g08_c02.avi 3 \t ",
        "Archery/v_Archery_g08_c02.avi",
        "Archery/v_Archery_g08_c02.mkv,3",
        '"Archery/v_Archery_g08_c02.avi" 3',
        "archery/V_ARCHERY_g08_c02.AVI 3",
        "Archery/v_Archery_g08_c02 3",
        "Archery/v_Archery_g08_c02 120 3",
        "Archery/v_Archery_g08_c02.avi Archery",
        '"Archery/v_Archery_g08_c02.avi","Archery"',
        "Archery/v_Archery_g08_c02.avi|-1",
    ],
)
def test_a_line_of_any_style_names_its_video(tmp_path: Path, line: str, path: str) -> None:
    root = grow(tmp_path / "data", path, "Archery/v_Archery_g09_c01.avi")
    write(tmp_path / "lists" / "trainlist01.txt", f"{line}\n")
    listing = found("ucf101", root, tmp_path / "lists")
    assert rows(listing)[0] == (path, "Archery", ("train1",))
    assert listing.missing == () and listing.unlisted == ("Archery/v_Archery_g09_c01.avi",)
    if path.endswith((".mp4", ".WebM")) or line.startswith(("UCF", "arch", "D:")):
        assert has_note(listing, "1 videos differ from the lists only in case, extension or leading folders")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_of_any_operating_system_are_read(tmp_path: Path, encoding: str, end: str) -> None:
    root = grow(tmp_path / "data", "Yo Yo/v_Yo Yo_g01_c01.avi", f"{VIDEO}.avi")
    lines = [f"{VIDEO}.avi 2", "Yo Yo/v_Yo Yo_g01_c01.avi 1", ""]
    write(tmp_path / "lists" / "trainlist01.txt", end.join(lines).encode(encoding))
    write(tmp_path / "lists" / "classInd.txt", end.join(["1 Yo Yo", "2 Archery"]).encode(encoding))
    listing = found("ucf101", root, tmp_path / "lists")
    assert listing.classes == ("Yo Yo", "Archery")
    assert len(listing.select("train1")) == 2 and listing.missing == ()


@pytest.mark.parametrize(
    "lines", ["1,{}\n2,{}", "0: {}\n1: {}", "1. {}\n2. {}", "001;{}\n002;{}", '"{}"\n"{}"']
)
def test_class_lists_of_any_style_are_read(tmp_path: Path, lines: str) -> None:
    root = grow(tmp_path / "data", "Yo Yo/v_Yo Yo_g01_c01.avi", f"{VIDEO}.avi")
    write(root / "classInd.txt", lines.format("Yo Yo", "Archery"))
    assert found("ucf101", root).classes == ("Yo Yo", "Archery")


@pytest.mark.parametrize(
    ("manifest", "video", "name", "text"),
    [
        ("hmdb51", "wave/x.avi", "wave_test_split1.txt", "x.avi 1\n"),
        ("kinetics400", f"class one/{ID}.mp4", "train.csv", CLIP),
    ],
)
def test_a_list_of_macos_is_none(tmp_path: Path, manifest: str, video: str, name: str, text: str) -> None:
    root = grow(tmp_path / "data", video)
    write(tmp_path / "lists" / name, text)
    write(tmp_path / "lists" / f"._{name}", b"\0\5\26\7\0\2\0\0Mac OS X")
    assert len(found(manifest, root, tmp_path / "lists").videos[0].splits) == 1


@pytest.mark.parametrize(
    "line",
    ["x_wave_f.avi 1", "x_wave_f.avi\t1 ", "wave/x_wave_f.avi 1", "./x_wave_f.avi 1", '"x_wave_f.avi" 1'],
)
@pytest.mark.parametrize(
    "path",
    ["wave/x_wave_f.mp4", "wave/wave/x_wave_f.avi", "hmdb51_org/Wave/x_wave_f.mkv", "x/y/wave/x_wave_f.avi"],
)
def test_hmdb51_as_unpacked_and_re_encoded(tmp_path: Path, line: str, path: str) -> None:
    root = grow(tmp_path / "data", path)
    write(tmp_path / "lists" / "wave_test_split1.txt", f"{line}\n")
    listing = found("hmdb51", root, tmp_path / "lists")
    assert [(video.path, video.splits) for video in listing.videos] == [(path, ("train1",))]
    assert listing.missing == () and [name.lower() for name in listing.classes] == ["wave"]


@pytest.mark.parametrize(
    "before", ["", "UCF-101/", "data/UCF-101/"], ids=["as unpacked", "one folder", "two folders"]
)
def test_official_lists_match_a_re_encoded_ucf101(shared_splits: Path, tmp_path: Path, before: str) -> None:
    lists = shared_splits / "ucf101"
    names = [line.split()[0] for line in read_lines(lists / "trainlist01.txt")][::500]
    root = grow(tmp_path / "data", *(before + name.replace(".avi", ".mp4") for name in names))
    listing = found("ucf101", root, lists)
    assert len(listing.select("train1")) == len(names) == len(listing.videos)
    assert all(video.path.startswith(before) and video.class_index >= 0 for video in listing.videos)


def test_flat_ucf101_below_the_root_is_noted(tmp_path: Path) -> None:
    listing = found("ucf101", grow(tmp_path, "videos/v_Archery_g08_c02.avi", "videos/v_YoYo_g01_c01.avi"))
    assert has_note(listing, "the whole data set has 101 classes, found 1")


def test_flat_ucf101_has_its_classes_from_the_names(tmp_path: Path) -> None:
    root = grow(tmp_path / "data", "v_Archery_g08_c02.avi", "v_YoYo_g01_c01.avi")
    assert rows(found("ucf101", root)) == [
        ("v_Archery_g08_c02.avi", "Archery", ("train1", "test2", "train3")),
        ("v_YoYo_g01_c01.avi", "YoYo", ("test1", "train2", "train3")),
    ]
    write(tmp_path / "lists" / "trainlist01.txt", f"{VIDEO}.avi 1\n")
    assert rows(found("ucf101", root, tmp_path / "lists"))[0] == (
        "v_Archery_g08_c02.avi",
        "Archery",
        ("train1",),
    )


OWN = {"name": "own", "description": "d", "path": "(?:(?P<class>[^/]+)/)?.+"}
OWN["splits"] = [{"by": "lists", "files": {"train": "train.txt", "test": "test.txt"}}]  # type: ignore[assignment]


def own(root: Path, train: str, test: str = "") -> Listing:
    write(root.parent / "lists" / "train.txt", train)
    write(root.parent / "lists" / "test.txt", test)
    return find_videos(parse_manifest(OWN), root, root.parent / "lists")


def test_ambiguous_names_are_not_used_but_noted(tmp_path: Path) -> None:
    root = grow(tmp_path / "data", "A/x.avi", "B/x.avi", "B/y.avi")
    listing = own(root, "x.avi\n", "y.avi\n")  # which x?
    assert [video.splits for video in listing.videos] == [(), (), ("test",)]
    assert has_note(
        listing, "1 listed names match several videos, or several of them one, and are not used: x.avi (A/x"
    )
    listing = own(grow(tmp_path / "flat" / "data", "x.avi"), "A/x.avi\n", "B/x.avi\n")  # whose x?
    assert [video.splits for video in listing.videos] == [()] and has_note(
        listing, "2 listed names match several"
    )


def test_a_name_in_another_folder_is_not_matched_but_noted(tmp_path: Path) -> None:
    listing = own(grow(tmp_path / "data", "B/x.avi"), "A/x.avi\n")
    assert [video.path for video in listing.missing] == ["A/x.avi"]
    assert has_note(
        listing,
        "1 listed videos differ from others on disk in folder or case: listed A/x.avi, on disk B/x.avi",
    )
    with pytest.raises(DatasetError, match="differ from others on disk in folder or case"):
        listing.select("train")


def test_lists_of_another_data_set_are_noted(tmp_path: Path) -> None:
    listing = own(grow(tmp_path / "data", "B/x.avi"), "A/1.avi\nA/2.avi\n")
    assert has_note(listing, "no name in the lists is on disk: listed, for example, A/1.avi, on disk B/x.avi")


# several files of one video


def test_of_two_files_of_a_video_the_listed_one_is_kept(tmp_path: Path) -> None:
    root = grow(tmp_path / "data", "Archery/v_Archery_g08_c02.avi", "Archery/v_Archery_g08_c02.mp4")
    listing = found("ucf101", root)  # without lists the first extension of the manifest
    assert [video.path for video in listing.videos] == [f"{VIDEO}.avi"]
    assert has_note(
        listing, f"1 files are duplicates of a video and left out: {VIDEO}.mp4 ({VIDEO}.avi is used"
    )
    write(tmp_path / "lists" / "trainlist01.txt", f"{VIDEO}.mp4 1\n")
    listing = found("ucf101", root, tmp_path / "lists")
    assert rows(listing) == [(f"{VIDEO}.mp4", "Archery", ("train1",))]
    write(tmp_path / "lists" / "testlist01.txt", f"{VIDEO}.avi\n")  # both are listed: two videos
    assert [row[2] for row in rows(found("ucf101", root, tmp_path / "lists"))] == [("test1",), ("train1",)]


def test_two_files_with_one_stem_are_two_videos_without_lists(tmp_path: Path) -> None:
    assert len(found("folder", grow(tmp_path, "A/a.avi", "A/a.mp4")).videos) == 2


# train, val and test folders; roots that are too high or too low


def test_split_folders(tmp_path: Path) -> None:
    root = grow(tmp_path, "train/A/a.avi", "train/B/deep/b.mp4", "val/a/c.avi", "test/d.mkv")
    listing = found("split_folders", root)
    assert listing.split_names == ("test", "train", "val")
    assert rows(listing) == [
        ("test/d.mkv", None, ("test",)),
        ("train/A/a.avi", "A", ("train",)),
        ("train/B/deep/b.mp4", "B", ("train",)),
        ("val/a/c.avi", "A", ("val",)),
    ]
    assert has_note(found("folder", root), "test, train, val are read as classes")
    assert has_note(found("folder", root), "use the manifest split_folders")
    too_high = found("split_folders", grow(tmp_path / "above", "videos/train/A/a.avi", "videos/test/A/b.avi"))
    assert has_note(too_high, f"use the manifest split_folders and the root {tmp_path / 'above' / 'videos'}")
    with pytest.raises(DatasetError, match="not all"):
        found("split_folders", grow(tmp_path / "other", "all/A/a.avi"))


def test_splits_with_any_usual_name_are_compared() -> None:
    assert split_pairs(["training", "validation", "testing"]) == [
        ("training", "validation"),
        ("training", "testing"),
    ]


@pytest.mark.parametrize(
    ("paths", "root", "hint"),
    [
        (["yupenn/Beach/1.mov", "yupenn/Ocean/2.mov"], ".", r"They match if the root is \S+/yupenn$"),
        (["yupenn/Beach/1.mov"], "yupenn/Beach", r"They match if the root is \S+/yupenn$"),
        (["one/Beach/1.mov", "two/Ocean/2.mov"], ".", r"each of these as a root: one, two$"),
    ],
)
def test_a_wrong_root_is_refused_with_a_hint_at_the_right_one(
    tmp_path: Path, paths: list[str], root: str, hint: str
) -> None:
    grow(tmp_path, *paths)
    with pytest.raises(DatasetError, match=hint):
        found("yupenn", tmp_path / root)


def test_unmatched_videos_are_noted_with_a_root_that_matches(tmp_path: Path) -> None:
    root = grow(tmp_path, "Beach/1.mov", "part_2/Beach/2.mov")
    assert has_note(found("yupenn", root), f"part_2/Beach/2.mov. They match if the root is {root / 'part_2'}")


@pytest.mark.parametrize("number", ["EACCES", "EIO"])
def test_a_folder_of_lists_that_cannot_be_read_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    root = grow(tmp_path / "k400", f"train/class one/{ID}.mp4")
    write(tmp_path / "annotations" / "train.csv", CLIP)
    scandir = os.scandir

    def scan(folder: str | Path) -> object:
        if Path(folder).name == "annotations" and (tmp_path / "annotations").samefile(folder):
            raise OSError(getattr(errno, number), "refused", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(DatasetError, match="annotations: refused"):
        found("kinetics400", root)


# other cases of the same kinds


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_read_without_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    root = grow(tmp_path / "data", f"{VIDEO}.avi")
    write(tmp_path / "lists" / "trainlist01.txt", f"{VIDEO}.avi 1\r\n".encode(encoding))
    write(tmp_path / "lists" / "classInd.txt", "1 Archery\r\n".encode(encoding))
    listing = found("ucf101", root, tmp_path / "lists")
    assert len(listing.select("train1")) == 1 and listing.classes == ("Archery",)


def test_a_listed_name_without_extension_is_missing_once(tmp_path: Path) -> None:
    root = grow(tmp_path / "data", f"{VIDEO}.mp4")
    write(tmp_path / "lists" / "trainlist01.txt", f"{VIDEO} 1\nArchery/v_Archery_g09_c01 1\n")
    write(tmp_path / "lists" / "testlist02.txt", "Archery/v_Archery_g09_c01\n")
    listing = found("ucf101", root, tmp_path / "lists")
    assert [(video.path, video.class_name) for video in listing.missing] == [
        ("Archery/v_Archery_g09_c01", "Archery")
    ]


@pytest.mark.parametrize(
    ("manifest", "video", "folder", "name"),
    [
        (
            "ucf101",
            f"{VIDEO}.avi",
            "UCF101TrainTestSplits-RecognitionTask/ucfTrainTestlist",
            "trainlist01.txt",
        ),
        ("hmdb51", "wave/x.avi", "test_train_splits/testTrainMulti_7030_splits", "wave_test_split1.txt"),
    ],
)
def test_lists_are_found_in_a_folder_named_like_their_archive(
    tmp_path: Path, manifest: str, video: str, folder: str, name: str
) -> None:
    root = grow(tmp_path / "data", video)
    write(tmp_path / folder / name, f"{Path(video).name if manifest == 'hmdb51' else video} 1\n")
    assert len(found(manifest, root).select("train1")) == 1


@pytest.mark.parametrize("other", ["Dance ", "dance", " Dance", "DANCE_"])
def test_invisible_blanks_do_not_make_a_class(tmp_path: Path, other: str) -> None:
    root = grow(tmp_path, "train/Dance/a.avi", f"val/{other}/b.avi")
    listing = found("split_folders", root)
    assert len(listing.classes) == 1 and has_note(listing, "1 class names are other spellings")


@pytest.mark.parametrize("between", [";", "\t"])
def test_a_table_may_have_other_separators(tmp_path: Path, between: str) -> None:
    root = grow(tmp_path, f"train/{ID}.mp4")
    write(root / "train.csv", CLIP.replace(",", between))
    assert [video.class_name for video in found("kinetics400", root).select("train")] == ["class one"]


def test_an_invalid_table_is_refused_with_the_reason(tmp_path: Path) -> None:
    root = grow(tmp_path, f"train/{ID}.mp4")
    write(root / "train.csv", CLIP.replace("youtube_id", "video"))
    with pytest.raises(DatasetError, match=r"\(there is no 'youtube_id'\)\. Fix the table"):
        found("kinetics400", root)
