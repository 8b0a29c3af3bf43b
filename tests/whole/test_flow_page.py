"""docs/flow.md: its commands and its Python code work as written, in order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from helpers.commands import mas
from helpers.videos import moving_texture, write_video

PAGE = (Path(__file__).parents[2] / "docs" / "flow.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    mas-labels (.*)$", PAGE, re.M)
PYTHON = "".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))


@pytest.fixture
def _readers_folder(tmp_path, monkeypatch):
    """The current folder has the videos that the page names."""
    for name in ("videos/archery/one.avi", "videos/yoyo/two.avi", "UCF-101/Archery/v_Archery_g08_c01.avi"):
        write_video(tmp_path / name, moving_texture(17, 48, 64, 1, 0))
    (tmp_path / "videos.txt").write_text("videos/archery/one.avi\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_readers_folder")
def test_commands_work_as_written():
    assert len(COMMANDS) == 8
    for command in COMMANDS:
        done = mas(*shlex.split(command))
        assert done.exit_code == 0, f"{command}\n{done.output}"
    for name in ("flow/archery/one/flow_x_00001.jpg", "one.npz"):
        assert name in PAGE and Path(name).is_file()


@pytest.mark.usefixtures("_readers_folder")
def test_python_works_as_written(capsys):
    exec(PYTHON, {})
    shapes = re.findall(r"print\(.*# (\(.*?\))", PYTHON)
    assert len(shapes) == 2
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(shapes[0])
    assert printed[-1] == shapes[1]
