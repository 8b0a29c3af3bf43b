"""Real-world folders: links, unreadable folders, and notes on all that is left out."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.layouts import grow
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video

from mas_labels.cli.main import main
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.folder import resolve_inside, walk_folder
from mas_labels.datasets.listing import listing_notes
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import DatasetError


def link(path: Path, target: str | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def found(root: Path, follow_links: bool = True) -> list[str]:
    return [
        video.path for video in find_videos(load_manifest(FOLDER_MANIFEST), root, None, follow_links).videos
    ]


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A data set with one class on another disk."""
    root = grow(tmp_path / "root", "A/a.avi")
    link(root / "B", grow(tmp_path / "disk2" / "B", "b.avi"))
    return root


def test_class_folders_that_are_links_are_followed_on_request(linked: Path) -> None:
    assert found(linked, follow_links=False) == ["A/a.avi"]
    listing = find_videos(load_manifest(FOLDER_MANIFEST), linked, None, follow_links=True)
    assert [(video.path, video.class_name) for video in listing.videos] == [
        ("A/a.avi", "A"),
        ("B/b.avi", "B"),
    ]
    assert listing.notes == ()


def test_a_cache_of_links_to_blobs_is_read(tmp_path: Path) -> None:
    """As in the cache of Hugging Face: the link has the extension, the blob has none."""
    grow(tmp_path, "blobs/0123abcd", "blobs/4567cdef")
    link(tmp_path / "snapshots" / "rev" / "A" / "a.avi", "../../../blobs/0123abcd")
    link(tmp_path / "snapshots" / "rev" / "B" / "b.avi", "../../../blobs/4567cdef")
    assert found(tmp_path / "snapshots" / "rev") == ["A/a.avi", "B/b.avi"]
    with pytest.raises(DatasetError, match=r"2 symbolic links were not followed \(--follow-links does"):
        found(tmp_path / "snapshots" / "rev", follow_links=False)


def test_loops_end_and_each_real_folder_is_read_once_in_any_order(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", "A/a.avi", "A/deep/b.avi")
    outside = grow(tmp_path / "outside", "x.avi", "inner/y.avi")
    link(root / "B", root / "A")  # is listed already, as A
    link(root / "A" / "up", root)  # a loop
    link(root / "C", outside / "inner")  # the folder in it before the folder
    link(root / "D", outside)
    link(outside / "inner" / "back", outside)  # a loop outside
    link(outside / "self", "self")
    assert found(root) == ["A/a.avi", "A/deep/b.avi", "C/y.avi", "D/x.avi"]
    notes = walk_folder(root, (".avi",), follow_links=True).notes
    assert notes == (
        "1 symbolic links lead to no file or folder: D/self",
        "3 symbolic links lead to folders that are listed already: A/up, B, C/back",
    )


def test_a_folder_of_many_levels_is_read(tmp_path: Path) -> None:
    """Deeper than Python's limit of recursion."""
    folders = [tmp_path / "/".join("d" * depth) for depth in range(1, 1200)]
    for folder in folders:
        folder.mkdir()
    (folders[-1] / "a.avi").touch()
    try:
        assert found(tmp_path) == ["d/" * len(folders) + "a.avi"]
    finally:  # else pytest's own tidying fails at this depth
        (folders[-1] / "a.avi").unlink()
        for folder in reversed(folders):
            folder.rmdir()


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Make folders of a name unreadable, even for the superuser."""
    scandir = os.scandir

    def scan(folder: str | Path) -> object:
        if Path(folder).name == name:
            raise OSError(number, os.strerror(number), str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("command", ["list", "make", "make --dry-run"])
def test_a_folder_that_cannot_be_read_stops_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, command: str
) -> None:
    root = grow(tmp_path / "root", "A/a.avi", "closed/b.avi")
    refuse(monkeypatch, "closed", number)
    arguments = [*command.split(), "--manifest", str(FOLDER_MANIFEST), "--root", str(root)]
    arguments += ["--out", str(tmp_path / "out")] if "make" in command else []
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert f"cannot read {root}/closed: {os.strerror(number)}" in result.output
    assert not (tmp_path / "out").exists()


def test_folders_of_a_disk_itself_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = grow(
        tmp_path,
        "A/a.avi",
        "lost+found/b.avi",
        "$RECYCLE.BIN/S-1-5/$R1.avi",
        "System Volume Information/c.avi",
    )
    refuse(monkeypatch, "lost+found", errno.EACCES)
    refuse(monkeypatch, "System Volume Information", errno.EACCES)
    assert found(root) == ["A/a.avi"]


@pytest.fixture
def one_video_and_a_link(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    write_video(root / "A" / "a.avi", moving_texture(17, 64, 80, 1, 0))
    write_video(tmp_path / "disk2" / "b.avi", moving_texture(17, 64, 80, 0, 1))
    link(root / "B", tmp_path / "disk2")
    return root


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_make_prints_the_notes_of_list_and_follows_links_in_every_command(
    one_video_and_a_link: Path, tmp_path: Path
) -> None:
    root, out = one_video_and_a_link, tmp_path / "out"
    options = ["--manifest", FOLDER_MANIFEST, "--root", root]
    (root / "notes.txt").touch()
    lines = listing_notes(find_videos(load_manifest(FOLDER_MANIFEST), root))
    assert [line.split(",")[0] for line in lines] == [
        "ignored",
        "note: 1 symbolic links were not followed (--follow-links does",
    ]
    make = ["make", *options, "--out", out, "--flow", "dis", "--workers", 1]
    for command in (["list", *options], [*make, "--dry-run"], make):
        status, text = run(*command)
        assert status == 0 and [line for line in text.splitlines() if line in lines] == lines

    linked = [*make[:-4], tmp_path / "linked", *make[-4:], "--follow-links"]
    linked.remove(out)
    assert run(*linked)[0] == 0
    verify = ["verify", tmp_path / "linked", "--recompute", "100%", "--root", root]
    status, text = run(*verify, "--follow-links")
    assert (status, text.splitlines()[-1]) == (0, "1 of 1 shards are sound; 2 clips labelled again")
    status, text = run(*verify)
    assert status == 5 and "leads out of" in text and "--follow-links" in text


@pytest.mark.parametrize("path", ["/etc/passwd", "../a", "a/../../b", "", "a\0b"])
def test_paths_from_shards_that_lead_out_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(DatasetError, match="leads out of"):
        resolve_inside(tmp_path, path, follow_links=True)


def test_the_least_nested_link_is_followed_and_none_above_the_root(tmp_path: Path) -> None:
    """Otherwise a link to a folder above would give everything next to the root a class."""
    root = grow(tmp_path / "home" / "root", "A/a.avi")
    grow(tmp_path / "home" / "disk", "B/b.avi", "C/c.avi")
    link(root / "A" / "up", tmp_path)
    link(root / "A" / "deep", tmp_path / "home" / "disk" / "B")
    link(root / "B", tmp_path / "home" / "disk" / "B")
    contents = walk_folder(root, (".avi",), follow_links=True)
    assert contents.videos == ("A/a.avi", "B/b.avi")
    assert contents.notes == (
        "1 symbolic links lead to folders that contain the root: A/up",
        "1 symbolic links lead to folders that are listed already: A/deep",
    )


def test_hidden_videos_and_special_files_are_noted(tmp_path: Path) -> None:
    root = grow(tmp_path, "A/a.avi", ".hidden/b.avi", "A/.c.avi", "A/._a.avi", "A/.DS_Store", ".part.txt")
    os.mkfifo(root / "A" / "pipe.avi")
    contents = walk_folder(root, (".avi",))
    assert contents.videos == ("A/a.avi",)
    assert contents.notes == (
        "1 pipes, sockets or devices are not videos: A/pipe.avi",
        "2 hidden folders or videos were skipped: .hidden, A/.c.avi",
    )
