"""What the tests share: footage where it is, small videos and shards made on the spot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import helpers.leftovers  # noqa: F401 - looks at exit for what the tests left behind
import numpy as np
import pytest
from numpy.typing import NDArray

from mas_labels.datasets.manifest import packaged_manifests
from mas_labels.shards.shard_set import ShardSet

SHARED = Path(os.environ.get("MAS_SHARED", Path(__file__).parents[2] / "shared"))


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"real footage and split files are not on this machine ({name})")
    return folder


@pytest.fixture(scope="session")
def shared_videos() -> Path:
    """Folder of real videos; the test is skipped where there is none."""
    return _shared("videos")


@pytest.fixture(scope="session")
def shared_splits() -> Path:
    """Folder of official split files; the test is skipped where there is none."""
    return _shared("splits")


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """Folder of small files that were once read wrongly; the test is skipped where there is none."""
    return _shared("cases")


def moving_texture(frames: int, rows: int, cols: int, u: float, v: float, seed: int = 0) -> NDArray[np.uint8]:
    """Return (frames, rows, cols, 3) uint8 of a smooth random texture that moves by (u, v) a frame."""
    margin = int(np.ceil(frames * max(abs(u), abs(v)))) + 2
    rng = np.random.default_rng(seed)
    size = (rows + 2 * margin, cols + 2 * margin, 3)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, size).astype(np.float32), (0, 0), 2.0)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    pictures = []
    for index in range(frames):
        shift = np.float32([[1, 0, index * u - margin], [0, 1, index * v - margin]])
        pictures.append(cv2.warpAffine(texture, shift, (cols, rows), flags=cv2.INTER_CUBIC))
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


def write_video(path: Path, frames: NDArray[np.uint8], codec: str = "MJPG", fps: float = 25.0) -> Path:
    """Write (T, H, W, 3) RGB frames through OpenCV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, frames.shape[2:0:-1])
    assert writer.isOpened(), codec
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


needs_opencv_5 = pytest.mark.skipif(
    int(cv2.__version__.partition(".")[0]) < 5,
    reason="OpenCV 4 warps in steps of 1/32 pixel and decodes otherwise",
)

FOLDER_MANIFEST = packaged_manifests()["folder"]


@pytest.fixture(scope="session")
def tiny_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 6 short videos in 2 classes and 3 files that cannot be used."""
    root = tmp_path_factory.mktemp("videos")
    for number, (name, u, v) in enumerate(
        [
            ("pan/right.avi", 2, 0),
            ("pan/down.avi", 0, 1),
            ("pan/slow.mp4", 0.5, 0.5),
            ("zoom out/a b.avi", -1, 1),
            ("zoom out/#[é].mp4", 1, -2),
            ("zoom out/still.avi", 0, 0),
        ]
    ):
        codec = "mp4v" if name.endswith("mp4") else "MJPG"
        write_video(root / name, moving_texture(33 + number, 120, 160, u, v, seed=number), codec)
    write_video(root / "pan/short.avi", moving_texture(9, 120, 160, 1, 0))
    (root / "zoom out/text.avi").write_text("no video")
    (root / "zoom out/empty.mp4").touch()
    return root


@pytest.fixture(scope="session")
def tiny_shards(tiny_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small shards of `tiny_videos`, made by the pipeline with DIS flow."""
    from mas_labels.config import LabelConfig
    from mas_labels.datasets.find_videos import find_videos, load_manifest
    from mas_labels.pipeline.run import run
    from mas_labels.plan.plan import make_plan

    out = tmp_path_factory.mktemp("shards")
    listing = find_videos(load_manifest(FOLDER_MANIFEST), tiny_videos)
    results = run(make_plan(listing, "all", 5), LabelConfig(flow="dis"), tiny_videos, out)
    assert [result.error for result in results] == [None, None]
    return sorted(out.glob("*.h5"))


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Shards to learn from, whose classes are planted as colours: see `coloured`."""
    pytest.importorskip("torch")
    from helpers.coloured import coloured_shards

    return coloured_shards(tmp_path_factory.mktemp("train"), 1, 4)


@pytest.fixture(scope="session")
def test(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Shards of the same classes to be tested on."""
    pytest.importorskip("torch")
    from helpers.coloured import coloured_shards

    return coloured_shards(tmp_path_factory.mktemp("test"), 101, 2)


@pytest.fixture(scope="session")
def pretrained(tiny_shards: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `mas-train` with two steps."""
    pytest.importorskip("torch")
    from helpers.coloured import pretrain

    return pretrain(tiny_shards, tmp_path_factory.mktemp("runs") / "pretrained")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def make_command(root: Path, out: Path, *more: str) -> list[str]:
    """The command line that makes the shards of `tiny_shards`."""
    options = ["--root", str(root), "--out", str(out), "--flow", "dis", "--videos-per-shard", "5"]
    return [sys.executable, "-m", "mas_labels", "make", "--manifest", str(FOLDER_MANIFEST), *options, *more]


def wait_until(true: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait, at most a minute, until something is so; fail if the process ends before."""
    deadline = time.monotonic() + 60
    while not true():
        assert process is None or process.poll() is None, "the process ended too early"
        assert time.monotonic() < deadline, "this takes too long"
        time.sleep(0.01)


def children(pid: int, pattern: str = "") -> list[int]:
    """Process ids of the children of a process whose command line holds a pattern."""
    if shutil.which("pgrep") is None:
        pytest.skip("pgrep is not installed (Debian: apt install procps)")
    found = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", pattern or "."], capture_output=True, text=True, check=False
    )
    return [int(line) for line in found.stdout.split()]
