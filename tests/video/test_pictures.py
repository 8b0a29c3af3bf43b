"""Extracted frames as videos: in common layouts, and with everything that can be wrong with them."""

from __future__ import annotations

import errno
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.frames import greys, pack, write_frames
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video

import mas_labels
from mas_labels.cli.main import main
from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import MasError, VideoError
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards
from mas_labels.verify.run import Checks, verify_shard
from mas_labels.video import pictures
from mas_labels.video.frame_names import is_frame_name
from mas_labels.video.open_video import open_video, stored_bytes
from mas_labels.video.pictures import PictureReader
from mas_labels.video.reader import MACHINE_CODES
from mas_labels.video.video_file import VideoReader


def read(reader):
    """Return the grey values of a reader's frames, and the code of the error that ended it."""
    found = []
    try:
        for frame in reader:
            found.append(round(float(frame.mean()) / 10))
    except VideoError as error:
        return found, error.code
    return found, None


@pytest.mark.parametrize(
    ("name", "is_frame"),
    [
        ("img_00001.jpg", True),
        ("frame000001.jpg", True),
        ("000001.PNG", True),
        ("1.jpeg", True),
        ("v_Archery_g01_c01_0012.jpg", True),
        ("image-7.webp", True),
        ("flow_x_00001.jpg", False),
        ("flow_y_00001.jpg", False),
        ("x_0001.jpg", False),
        ("lava_flow_0001.jpg", True),
        ("poster.jpg", False),
        ("._img_00001.jpg", False),
        ("img_00001.txt", False),
        (".jpg", False),
    ],
)
def test_names_of_frames(name, is_frame):
    assert is_frame_name(name) == is_frame


@pytest.mark.parametrize("name", ["img_{:05d}.jpg", "frame{:06d}.jpg", "{}.png", "a.b-{}.JPG", "i{:02d}.bmp"])
@pytest.mark.parametrize("first", [0, 1, 95])
def test_frames_are_in_the_order_of_their_numbers(tmp_path, name, first):
    folder = write_frames(tmp_path / "a.b", greys(20), name, first)
    write_frames(folder, greys(20), "flow_x_{:05d}.jpg")
    (folder / "notes 1.txt").write_text("no picture")
    reader = open_video(folder)
    assert read(reader) == (list(range(20)), None)
    sizes = [path.stat().st_size for path in folder.iterdir() if is_frame_name(path.name)]
    assert reader.file_bytes == stored_bytes(folder) == sum(sizes)
    assert (reader.frames, reader.promised_frames, reader.fps, reader.rows, reader.cols) == (
        20,
        20,
        0.0,
        48,
        64,
    )
    assert read(reader) == (list(range(20)), None)


def remove(folder, number):
    (folder / f"img_{number:05d}.jpg").unlink()


def cut(folder, number, keep=0.5):
    path = folder / f"img_{number:05d}.jpg"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])


TROUBLE = {  # what is done to 20 frames, how many still come, the code
    "gap": (lambda folder: remove(folder, 8), 7, "frames_missing"),
    "double": (lambda folder: write_frames(folder, greys(1), "img_{:02d}.jpg", 8), 0, "frames_double"),
    "mixed prefixes": (lambda folder: write_frames(folder, greys(3), "frame{:05d}.jpg"), 0, "frames_mixed"),
    "mixed kinds": (lambda folder: write_frames(folder, greys(3), "img_{:05d}.png", 21), 0, "frames_mixed"),
    "other size": (lambda folder: write_frames(folder, greys(1, 50), first=18), 17, "size_changes"),
    "cut short": (lambda folder: cut(folder, 10), 9, "broken_frame"),
    "empty": (lambda folder: cut(folder, 10, 0), 9, "broken_frame"),
    "no picture": (lambda folder: (folder / "img_00003.jpg").write_text("text"), 2, "broken_frame"),
    "folder": (lambda folder: (remove(folder, 5), (folder / "img_00005.jpg").mkdir()), 4, "no_file"),
}


@pytest.mark.parametrize("kind", TROUBLE)
def test_invalid_frames_are_reported(tmp_path, kind):
    spoil, whole, code = TROUBLE[kind]
    folder = write_frames(tmp_path / "a", greys(20))
    spoil(folder)
    assert read(open_video(folder)) == (list(range(whole)), code)


def test_a_folder_without_frames_is_refused(tmp_path):
    write_frames(tmp_path / "flow", greys(3), "flow_x_{:05d}.jpg")
    assert read(open_video(tmp_path / "flow")) == ([], "no_frames")
    assert read(PictureReader(tmp_path / "none")) == ([], "no_file")


def test_an_unreadable_picture_is_not_reported_as_damaged(tmp_path, monkeypatch):
    folder = write_frames(tmp_path / "a", greys(20))

    class Disk(io.BytesIO):
        def read(self, *_):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(pictures.os, "fdopen", lambda descriptor, mode: Disk())
    count, code = read(open_video(folder))
    assert count == [] and code in MACHINE_CODES


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tgz", ".ZIP"])
def test_an_archive_of_frames_is_a_video(tmp_path, ending):
    folder = write_frames(tmp_path / "a", greys(20))
    path = pack(folder, tmp_path / f"b{ending.lower()}").rename(tmp_path / f"c{ending}")
    reader = open_video(path)
    assert read(reader) == (list(range(20)), None)
    assert reader.file_bytes == stored_bytes(path) == path.stat().st_size
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    count, code = read(open_video(path))
    assert count == [] and code == "cannot_open"
    path.write_bytes(b"")
    assert read(open_video(path))[1] == "cannot_open"


def test_the_unpacked_size_of_archives_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PICTURE_BYTES", 1 << 20)
    monkeypatch.setattr(pictures, "MAX_TAR_BYTES", 1 << 20)
    big = bytes(1 << 24)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("img_00001.jpg", big)
    assert read(open_video(tmp_path / "a.zip")) == ([], "broken_frame")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("img_00001.jpg")
        member.size = len(big)
        archive.addfile(member, io.BytesIO(big))
    assert read(open_video(tmp_path / "a.tgz")) == ([], "too_large")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("../../img_00001.jpg", b"out of its folder")
    assert read(open_video(tmp_path / "c.zip")) == ([], "no_frames")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for number in (1, 2):
            archive.writestr(f"{number}/img_{number:05d}.jpg", b"other folders are other videos")
    assert read(open_video(tmp_path / "b.zip")) == ([], "frames_mixed")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Frames of two videos, one with a gap, and of one that is too short."""
    folder = tmp_path_factory.mktemp("frames")
    frames = moving_texture(34, 120, 160, 1, 1)
    write_frames(folder / "a" / "whole", frames, "frame{:06d}.png")
    write_frames(folder / "a" / "gap", frames)
    remove(folder / "a" / "gap", 30)
    write_frames(folder / "b" / "short.video", frames[:5])
    return folder


def label(root, out):
    listing = find_videos(load_manifest(FOLDER_MANIFEST), root)
    return run(plan_shards(listing, "all", 8), LabelConfig(flow="dis", view_stride_pixels=59), root, out)


def test_frames_are_labelled_like_videos(root, tmp_path):
    label(root, tmp_path / "out")
    shards = mas_labels.open_shards(tmp_path / "out")
    videos = {video.path: (video.class_name, video.frames, video.clips, video.fps) for video in shards.videos}
    assert videos == {"a/gap": ("a", 29, 1, 0.0), "a/whole": ("a", 34, 2, 0.0)}
    failures = {row.video: (row.stage, row.code) for row in shards.failures}
    assert failures == {"a/gap": ("decode", "frames_missing"), "b/short.video": ("clips", "too_short")}
    write_video(tmp_path / "v" / "a" / "whole.avi", moving_texture(34, 120, 160, 1, 1), "FFV1")
    label(tmp_path / "v", tmp_path / "of video")
    (clip, *_) = (clip for clip in shards if clip.video == "a/whole")
    same = mas_labels.open_shards(tmp_path / "of video")[0]
    assert np.abs(clip.frames.astype(int) - same.frames).mean() < 3
    (shard,) = (tmp_path / "out").glob("*.h5")
    report = verify_shard(shard, Checks(deep=True, recompute=1.0, root=root))
    assert (report.problems, report.recomputed) == ((), 3)


def test_a_changed_folder_is_noticed(root, tmp_path):
    copy = tmp_path / "videos"
    for name in ("one", "two"):
        write_frames(copy / "a" / name, moving_texture(17, 60, 80, 1, 1))
    label(copy, tmp_path / "out")
    label(copy, tmp_path / "out")
    write_frames(copy / "a" / "two", moving_texture(17, 60, 80, 1, 1, seed=3))
    with pytest.raises(MasError, match="a/two"):
        label(copy, tmp_path / "out")


def test_the_flow_of_extracted_frames_is_written(root, tmp_path):
    command = ["flow", str(root / "b" / "short.video"), "--out", str(tmp_path / "a.npz"), "--flow", "dis"]
    assert CliRunner().invoke(main, command).exit_code == 0
    assert np.load(tmp_path / "a.npz")["flow"].shape == (4, 120, 160, 2)


def test_a_rate_is_refused_for_extracted_frames(root, tmp_path):
    """Refused before any work, and by the reader too."""
    out = tmp_path / "out"
    command = ["make", "--manifest", FOLDER_MANIFEST, "--root", root, "--out", out, "--fps", "25"]
    done = CliRunner().invoke(main, list(map(str, command)))
    assert (done.exit_code, out.exists()) == (1, False)
    assert "extracted frames have no time stamps" in done.output
    assert read(open_video(root / "a" / "whole", LabelConfig(fps="25").frame_rate)) == ([], "time_stamps")


def test_exif_orientation_is_applied_to_pictures(tmp_path):
    from helpers.orientation import WAYS, corners, jpeg_with_exif

    for shown, orientation in WAYS.values():
        folder = tmp_path / str(orientation)
        folder.mkdir()
        jpeg_with_exif(folder / "img_1.jpg", orientation)
        assert corners(next(iter(open_video(folder)))) == shown


def test_a_video_file_gets_the_reader_of_videos(tmp_path):
    assert isinstance(open_video(write_video(tmp_path / "a1.avi", greys(3))), VideoReader)
    assert isinstance(open_video(Path("nowhere")), VideoReader)
