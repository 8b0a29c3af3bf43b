"""Supported versions: setup.cfg states them, and everything else agrees."""

from __future__ import annotations

import contextlib
import platform
import re
import tomllib
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from run_matrix import choose_tests, supported_pythons

from mas_labels.cli.main import main
from mas_labels.system.extras import package_versions
from mas_labels.version import RESUMABLE, __version__, versions

ROOT = Path(__file__).parents[2]
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg")
SUPPORTED = supported_pythons()
REQUIREMENTS = [
    Requirement(line)
    for text in (SETUP["options"]["install_requires"], *SETUP["options.extras_require"].values())
    for line in text.strip().splitlines()
]
LOCK = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
PINS = {
    pin.name: str(pin.specifier).removeprefix("==")
    for pin in map(Requirement, LOCK)
    if pin.marker is None or pin.marker.evaluate()
}
UNLOCKED = re.compile(r"cuda-|nvidia-|triton$|torchvision$")
"""Packages that `make lock` leaves out."""


def test_the_changelog_ends_in_this_version_and_dates_all():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d+\.\d+\.\d+) - 20\d\d-[01]\d-[0-3]\d$", changelog, re.M)
    assert len(versions) == changelog.count("\n## ")
    assert versions[0] == __version__ and set(RESUMABLE) <= set(versions[1:])


def test_commands_and_files_state_the_version_of_the_code():
    """Not that of the installed package, which a checkout may have left behind."""
    assert CliRunner().invoke(main, ["--version"]).output.endswith(f"version {__version__}\n")
    assert package_versions("click")["mas-video"] == __version__


def test_versions_tell_processors_apart_that_decode_other_frames(monkeypatch):
    here = versions()
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    there = versions()
    assert [name for name in here if here[name] != there[name]] == ["ffmpeg"]
    assert there["ffmpeg"].endswith(" on riscv64")


def test_the_classifiers_name_the_supported_pythons():
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)$", SETUP["metadata"]["classifiers"], re.M)
    assert named == SUPPORTED


def test_ruff_mypy_and_the_lock_are_for_the_oldest_python():
    assert f"--python-version {SUPPORTED[0]} " in (ROOT / "Makefile").read_text(encoding="utf-8")
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tools["ruff"]["target-version"] == f"py{SUPPORTED[0].replace('.', '')}"
    assert tools["mypy"]["python_version"] == SUPPORTED[0]


@pytest.mark.parametrize("page", ["README.md", "docs/install.md"])
def test_the_pages_state_the_same_range(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert re.findall(r"Python (3\.\d+.*?)(?=, a C)", text) == [f"{SUPPORTED[0]} to {SUPPORTED[-1]}"]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_pinned_versions_are_allowed(requirement):
    name = canonicalize_name(requirement.name)
    assert UNLOCKED.match(name) or PINS[name] in requirement.specifier


def test_pip_and_uv_understand_the_lock_and_no_index_is_named():
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; .+)?", line) for line in LOCK)


def test_the_lock_names_all_that_the_requirements_bring():
    """As far as the pinned versions are installed: others may bring other packages."""
    left, seen = [(canonicalize_name(requirement.name), "") for requirement in REQUIREMENTS], set()
    while left:
        name, extra = left.pop()
        if UNLOCKED.match(name) or (name, extra) in seen:
            continue
        seen.add((name, extra))
        assert name in PINS, f"{name} is not pinned: make lock"
        with contextlib.suppress(PackageNotFoundError):
            if Version(PINS[name]) == Version(version(name).partition("+")[0]):
                left += brought(name, extra)
    assert len(seen) > len(REQUIREMENTS)


def brought(name: str, extra: str) -> list[tuple[str, str]]:
    """Return the packages, each with each of its extras, that one installed package requires here."""
    needed = [
        needed
        for needed in map(Requirement, requires(name) or [])
        if needed.marker is None or needed.marker.evaluate({"extra": extra})
    ]
    return [(canonicalize_name(one.name), extra) for one in needed for extra in ("", *one.extras)]


def test_continuous_integration_names_tests_that_exist():
    arguments = re.search(r'ARGS="(.*?)"', (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.DOTALL)[1]
    names = arguments.replace("\\", "").split()[4:]
    assert len(choose_tests(ROOT, True, names)) >= len(names)
