"""The documentation: generated parts are up to date, links and paths exist, it builds without a warning."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    # not what a build of the pages left, perhaps of an earlier state
    *(page for page in DOCS.rglob("*.md") if not {"_build", "benchmarks"} & {*page.relative_to(DOCS).parts}),
]
REFERENCE = runpy.run_path(str(DOCS / "reference.py"))


@pytest.mark.parametrize("name", REFERENCE["PARTS"])
def test_generated_pages_are_up_to_date(name):
    fresh = {path.name: text for path, text in REFERENCE["fresh_pages"]()}
    assert (DOCS / name).read_text(encoding="utf-8") == fresh[name], "stale: run make docs-reference"


def test_the_reference_has_every_command():
    text = REFERENCE["commands_part"]()
    for name in (
        "mas-labels make",
        "mas-labels verify",
        "mas-train",
        "mas-finetune",
        "mas-eval aslan",
        "mas-export",
    ):
        assert f" {name}\n\n```text\nUsage: {name} " in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_exist(page):
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


PATHS = re.compile(
    r"(?<![\w/.-])((?:mas_labels|mas_train|benchmarks|data_manifests|examples|notebooks)/[\w./*-]*[\w*]"
    r"|tests/[\w/]+\.py|docs/[\w/]+\.(?:py|md))"
)
"""Paths of the project; those below ``tests/`` and ``results/`` may also be a user's folders."""
NAMING_FILES = [
    *PAGES,
    *(ROOT / name for name in ("Makefile", "pyproject.toml", "benchmarks/README.md")),
    *(ROOT / ".github").rglob("*.yml"),
]


@pytest.mark.parametrize("file", NAMING_FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_paths_that_pages_and_settings_name_exist(file):
    text = re.sub("New file `.*`", "", file.read_text(encoding="utf-8"))  # which the page adds
    named = {path.replace("**", "*") for path in PATHS.findall(text)}
    assert sorted(path for path in named if not [*ROOT.glob(path), *ROOT.glob(f"{path}.*")]) == []


def test_every_picture_of_the_notebook_is_on_the_page():
    shown = set(re.findall(r"pictures/([\w-]+)\.png", (DOCS / "labels.md").read_text(encoding="utf-8")))
    assert shown == {path.stem for path in (DOCS / "pictures").glob("*.png")}


def test_the_picture_of_the_rooms_is_up_to_date():
    rooms = runpy.run_path(str(DOCS / "rooms.py"))
    description = "{http://purl.org/dc/elements/1.1/}description"
    drawn = ElementTree.parse(DOCS / "pictures" / "rooms.svg").find(f".//{description}").text
    fresh = json.dumps(rooms["describe"]())
    assert drawn == fresh, (
        "stale: run .venv/bin/python docs/draw_rooms.py (make docs-pictures draws all pictures)"
    )


def test_the_documentation_builds_without_a_warning(tmp_path):
    """In a copy: a build writes into docs/, which other tests read."""
    out = tmp_path / "html"
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("_build", "benchmarks"))
    for path in ROOT.iterdir():
        if path != DOCS:
            (tmp_path / path.name).symlink_to(path)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    equations = re.findall(r"<math.*?</math>", (out / "labels.html").read_text(encoding="utf-8"), re.S)
    assert len(equations) > 10
    assert [equation for equation in equations if "\\" in equation] == [], "LaTeX that is not MathML"
    for html in out.rglob("*.html"):
        loads = re.findall(r'(?:src|<link[^>]*href)="(https?://[^"]+)"', html.read_text(encoding="utf-8"))
        assert loads == [], "a page loads a resource from the network"
