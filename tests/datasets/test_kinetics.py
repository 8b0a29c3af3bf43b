"""Kinetics in any folder, with replacements, copies and tables of any kind; classes in two spellings."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.layouts import CLIP, HEAD, ID, found, grow, has_note, rows, write

from mas_labels.datasets.listing import describe
from mas_labels.errors import DatasetError

# Kinetics


@pytest.mark.parametrize(
    "folder", ["", "train/", "train/home/x/v1-0/train/", "part_0/", "train/part_0/class_one/"]
)
def test_a_kinetics_video_in_any_folder_has_the_split_and_class_of_its_row(
    tmp_path: Path, folder: str
) -> None:
    root = grow(tmp_path / "k400", f"{folder}{ID}.mp4")
    write(tmp_path / "annotations" / "train.csv", CLIP)
    assert rows(found("kinetics400", root)) == [(f"{folder}{ID}.mp4", "class one", ("train",))]


def test_kinetics_in_folders_of_parts_without_csv(tmp_path: Path) -> None:
    root = grow(tmp_path, f"train/part_0/waxing/{ID}.mp4", f"val/waxing/x{ID[1:]}.mp4")
    assert [row[1:] for row in rows(found("kinetics400", root))] == [
        ("waxing", ("train",)),
        ("waxing", ("val",)),
    ]


@pytest.mark.parametrize("times", ["27.0,37.0", "27.,37.00", " 27 , 37"])
def test_times_may_be_written_as_pandas_writes_them(tmp_path: Path, times: str) -> None:
    root = grow(tmp_path, f"train/{ID}.mp4")
    write(root / "train.csv", f"{HEAD}class one,ABCDEFGHIJK,{times},train\n")
    assert len(found("kinetics400", root).select("train")) == 1
    write(root / "train.csv", f"{HEAD}class one,ABCDEFGHIJK,27.5,37,train\n")
    with pytest.raises(DatasetError, match=r"27\.5 is not a whole number"):
        found("kinetics400", root)


@pytest.mark.parametrize("last", ["split", "label"])
def test_a_test_list_without_labels_gives_videos_without_class(tmp_path: Path, last: str) -> None:
    root = grow(tmp_path / "k400", f"train/{ID}.mp4", f"test/x{ID[1:]}.mp4")
    write(tmp_path / "annotations" / "train.csv", CLIP)
    cell = "" if last == "label" else "test"
    text = f"youtube_id,time_start,time_end,{last}\nxBCDEFGHIJK,27,37,{cell}\ngone_gone12,1,2,{cell}\n"
    write(tmp_path / "annotations" / "test.csv", text)
    listing = found("kinetics400", root)
    assert rows(listing) == [
        (f"test/x{ID[1:]}.mp4", None, ("test",)),
        (f"train/{ID}.mp4", "class one", ("train",)),
    ]
    assert listing.classes == ("class one",)
    assert [(video.path, video.class_name) for video in listing.missing] == [
        ("gone_gone12_000001_000002.mp4", None)
    ]
    assert has_note(listing, "2 rows of test.csv have no label: their videos have no class")
    assert "(no class)" in describe(listing)


@pytest.mark.parametrize("name", ["ABCDEFGHIJK", "ABCDEFGHIJK_27_37", ID])
@pytest.mark.parametrize(
    "table",
    [
        CLIP,
        CLIP.replace("youtube_id", "YouTube_ID").replace("27,37", "27.0,37.0"),
        CLIP.replace("ABCDEFGHIJK", "{}"),
        "label,youtube_id,split\nclass one,{},train\n",
    ],
)
def test_clips_are_named_by_their_id_and_perhaps_times(tmp_path: Path, name: str, table: str) -> None:
    root = grow(tmp_path, f"train/class one/{name}.mp4", "train/class one/notes on one.mp4")
    write(root / "Train.csv", table.format(name))
    listing = found("kinetics400", root)
    assert rows(listing) == [(f"train/class one/{name}.mp4", "class one", ("train",))]
    assert listing.missing == () and has_note(listing, "1 videos do not match the path")


def test_a_table_with_an_open_quote_is_refused_in_one_line(tmp_path: Path) -> None:
    root = grow(tmp_path, f"train/{ID}.mp4")
    for rest in ("", "x,ABCDEFGHIJL,27,37,train\n" * 6000):
        write(root / "train.csv", CLIP.replace("class one", '"class one') + rest)
        with pytest.raises(DatasetError, match=r"train\.csv, found in line .*Fix the table") as error:
            found("kinetics400", root)
        assert len(str(error.value)) < 1000


# classes in two spellings


@pytest.mark.parametrize("other", ["one_two", "One Two", "ONE_TWO"])
def test_a_class_in_two_spellings_is_one_across_splits(tmp_path: Path, other: str) -> None:
    root = grow(tmp_path / "k400", f"train/one two/{ID}.mp4", f"val/{other}/x{ID[1:]}.mp4")
    listing = found("kinetics400", root)
    assert len(listing.classes) == 1 and {video.class_index for video in listing.videos} == {0}
    assert has_note(listing, "1 class names are other spellings of a class and were merged with it: ")
    write(root / "train.csv", HEAD + "one_two,ABCDEFGHIJK,27,37,train\n")
    write(root / "val.csv", HEAD + f"{other},xBCDEFGHIJK,27,37,val\n")
    assert len(found("kinetics400", root).classes) == 1


def test_a_class_in_two_unicode_forms_is_one(tmp_path: Path) -> None:
    root = grow(tmp_path, "caf\u00e9/a.avi", "cafe\u0301/b.avi")  # as Linux and as macOS writes it
    listing = found("folder", root)
    assert len(listing.classes) == 1 and len({video.path for video in listing.videos}) == 2


def test_a_class_list_determines_the_spelling(tmp_path: Path) -> None:
    root = grow(tmp_path, "yo_yo/v_YoYo_g01_c01.avi", "Yo Yo/v_YoYo_g01_c02.avi")
    write(root / "classInd.txt", "1 Yo_Yo\n")
    listing = found("ucf101", root)
    assert listing.classes == ("Yo_Yo",) and {video.class_name for video in listing.videos} == {"Yo_Yo"}
    assert has_note(
        listing, "2 class names are other spellings of a class and were merged with it: Yo Yo is Yo_Yo, ..."
    )


# several files of one clip


@pytest.mark.parametrize("with_csv", [True, False])
@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        ((f"train/class one/{ID}.mp4", f"train/class one/{ID}.mkv"), f"train/class one/{ID}.mp4"),
        ((f"train/class one/{ID}.mkv", f"train/part_2/class one/{ID}.mkv"), f"train/class one/{ID}.mkv"),
        ((f"train/class one/{ID}.mp4", f"replacement/{ID}.mp4"), f"replacement/{ID}.mp4"),
        (
            (f"train/class one/{ID}.mp4", f"replacement/for_corrupted/{ID}.mkv"),
            f"replacement/for_corrupted/{ID}.mkv",
        ),
    ],
)
def test_one_file_of_a_clip_is_kept_and_the_other_noted(
    tmp_path: Path, paths: tuple[str, ...], kept: str, with_csv: bool
) -> None:
    root = grow(tmp_path / "k400", *paths)
    if with_csv:
        write(tmp_path / "annotations" / "train.csv", CLIP)
    listing = found("kinetics400", root)
    assert rows(listing) == [(kept, "class one", ("train",))]
    (other,) = set(paths) - {kept}
    assert has_note(listing, f"1 files are duplicates of a video and left out: {other} ({kept} is used")
    assert listing.classes == ("class one",)


def test_a_replacement_without_an_original_has_the_class_of_its_row(tmp_path: Path) -> None:
    root = grow(tmp_path / "k400", f"replacement/{ID}.mp4")
    assert rows(found("kinetics400", root)) == [(f"replacement/{ID}.mp4", None, ())]
    write(root / "train.csv", CLIP)
    assert rows(found("kinetics400", root)) == [(f"replacement/{ID}.mp4", "class one", ("train",))]


def test_a_split_folder_is_not_the_class_of_a_video_without_row(tmp_path: Path) -> None:
    root = grow(tmp_path, f"train/{ID}.mp4", "train/ABCDEFGHIJZ_000027_000037.mp4")
    write(root / "train.csv", CLIP)
    listing = found("kinetics400", root)
    assert listing.classes == ("class one",)
    assert [video.class_name for video in listing.videos] == ["class one", None]


def test_a_video_with_rows_of_two_classes_is_noted(tmp_path: Path) -> None:
    root = grow(tmp_path, f"train/{ID}.mp4")
    write(root / "train.csv", CLIP + "class_one,ABCDEFGHIJK,27,37,train\n")
    assert not has_note(found("kinetics400", root), "several classes")
    write(root / "train.csv", CLIP + "two,ABCDEFGHIJK,27,37,train\n")
    listing = found("kinetics400", root)
    assert [video.class_name for video in listing.videos] == ["two"]
    assert has_note(
        listing,
        f"1 videos have rows with several classes; the last one is used: train/{ID}.mp4 (class one, two)",
    )
