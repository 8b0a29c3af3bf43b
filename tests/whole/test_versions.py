"""Supported versions: setup.cfg states them, and everything else agrees."""

from __future__ import annotations

import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from run_matrix import choose_tests, supported_pythons

from mas_labels.cli.main import main
from mas_labels.system.extras import package_versions
from mas_labels.version import RESUMABLE, __version__

ROOT = Path(__file__).parents[2]
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg")
SUPPORTED = supported_pythons()
REQUIREMENTS = [
    Requirement(line)
    for text in (SETUP["options"]["install_requires"], *SETUP["options.extras_require"].values())
    for line in text.strip().splitlines()
]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)


def test_the_changelog_ends_in_this_version_and_dates_all():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d+\.\d+\.\d+) - 20\d\d-[01]\d-[0-3]\d$", changelog, re.M)
    assert len(versions) == changelog.count("\n## ")
    assert versions[0] == __version__ and set(RESUMABLE) <= set(versions[1:])


def test_commands_and_files_state_the_version_of_the_code():
    """Not that of the installed package, which a checkout may have left behind."""
    assert CliRunner().invoke(main, ["--version"]).output.endswith(f"version {__version__}\n")
    assert package_versions("click")["mas-video"] == __version__


def test_the_classifiers_name_the_supported_pythons():
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)$", SETUP["metadata"]["classifiers"], re.M)
    assert named == SUPPORTED


def test_ruff_and_mypy_check_for_the_oldest_python():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tools["ruff"]["target-version"] == f"py{SUPPORTED[0].replace('.', '')}"
    assert tools["mypy"]["python_version"] == SUPPORTED[0]


@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_the_pages_state_the_same_range(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert re.findall(r"Python (3\.\d+.*?)(?=, a C)", text) == [f"{SUPPORTED[0]} to {SUPPORTED[-1]}"]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_pinned_versions_are_allowed(requirement):
    pins = {name.lower(): version for name, version in PINS.items()}
    if requirement.name != "torchvision":  # in a separate environment
        assert pins[requirement.name.lower()] in requirement.specifier


def test_continuous_integration_names_tests_that_exist():
    arguments = re.search(r'ARGS="(.*?)"', (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.DOTALL)[1]
    names = arguments.replace("\\", "").split()[4:]
    assert len(choose_tests(ROOT, True, names)) >= len(names)
