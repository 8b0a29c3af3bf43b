"""Folders and archives of extracted frames as the videos of a data set."""

from __future__ import annotations

import zipfile

import pytest
from helpers.frames import greys, pack, write_frames
from helpers.videos import FOLDER_MANIFEST, write_video

from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.leakage import find_leaks
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import DatasetError

UCF101 = FOLDER_MANIFEST.with_name("ucf101.yaml")


def paths(listing):
    return [video.path for video in listing.videos]


def test_folders_of_frames_match_the_official_lists(tmp_path):
    """In the layout of mmaction2 and denseflow; a dot in the name of a folder is not an extension."""
    root = tmp_path / "rawframes"
    for name in ("v_Archery_g08_c01", "v_Archery_g01_c02", "v_Archery_g02.x_c03", "v_Archery_g09_c04.avi"):
        write_frames(root / "Archery" / name, greys(2))
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n")
    (lists / "trainlist01.txt").write_text(
        "Archery/v_Archery_g08_c01.avi 1\nArchery/v_Archery_g09_c04.avi 1\n"
    )
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g01_c02.avi\n")
    listing = find_videos(load_manifest(UCF101), root, lists)
    assert {video.path: (video.splits, video.group) for video in listing.videos} == {
        "Archery/v_Archery_g01_c02": (("test1",), "01"),
        "Archery/v_Archery_g08_c01": (("train1",), "08"),
        "Archery/v_Archery_g09_c04.avi": (("train1",), "09"),
    }
    assert listing.extracted and listing.missing == ()
    notes = " ".join(listing.notes)
    assert "no video files: 4 folders of numbered pictures are read as one video each" in notes
    assert "Archery/v_Archery_g02.x_c03" in notes


def test_video_files_are_preferred_and_pictures_noted(tmp_path):
    write_video(tmp_path / "a" / "b.avi", greys(3))
    write_frames(tmp_path / "a", greys(1), "poster{}.jpg")
    write_frames(tmp_path / "a" / "c", greys(3))
    listing = find_videos(load_manifest(FOLDER_MANIFEST), tmp_path)
    assert (paths(listing), listing.extracted, dict(listing.ignored)) == (["a/b.avi"], False, {".jpg": 4})
    assert "4 numbered pictures in 2 folders are not read as frames" in " ".join(listing.notes)


def test_archives_are_used_if_there_is_nothing_else(tmp_path):
    frames = write_frames(tmp_path / "made" / "v", greys(3))
    root = tmp_path / "root"
    (root / "A").mkdir(parents=True)
    pack(frames, root / "A" / "one.tar.gz")
    pack(frames, root / "A" / "two.zip")
    listing = find_videos(load_manifest(FOLDER_MANIFEST), root)
    assert paths(listing) == ["A/one.tar.gz", "A/two.zip"] and listing.extracted
    assert "2 archives" in " ".join(listing.notes)
    write_frames(root / "A" / "three", greys(3))
    listing = find_videos(load_manifest(FOLDER_MANIFEST), root)
    assert paths(listing) == ["A/three"]
    assert dict(listing.ignored) == {".gz": 1, ".zip": 1}


def test_an_archive_without_frames_does_not_hide_others(tmp_path):
    (tmp_path / "A").mkdir()
    pack(write_frames(tmp_path / ".made" / "v", greys(3)), tmp_path / "A" / "two.zip")
    (tmp_path / "A" / "annotations.zip").write_bytes(b"PK")
    listing = find_videos(load_manifest(FOLDER_MANIFEST), tmp_path)
    assert paths(listing) == ["A/annotations.zip", "A/two.zip"]


@pytest.mark.parametrize("flow", ["flow_x", "tvl1_flow/u", "Flow", "flow-y"])
def test_folders_of_flow_next_to_frames_are_not_videos(tmp_path, flow):
    write_frames(tmp_path / "A" / "v" / "rgb", greys(3))
    write_frames(tmp_path / "A" / "v" / flow, greys(3))
    listing = find_videos(load_manifest(FOLDER_MANIFEST), tmp_path)
    assert paths(listing) == ["A/v/rgb"]
    assert f"1 folders of pictures hold flow, by their names, and were left out: A/v/{flow}" in listing.notes


def test_a_folder_without_sets_of_frames_is_still_refused(tmp_path):
    write_frames(tmp_path, greys(3))
    with pytest.raises(DatasetError, match=r"found 3 [.]jpg.*3 numbered pictures are directly in the root"):
        find_videos(load_manifest(FOLDER_MANIFEST), tmp_path)
    (tmp_path / "other").mkdir()
    with zipfile.ZipFile(tmp_path / "other" / "videos.zip", "w") as archive:
        archive.writestr("a.avi", b"a video that is not unpacked")
    with pytest.raises(DatasetError, match=r"found 1 [.]zip"):
        find_videos(load_manifest(FOLDER_MANIFEST), tmp_path / "other")


def test_copies_are_found_by_content(tmp_path):
    for part, name in (("train", "a"), ("test", "b")):
        write_frames(tmp_path / part / "A" / name, greys(3))
        write_frames(tmp_path / part / "A" / f"other {part}", greys(3 if part == "train" else 4)[::-1])
    listing = find_videos(load_manifest(FOLDER_MANIFEST.with_name("split_folders.yaml")), tmp_path)
    (leak,) = find_leaks(listing)
    assert leak.kind == "content" and leak.shared == ("test/A/b = train/A/a",)
