"""Fixtures of all tests: real footage where there is some, small videos and shards made on the spot."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.leftovers import pytest_configure_node  # noqa: F401 - checks at exit what the tests left behind
from helpers.videos import FOLDER_MANIFEST, SHARED, moving_texture, write_video

from mas_labels.shards.shard_set import ShardSet


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the device under test."""
    parser.addoption("--device", default="cpu", choices=["cpu", "cuda"], help="device that tests/gpu tests")


def pytest_configure(config: pytest.Config) -> None:
    """Let examples take any time, as on slow machines; stop if the device under test is not here.

    Signals that the parent ignores, as under ``nohup``, are restored: tests send them to programs.
    """
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    if config.pluginmanager.hasplugin("hypothesispytest"):
        from hypothesis import settings

        settings.register_profile("untimed", deadline=None)
        settings.load_profile("untimed")
    if config.getoption("--device") == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise pytest.UsageError(
                f"--device cuda: expected a GPU, torch {torch.__version__} finds none: run this on a machine "
                "that has one, with a torch built for it"
            )


@pytest.fixture(autouse=True, scope="module")
def no_idle_process() -> Iterator[None]:
    """End the labelling processes that a file left idle: others count theirs."""
    yield
    if supervisor := sys.modules.get("mas_labels.pipeline.supervisor"):
        supervisor.close_idle_processes()


def pytest_report_header() -> list[str]:
    """State the packages and the instruction sets under test."""
    from mas_labels.doctor.packages import find_packages
    from mas_labels.doctor.self_test import find_extensions

    return [f"{each.name}: {each.text}" for each in (*find_packages(), *find_extensions())]


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
    from mas_labels.datasets.find_videos import find_videos
    from mas_labels.datasets.manifest import load_manifest
    from mas_labels.pipeline.run import run
    from mas_labels.plan.plan import plan_shards

    out = tmp_path_factory.mktemp("shards")
    listing = find_videos(load_manifest(FOLDER_MANIFEST), tiny_videos)
    results = run(plan_shards(listing, "all", 5), LabelConfig(flow="dis"), tiny_videos, out)
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


@pytest.fixture(scope="session")
def finetuned(pretrained: Path, tiny_shards: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `mas-finetune` with one epoch, which began with `pretrained`."""
    from helpers.coloured import SMALL, run

    from mas_train.cli.finetune import main

    out = tmp_path_factory.mktemp("runs") / "tuned"
    options = ["--epochs", 1, "--fc-width", 16, "--batch-size", 4, "--out", out, *SMALL]
    assert run(main, "--init", pretrained, "--shards", *tiny_shards, *options) == 0
    return out


@pytest.fixture(scope="session")
def small(tiny_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Small shards of `tiny_videos` in another geometry, one of 2 videos and one of 4."""
    from helpers.geometries import small_shards

    return small_shards(tiny_videos, tmp_path_factory.mktemp("small"))
