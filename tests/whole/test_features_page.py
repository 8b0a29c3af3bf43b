"""docs/features.md and the first commands of README.md work as written, in order; weights come along."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.coloured import run
from helpers.videos import moving_texture, write_video

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^    mas-(embed|predict) (.*)$", re.M)
COMMANDS = COMMAND.findall(PAGE)
PYTHON = "".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))


@pytest.fixture(scope="module")
def readers_folder(
    pretrained: Path, finetuned: Path, tiny_shards: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder that the page speaks of: videos, shards, runs, and the weights that come along."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("videos/archery/one.avi", "videos/yoyo/two.avi", "one.avi"):
        write_video(folder / name, moving_texture(33, 60, 80, 1, 0))
    (folder / "videos.txt").write_text("videos/yoyo/two.avi\n")
    (folder / "labels").mkdir()
    for path in tiny_shards:
        shutil.copy(path, folder / "labels")
    (folder / "results").symlink_to(ROOT / "results")
    (folder / "runs").mkdir()
    (folder / "runs" / "first").symlink_to(pretrained)
    (folder / "runs" / "tuned").symlink_to(finetuned)
    return folder


def test_the_page_works_as_written(
    readers_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(readers_folder)
    assert len(COMMANDS) == 11
    for name, arguments in COMMANDS:
        main = importlib.import_module(f"mas_train.cli.{name}").main
        words = shlex.split(arguments, comments=True)
        status = run(main, *words, "--device", "cpu", "--threads", 1, "--workers", 1)
        assert status == (3 if words[0] == "labels/" else 0), arguments
    capsys.readouterr()
    found: dict[str, object] = {}
    exec(PYTHON, found)
    assert '"format": "mas-features"' in capsys.readouterr().out
    with np.load("folder.npz") as file:
        columns = set(file.files) - {"provenance"}
    assert columns == set(re.findall(r"`(\w+)`", PAGE.partition("All have")[2].partition("With `--per")[0]))
    rows = found["rows"]
    assert isinstance(rows, list) and [row["video"] for row in rows][::2] == [
        "one.avi",
        "videos/yoyo/two.avi",
    ]
    assert Path("scores.png").read_bytes().startswith(b"\x89PNG")


def test_the_first_commands_of_the_readme_work(readers_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (readers_folder / "fresh" / "demo").mkdir(parents=True)
    (readers_folder / "fresh" / "results").symlink_to(ROOT / "results")
    (readers_folder / "fresh" / "demo" / "videos").symlink_to(readers_folder / "videos")
    monkeypatch.chdir(readers_folder / "fresh")
    commands = COMMAND.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [name for name, _ in commands] == ["embed", "predict"]
    for name, arguments in commands:
        main = importlib.import_module(f"mas_train.cli.{name}").main
        assert run(main, *shlex.split(arguments, comments=True), "--device", "cpu", "--threads", 1) == 0


def test_the_weights_that_come_along_are_whole_and_small() -> None:
    from mas_train.weights.backbone_weights import load_weights

    along = ROOT / "results" / "small" / "weights"
    folders = {path.name: load_weights(path) for path in along.iterdir() if path.is_dir()}
    assert set(folders) == {"random", "motion", "appearance", "joint", "joint-best", "joint-finetuned"}
    targets = {name: weights.pretraining["targets"] for name, weights in folders.items()}
    assert targets == {name: name.partition("-")[0].replace("random", "joint") for name in folders}
    assert folders["joint-finetuned"].kind == "fine-tuned"
    assert sum(path.stat().st_size for path in along.rglob("*")) < 10e6
    for name in folders:
        assert f"[{name}]({name}/README.md)" in (along / "README.md").read_text()
