"""Manifests, listings and splits; no video is decoded here, so the files are empty."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mas_labels.cli.main import main
from mas_labels.datasets.find_videos import find_videos, list_videos
from mas_labels.datasets.folder import FolderContents, split_extension, walk_folder
from mas_labels.datasets.list_files import read_lines
from mas_labels.datasets.listing import Listing, describe
from mas_labels.datasets.manifest import Manifest, load_manifest, packaged_manifests, parse_manifest
from mas_labels.errors import ConfigError, DatasetError
from mas_labels.names import printable

UCF101_SPLITS = ("train1", "test1", "train2", "test2", "train3", "test3")


Grow = Callable[..., Path]


@pytest.fixture
def grow(tmp_path: Path) -> Grow:
    """Return a function that makes empty files under a root."""

    def make(*paths: str, root: str = "data") -> Path:
        for path in paths:
            (tmp_path / root / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / root / path).touch()
        return tmp_path / root

    return make


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


# the manifests themselves


def test_a_name_finds_the_packaged_manifest_and_a_file_wins(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ucf101").mkdir()  # a folder with the name of a data set is not a manifest
    assert load_manifest("ucf101") == load_manifest(packaged_manifests()["ucf101"])
    Path("folder").write_bytes(packaged_manifests()["demo"].read_bytes())
    assert load_manifest("folder").name == "demo"
    for unknown in ("ucf", "ucf101.yaml", "../ucf101"):
        with pytest.raises(ConfigError, match="Known by name: aslan, demo, folder, "):
            load_manifest(unknown)


def test_manifests_are_listed_and_shown() -> None:
    listed = CliRunner().invoke(main, ["recipes"]).output.splitlines()
    assert [line.split()[0] for line in listed] == list(packaged_manifests())
    shown = CliRunner().invoke(main, ["recipes", "--show", "hmdb51"]).output
    assert shown == packaged_manifests()["hmdb51"].read_text(encoding="utf-8")
    unknown = CliRunner().invoke(main, ["recipes", "--show", "hmdb"])
    assert unknown.exit_code == 1 and "take one of aslan, demo" in unknown.output


@pytest.mark.parametrize("path", packaged_manifests().values(), ids=lambda path: path.stem)
def test_every_manifest_loads_and_has_the_name_of_its_file(path: Path) -> None:
    assert load_manifest(path).name == path.stem


MINIMAL = {"name": "mine", "description": "d", "path": ".+", "extensions": [".AVI"]}


def test_a_minimal_manifest_has_the_defaults() -> None:
    manifest = parse_manifest(MINIMAL)
    assert manifest == Manifest("mine", "d", ".+", (".avi",))
    assert (manifest.videos_per_shard, manifest.store_boundaries, manifest.splits) == (16, True, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pathh": 1}, "unknown key pathh"),
        ({"name": 3}, "`name` must be str, found 3"),
        ({"name": "../escaped"}, "found '../escaped'"),
        ({"splits": [{"by": "lists", "files": {"a/b": "c"}}]}, "found 'a/b'"),
        ({"extensions": []}, "one or more strings"),
        ({"extensions": ["avi"]}, "a dot and letters"),
        ({"path": "("}, "not a regular expression"),
        ({"path": "(?P<clas>.)"}, "named groups of `path`"),
        ({"videos_per_shard": 0}, "1 or more"),
        ({"videos_per_shard": True}, "must be int"),
        ({"splits": [{"by": "magic"}]}, "found 'magic'"),
        ({"splits": [{"by": "lists", "files": {"a": "b"}, "extra": 1}]}, "unknown key extra"),
        ({"splits": [{"by": "lists", "files": {"all": "b"}}]}, "none of them called 'all'"),
        ({"splits": [{"by": "path"}]}, "needs the named group"),
        (
            {"splits": [{"by": "groups", "groups": {"a": "1-"}}], "path": "(?P<group>.)"},
            "group numbers such as",
        ),
    ],
)
def test_an_invalid_manifest_is_refused_with_its_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        parse_manifest({**MINIMAL, **change})


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", ""])
def test_a_file_that_is_not_a_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        load_manifest(tmp_path / "x.yaml")


def test_a_missing_manifest_is_refused_with_those_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(MINIMAL))
    with pytest.raises(ConfigError, match=r"other\.yaml"):
        load_manifest(tmp_path / "x.yaml")


# what a walk over a folder finds


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


# any folder


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


# splits


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
@pytest.mark.parametrize("place", ["root", "beside", "given"])
def test_ucf101_lists_are_found_in_the_root_next_to_it_and_in_a_given_folder(
    grow: Grow, tmp_path: Path, place: str, end: str
) -> None:
    root = grow(*ucf_paths())
    folder = {"root": root, "beside": root.parent / "ucfTrainTestlist", "given": tmp_path / "lists"}[place]
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


# the official lists


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
