"""The additions in CONTRIBUTING.md work as written, in a copy of the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Adding something") : PAGE.index("## Documentation")]
BLOCK = re.compile(
    r"^(New file|In the table|Above) (?:`(\w+)` (?:of|in) )?`([\w/.]+)`:\n\n```\w+\n(.*?)```", re.M | re.S
)
"""Place of a block, name of the table or function, file, and the block."""
COMMANDS = re.findall(r"^    (mas-.*)$", SECTION, re.M)


def apply_block(root: Path, place: str, name: str, path: str, block: str) -> None:
    """Create a file, or insert lines as the first of a table or above a function."""
    file = root / path
    if place == "New file":
        assert not file.exists(), file
        file.write_text(block)
        return
    start = re.compile(
        rf"^{name}\b.* = .*\{{\n|^{name}\b.* = \w+\(\n    \{{\n"
        if place == "In the table"
        else rf"^(?=def {name}\b)",
        re.M,
    )
    text = file.read_text()
    (found,) = start.finditer(text)
    between = "" if place == "In the table" else "\n\n"
    file.write_text(text[: found.end()] + block + between + text[found.end() :])


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with all additions."""
    root = tmp_path_factory.mktemp("contributing")
    for package in ("mas_labels", "mas_train"):
        shutil.copytree(
            ROOT / package,
            root / package,
            ignore=shutil.ignore_patterns("__pycache__", "native"),
            symlinks=True,
        )
    shutil.copytree(ROOT / "data_manifests", root / "data_manifests")
    for block in BLOCK.findall(SECTION):
        apply_block(root, *block)
    return root


def run(command: str, root: Path, folder: Path) -> str:
    """Run one of the page's commands in a folder, with the copy's code."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    scripts = dict(
        re.findall(r"^(\S+) = ([\w.]+):main$", setup["options.entry_points"]["console_scripts"], re.M)
    )
    program, _, arguments = command.partition(" ")
    done = subprocess.run(
        f"{sys.executable} -m {scripts[program]} {arguments}",
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_block_is_applied_and_every_addition_is_tried() -> None:
    assert len(BLOCK.findall(SECTION)) == SECTION.count("```") // 2 == 7
    assert len(COMMANDS) == 2 + len(re.findall(r"^### ", SECTION, re.M)) == 6


def test_the_commands_of_the_page_use_what_was_added(changed: Path, tmp_path: Path) -> None:
    printed = {command: run(command, changed, tmp_path) for command in COMMANDS}
    texts = list(printed.values())
    assert texts[3].startswith("demo_turns: 10 videos, 2 classes")
    assert (tmp_path / "results" / "class-means" / "class-means.json").is_file()
    assert "class-means on demo" in texts[5]


def test_the_additions_are_in_order(changed: Path) -> None:
    """The code of the page passes the checks of the project."""
    files = [path for _, _, path, _ in BLOCK.findall(SECTION) if path.endswith(".py")]
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--config", str(ROOT / "pyproject.toml"), *files]
        done = subprocess.run(command, cwd=changed, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
