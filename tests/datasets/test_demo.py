"""The demo data set: reproducible, and moving as stated in its ground truth."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mas_labels.datasets import demo
from mas_labels.datasets.demo import COLS, FRAMES, MOTIONS, ROWS, DemoVideo, demo_videos, make_demo, render
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import DatasetError
from mas_labels.video.video_file import VideoReader

BY_PATH = {video.path: video for video in demo_videos()}
TEST_VIDEOS = sorted(path for path in BY_PATH if path.startswith("test/"))


@pytest.fixture(scope="module")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo")
    make_demo(root)
    return root


def decode(path: Path) -> NDArray[np.uint8]:
    return np.array(list(VideoReader(path)))


def grey(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    return cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32)


def test_the_manifest_finds_forty_videos_of_eight_classes_in_two_splits(demo_root: Path) -> None:
    listing = find_videos(load_manifest("demo"), demo_root)
    assert len(listing.videos) == 40
    assert listing.classes == tuple(sorted(MOTIONS))
    assert listing.split_names == ("test", "train")
    assert [len(listing.select(split)) for split in ("train", "test")] == [32, 8]
    for split in ("train", "test"):
        assert {video.path[-4:] for video in listing.select(split)} == {".avi", ".mp4"}
    assert listing.ignored == {} and listing.notes == () and listing.unlisted == ()


def test_its_table_is_named_where_there_is_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "ground_truth.csv").touch()
    with pytest.raises(DatasetError, match=r"1 \.csv"):
        find_videos(load_manifest("demo"), tmp_path)


def test_the_demo_made_twice_decodes_to_the_same_frames(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "demo_videos", lambda: tuple(BY_PATH[path] for path in TEST_VIDEOS))
    make_demo(tmp_path)
    for path in TEST_VIDEOS:
        first, second = decode(demo_root / path), decode(tmp_path / path)
        assert first.shape == (FRAMES, ROWS, COLS, 3)
        np.testing.assert_array_equal(first, second)


def test_the_ground_truth_file_describes_the_videos(demo_root: Path) -> None:
    with (demo_root / "ground_truth.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == list(BY_PATH)
    for row in rows:
        video = BY_PATH[row["path"]]
        motion = tuple(float(row[n]) for n in ("foreground_u", "foreground_v", "turn_degrees", "scale"))
        assert motion == MOTIONS[row["path"].split("/")[1]]
        assert (float(row["background_u"]), float(row["background_v"])) == (
            video.background_u,
            video.background_v,
        )


@pytest.mark.parametrize("path", TEST_VIDEOS)
def test_the_pan_can_be_measured_in_the_decoded_frames(demo_root: Path, path: str) -> None:
    """Corners that the shape never reaches are aligned over three frames.

    By maximising their correlation (ECC, Evangelidis and Psarakis, 2008): phase correlation is off by up to
    0.5 pixels on textures as smooth as these.
    """
    video, frames = BY_PATH[path], decode(demo_root / path)
    corners = [(slice(0, 64), slice(0, 64)), (slice(ROWS - 64, ROWS), slice(COLS - 64, COLS))]
    found = [
        cv2.findTransformECC(
            grey(frames[at][corner]),
            grey(frames[at + 3][corner]),
            np.eye(2, 3, dtype=np.float32),
            cv2.MOTION_TRANSLATION,
        )[1][:, 2]
        for corner in corners
        for at in range(0, 33, 3)
    ]
    expected = 3 * video.background_u, 3 * video.background_v
    np.testing.assert_allclose(np.median(found, axis=0), expected, atol=0.1)


def follow(video: DemoVideo, frames: NDArray[np.uint8], at: int, sign: int) -> float:
    """Return the mean absolute difference inside the shape between a frame and the one four before it, moved
    by the ground truth (sign 1), not at all (0) or in the opposite direction (-1)."""
    gap, (row, col) = 4, video.centre(at)
    move = cv2.getRotationMatrix2D((col, row), sign * gap * video.turn_degrees, video.scale ** (sign * gap))
    move[:, 2] += sign * gap * video.foreground_u, sign * gap * video.foreground_v
    moved = cv2.warpAffine(grey(frames[at]), move, (COLS, ROWS))
    row, col = video.centre(at + gap)
    radius = 0.6 * video.start_radius * min(video.scale**at, video.scale ** (at + gap))
    rows, cols = np.ogrid[:ROWS, :COLS]
    inside = np.hypot(rows - row, cols - col) < radius
    return float(abs(moved - grey(frames[at + gap]))[inside].mean())


@pytest.mark.parametrize("path", TEST_VIDEOS)
def test_the_shape_moves_as_the_ground_truth_says(demo_root: Path, path: str) -> None:
    video, frames = BY_PATH[path], decode(demo_root / path)
    along, still, against = (
        np.mean([follow(video, frames, at, sign) for at in (4, 16, 28)]) for sign in (1, 0, -1)
    )
    assert along < 0.5 * still
    assert along < 0.5 * against


@pytest.mark.parametrize("path", list(BY_PATH))
def test_the_shape_stays_in_the_frame(path: str) -> None:
    video = BY_PATH[path]
    for frame in (0, FRAMES - 1):
        (row, col), radius = video.centre(frame), video.start_radius * video.scale**frame
        assert radius > 20
        assert row - radius > 0 and row + radius < ROWS
        assert col - radius > 0 and col + radius < COLS


def test_backgrounds_pan_and_foregrounds_differ_from_them() -> None:
    for video in demo_videos():
        assert 0.49 < np.hypot(video.background_u, video.background_v) < 1.51
    for path in TEST_VIDEOS:
        assert np.ptp(render(BY_PATH[path])[0].reshape(-1, 3), axis=0).min() > 60


def test_a_complete_demo_is_kept_and_an_incomplete_one_is_regenerated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = TEST_VIDEOS[:2]
    monkeypatch.setattr(demo, "demo_videos", lambda: tuple(BY_PATH[path] for path in few))
    make_demo(tmp_path)
    before = {path: (tmp_path / path).stat().st_mtime_ns for path in few}
    make_demo(tmp_path)
    assert before == {path: (tmp_path / path).stat().st_mtime_ns for path in few}
    (tmp_path / few[0]).unlink()
    make_demo(tmp_path)
    assert (tmp_path / few[0]).is_file()
    assert [p.name for p in tmp_path.rglob(".*")] == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="Give a writable folder"):
        make_demo(tmp_path / "file" / "demo")
