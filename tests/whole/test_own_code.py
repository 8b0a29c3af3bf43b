"""docs/own_code.md and the loops in examples/: they run as written, on shards of the demo's videos."""

from __future__ import annotations

import math
import re
import runpy
import shutil
from pathlib import Path

import pytest
from helpers.commands import mas
from helpers.geometries import small_shards

from mas_labels.datasets import demo
from mas_labels.datasets.demo import demo_videos

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own_code.md").read_text(encoding="utf-8")
PYTHON = "".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))


@pytest.fixture(scope="module")
def demo_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 clips of 4 videos of the demo."""
    folder = tmp_path_factory.mktemp("demo")
    few = tuple(video for video in demo_videos() if video.path.startswith("train/"))[:4]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "demo_videos", lambda: few)
        assert mas("demo", "--out", folder / "videos").exit_code == 0
    options = ["--manifest", "demo", "--root", folder / "videos", "--split", "train", "--flow", "dis"]
    done = mas("make", *options, "--workers", 1, "--out", folder / "labels")
    assert done.exit_code == 0, done.output
    return folder / "labels"


@pytest.fixture
def _readers_folder(
    demo_shards: Path, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder has the shards and the run that the page names."""
    (tmp_path / "labels").symlink_to(demo_shards)
    shutil.copytree(pretrained, tmp_path / "runs" / "first", symlinks=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_readers_folder")
def test_the_page_works_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec(PYTHON, names)
    stated = re.findall(
        r"^ *print\(.*\)  # ((?:torch.Size)?\([\d, \[\]]+\)|tensor\(0\) tensor\(True\))", PYTHON, re.M
    )
    assert len(stated) == 5
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line in stated] == stated
    for name, shape in (("inputs", (1, 3, 16, 112, 112)), ("labels", (4, 27))):
        assert names[name].shape == shape, name  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_readers_folder")
def test_the_plain_loop_learns(capsys: pytest.CaptureFixture[str]) -> None:
    train = runpy.run_path(str(ROOT / "examples" / "train_plain.py"))["train"]
    losses = train("labels", epochs=12, workers=0)
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    assert capsys.readouterr().out.count("\n") == 12 == len(losses)


def test_the_plain_loop_takes_clips_of_other_sizes(tiny_videos: Path, tmp_path: Path) -> None:
    small_shards(tiny_videos, tmp_path / "small", clip_frames=2)
    train = runpy.run_path(str(ROOT / "examples" / "train_plain.py"))["train"]
    assert all(map(math.isfinite, train(str(tmp_path / "small"), epochs=1, workers=0)))


@pytest.mark.usefixtures("_readers_folder")
@pytest.mark.filterwarnings("ignore")  # Lightning's, about workers and logging
def test_the_loop_of_lightning_learns_the_same_and_writes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    last, plain = (
        runpy.run_path(str(ROOT / "examples" / name))["train"]("labels", epochs=4, workers=0)
        for name in ("train_lightning.py", "train_plain.py")
    )
    assert last == pytest.approx(plain[-1], rel=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels", "runs"]
