"""The manifests of HMDB51, Kinetics-400, ASLAN and YUPENN on trees with the layout of the originals.

Most files are empty, since a listing reads only names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from helpers.layouts import grow

from mas_labels.cli.main import main
from mas_labels.datasets.find_videos import find_videos, list_videos
from mas_labels.datasets.folder import FolderContents
from mas_labels.datasets.leakage import find_leaks
from mas_labels.datasets.list_files import read_lines
from mas_labels.datasets.listing import Listing, describe
from mas_labels.datasets.manifest import load_manifest, packaged_manifests, parse_manifest
from mas_labels.errors import ConfigError, DatasetError

DOCS = Path(__file__).resolve().parents[2] / "docs"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    return folder


def splits_of(listing: Listing) -> dict[str, tuple[str, ...]]:
    return {video.path: video.splits for video in listing.videos}


# HMDB51

ODD = "#437_How_To_Ride_[A] Bike! & more_f_cm_np1.avi"


@pytest.mark.parametrize("end", [" \n", "\n", " \r\n"])
def test_hmdb51_lists_mark_train_test_and_unused_videos(tmp_path: Path, end: str) -> None:
    root = grow(tmp_path / "hmdb51", f"sword/{ODD}", "sword/b.avi", "sword/c.avi", "sword_exercise/b.avi")
    lists = {
        "sword_test_split1.txt": [f"{ODD} 1", "b.avi 2", "c.avi 0", "gone.avi 2"],
        "sword_test_split2.txt": [f"{ODD} 2", "b.avi 1", "c.avi 0"],
        "sword_exercise_test_split1.txt": ["b.avi 1"],
    }
    texts = {name: end.join([*lines, ""]) for name, lines in lists.items()}
    write(tmp_path / "testTrainMulti_7030_splits", texts)
    listing = find_videos(load_manifest("hmdb51"), root)
    assert listing.split_names == ("train1", "test1", "train2", "test2")
    assert splits_of(listing) == {
        f"sword/{ODD}": ("train1", "test2"),
        "sword/b.avi": ("test1", "train2"),
        "sword/c.avi": (),
        "sword_exercise/b.avi": ("train1",),
    }
    assert [(v.path, v.class_name, v.splits) for v in listing.missing] == [
        ("sword/gone.avi", "sword", ("test1",))
    ]
    assert any(
        "1 lists (class and split) are not in" in note and "sword_exercise 2" in note
        for note in listing.notes
    )


def test_hmdb51_without_its_lists_is_refused_with_their_names(tmp_path: Path) -> None:
    root = grow(tmp_path / "data", "wave/a.avi")
    with pytest.raises(DatasetError, match=r"found none of \{class\}_test_split\{number\}\.txt"):
        find_videos(load_manifest("hmdb51"), root)
    with pytest.raises(DatasetError, match="Give their folder"):
        find_videos(load_manifest("hmdb51"), root, grow(tmp_path / "empty", "other.txt"))


@pytest.mark.parametrize("line", ["a.avi", "a.avi x", " 1"])
def test_a_line_without_a_mark_is_refused_with_its_file(tmp_path: Path, line: str) -> None:
    root = grow(tmp_path / "data", "wave/a.avi")
    lists = write(tmp_path / "lists", {"wave_test_split1.txt": f"{line}\n"})
    with pytest.raises(DatasetError, match=r"wave_test_split1\.txt, found"):
        find_videos(load_manifest("hmdb51"), root, lists)


def test_hmdb51_official_lists(shared_splits: Path) -> None:
    folder = shared_splits / "hmdb51"
    names = {
        f"{path.name.removesuffix('_test_split1.txt')}/{line.rsplit(' ', 1)[0].strip()}"
        for path in (folder / "testTrainMulti_7030_splits").glob("*_test_split1.txt")
        for line in read_lines(path)
    }
    contents = FolderContents(tuple(sorted(names)), {}, ())
    listing = list_videos(load_manifest("hmdb51"), contents, Path("not-here"), folder)
    assert (len(listing.videos), len(listing.classes)) == (6766, 51)
    assert listing.missing == () and listing.notes == ()
    for number in "123":
        for split, count in (("train", 70), ("test", 30)):
            videos = listing.select(split + number)
            assert Counter(video.class_name for video in videos) == dict.fromkeys(listing.classes, count)
    assert find_leaks(listing, contents=False) == []
    assert {name.strip() for name in read_lines(folder / "class_list.txt")} == set(listing.classes)


# Kinetics-400

HEAD = "label,youtube_id,time_start,time_end,split,is_cc\n"
TRAIN = (
    HEAD
    + '"air drumming",-abcdef_123,7,17,train,0\n"air drumming",00000000001,0,10,train,0\n'
    + "waxing,gone_gone12,1,11,train,0\n"
)
VAL = HEAD + "abseiling,0wR5jVB-WPk,417,427,val,0\n"
VIDEOS = ("air_drumming/-abcdef_123_000007_000017", "air_drumming/00000000001_000000_000010")


def test_kinetics_folders_are_splits_without_csv_files(tmp_path: Path) -> None:
    root = grow(
        tmp_path, *(f"train/{name}.mp4" for name in VIDEOS), "val/abseiling/0wR5jVB-WPk_000417_000427.webm"
    )
    listing = find_videos(load_manifest("kinetics400"), root)
    assert listing.split_names == ("train", "val")
    assert [(v.class_name, v.splits) for v in listing.videos] == [
        ("air_drumming", ("train",)),
        ("air_drumming", ("train",)),
        ("abseiling", ("val",)),
    ]


@pytest.mark.parametrize("place", ["class folders", "split folders", "no class folders"])
def test_kinetics_csv_files_give_splits_classes_and_missing_videos(tmp_path: Path, place: str) -> None:
    before = {"class folders": "", "split folders": "train/"}
    paths = [
        f"{before[place]}{name}.mp4" if place in before else f"flat/{name.split('/')[1]}.mp4"
        for name in VIDEOS
    ]
    root = grow(tmp_path / "k400", *paths)
    write(tmp_path / "annotations", {"kinetics-400_train.csv": TRAIN, "validate.csv": VAL})
    listing = find_videos(load_manifest("kinetics400"), root)
    assert listing.split_names == ("train", "val")
    assert listing.classes == ("abseiling", "air drumming", "waxing")
    assert {(v.class_name, v.class_index, v.splits) for v in listing.videos} == {
        ("air drumming", 1, ("train",))
    }
    assert [(v.path, v.class_index) for v in listing.missing] == [
        ("abseiling/0wR5jVB-WPk_000417_000427.mp4", 0),
        ("waxing/gone_gone12_000001_000011.mp4", 2),
    ]
    assert any("no CSV file found for test" in note for note in listing.notes)
    assert "missing: 2 listed videos are not on disk" in describe(listing)


def test_kinetics_ids_that_differ_in_case_are_two_videos(tmp_path: Path) -> None:
    root = grow(tmp_path, "waxing/ABCDEF_1234_000001_000011.mp4")
    write(root, {"train.csv": HEAD + "waxing,abcdef_1234,1,11,train,0\n"})
    listing = find_videos(load_manifest("kinetics400"), root)
    assert len(listing.missing) == 1 and listing.unlisted == ("waxing/ABCDEF_1234_000001_000011.mp4",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.csv": TRAIN, "old_train.csv": TRAIN}, r"found old_train\.csv, train\.csv\. Keep one"),
        ({"train.csv": "label,id\nwaxing,a\n"}, r"expected columns for .*train\.csv, found in line 2"),
        ({"train.csv": HEAD + "waxing,abc,one,2,train,0\n"}, "could not convert"),
    ],
)
def test_invalid_kinetics_csv_files_are_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    root = grow(tmp_path, *(f"{name}.mp4" for name in VIDEOS))
    write(root, files)
    with pytest.raises(DatasetError, match=message):
        find_videos(load_manifest("kinetics400"), root)


def test_kinetics_official_rows_and_file_names(shared_splits: Path) -> None:
    folder = shared_splits / "kinetics400"
    rows = [line.replace('"', "").split(",") for line in read_lines(next(folder.glob("*.csv")))[1:]]
    names = [f"{row[0].replace(' ', '_')}/{row[1]}_{row[2]:0>6}_{row[3]:0>6}.mp4" for row in rows]
    others = [line.rpartition(" ")[0] for line in read_lines(folder / "paddle_val_small_videos.list")]
    contents = FolderContents(tuple(sorted(names[::2] + others)), {}, ())
    listing = list_videos(load_manifest("kinetics400"), contents, Path("not-here"), folder)
    assert listing.split_names == ("val",)
    assert {video.path for video in listing.select("val")} == set(names[::2])
    assert {video.path.replace(" ", "_") for video in listing.missing} == set(names[1::2])
    assert set(listing.unlisted) == set(others)
    assert set(listing.classes) <= set(read_lines(folder / "label_map_k400.txt"))


# ASLAN and YUPENN


def test_aslan_samples_have_names_of_four_digits_in_any_folder(tmp_path: Path) -> None:
    root = grow(tmp_path, "avi/0001.avi", "avi/3697.avi", "0002.MP4", "View2.mat", "readme.avi")
    listing = find_videos(load_manifest("aslan"), root)
    assert [(v.path, v.class_name) for v in listing.videos] == [
        ("0002.MP4", None),
        ("avi/0001.avi", None),
        ("avi/3697.avi", None),
    ]
    assert any("whole data set has 3697 videos, found 3" in note for note in listing.notes)


def test_yupenn_has_one_folder_per_class_and_a_note_on_missing_videos(tmp_path: Path) -> None:
    classes = (
        "Beach,Elevator,Forest Fire,Fountain,Highway,Lightning Storm,Ocean,Railway,Rushing River,Sky-Clouds"
    )
    classes += ",Snowing,Street,Waterfall,Windmill Farm"
    root = grow(tmp_path, *(f"{name}/video {n}.mov" for name in classes.split(",") for n in range(30)))
    listing = find_videos(load_manifest("yupenn"), root)
    assert (len(listing.videos), listing.notes, listing.split_names) == (420, (), ())
    assert ",".join(listing.classes) == classes
    (root / "Beach" / "video 3.mov").unlink()
    assert "the whole data set has 420 videos, found 419" in describe(
        find_videos(load_manifest("yupenn"), root)
    )


# manifests that are wrong


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": [{"by": "marked_lists", "files": "{class}.txt", "marks": {"train": 1}}]}, "once each"),
        ({"splits": [{"by": "csv", "files": {"train": "a"}, "name": "{id}"}]}, "`class` must be str"),
        ({"expected": {"video": 1}}, "unknown key video"),
        ({"expected": {"videos": "many"}}, "`videos` must be int"),
    ],
)
def test_an_invalid_manifest_is_refused_with_its_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_manifest({"name": "mine", "description": "d", "path": ".+", "extensions": [".avi"], **change})


# the pages in docs/datasets

PAGES = sorted(path for path in (DOCS / "datasets").glob("*.md") if path.stem not in ("README", "own"))


def commands_in(page: Path) -> list[list[str]]:
    """Return the arguments of every command on a page."""
    return [
        line.split("#")[0].split() for line in page.read_text().splitlines() if line.startswith("    mas-")
    ]


def test_every_data_set_has_a_page() -> None:
    without = {"demo", "folder"}
    assert {page.stem for page in PAGES} == set(packaged_manifests()) - without


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_on_the_pages_are_valid(page: Path) -> None:
    from mas_train.cli.evaluate import command as evaluate
    from mas_train.cli.finetune import command as finetune
    from mas_train.cli.pretrain import command as train

    programs = {"mas-labels": main, "mas-train": train, "mas-finetune": finetune, "mas-eval": evaluate}
    commands = commands_in(page)
    assert len(commands) >= 3
    for name, *arguments in commands:
        program: click.Command = programs[name]
        parent = None
        if isinstance(program, click.Group):
            parent = click.Context(program, **program.context_settings)
            program, arguments = program.commands[arguments[0]], arguments[1:]
        program.make_context(name, list(arguments), parent)  # parses, runs nothing
        if "--manifest" in arguments:
            load_manifest(arguments[arguments.index("--manifest") + 1])
