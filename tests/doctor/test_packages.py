"""Versions: what the metadata asks for, next to what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import packaging.requirements
import pytest
from packaging.specifiers import SpecifierSet

from mas_labels.doctor import packages
from mas_labels.doctor.finding import Finding
from mas_labels.version import __version__

SETUP = Path(__file__).parents[2] / "setup.cfg"
METADATA = """\
Metadata-Version: 2.1
Name: mas-video
Version: {version}
Requires-Python: {python}
Requires-Dist: numpy>={numpy}
Requires-Dist: opencv-contrib-python>={opencv}
Requires-Dist: {needed}>=1
Requires-Dist: no-such-extra>=2; extra == "eval"
Requires-Dist: click<2; extra == "inspect"
"""


def stated_requirements() -> Iterator[tuple[str, str]]:
    """Yield each requirement of setup.cfg with its extra."""
    setup = ConfigParser()
    setup.read(SETUP)
    for extra, text in (("", setup["options"]["install_requires"]), *setup["options.extras_require"].items()):
        yield from ((extra, line) for line in text.strip().splitlines())


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """Put a distribution that consists of its metadata in front of the installed ones."""
    path = folder / f"{name}-0.dist-info" / "METADATA"
    path.parent.mkdir()
    path.write_text(text)
    monkeypatch.syspath_prepend(folder)


def test_all_that_setup_cfg_asks_for_is_understood(tmp_path, monkeypatch):
    stated = list(stated_requirements())
    lines = [f'{line}; extra == "{extra}"' if extra else line for extra, line in stated]
    install(tmp_path, monkeypatch, "mas_video", "".join(f"Requires-Dist: {line}\n" for line in lines))
    found = packages.read_requirements()
    for (extra, line), each in zip(stated, found, strict=True):
        expected = packaging.requirements.Requirement(line)
        assert (each.name, each.extra) == (expected.name, extra)
        for version in (
            "0",
            "0.2.100",
            "1.26.0",
            "2.0+cpu",
            "2025.7.29",
            "3.16",
            "4.10.0.84",
            "18.1",
            "9999",
        ):
            assert packages.is_supported(version, each.specifier) == (version in expected.specifier)


@pytest.mark.parametrize(
    "version",
    ["3.11", "3.11.0", "3.10.9", "3.15.0", "3.14.99", "3", "4.0", "3.11.0.post1", "3.12.0rc1", "3.14.dev7"],
)
def test_versions_compare_as_pip_compares_them(version):
    expected = SpecifierSet("<3.15, >=3.11").contains(version, prereleases=True)
    assert packages.is_supported(version, "<3.15, >=3.11") == expected
    assert not packages.is_supported("unreadable", ">=3.11")


@pytest.mark.parametrize("specifier", ["~=3.11", "==3.11.*", ">=3.11, !=3.12.1"])
def test_comparisons_that_setup_cfg_does_not_make_stop_nothing(specifier):
    assert packages.is_supported("3.13.2", specifier)


def test_a_version_that_is_not_supported_is_a_warning_and_a_missing_package_an_error(tmp_path, monkeypatch):
    values = {
        "version": "9",
        "python": ">=3.99",
        "numpy": "900",
        "opencv": "900.1",
        "needed": "no-such-package",
    }
    install(tmp_path, monkeypatch, "mas_video", METADATA.format(**values))
    found = [*packages.find_project(), *packages.find_packages(), *packages.find_opencv()]
    problems = {each.name: each for each in found if each.verdict != "ok"}
    assert problems["no-such-package"] == Finding(
        "error", "no-such-package", 'not installed: pip install "no-such-package>=1"'
    )
    assert problems["mas-video"].text.startswith("installed as 9, ")
    assert ", expected >=3.99: " in problems["Python"].text
    assert problems["numpy"].text.endswith(', expected >=900: pip install "numpy>=900"')
    assert problems["click"].text.endswith(', expected <2: pip install "click<2"')
    (opencv,) = (each for name, each in problems.items() if name in packages.OPENCV_BUILDS)
    assert ", expected >=900.1: " in opencv.text
    assert {each.verdict for each in problems.values() if each.name != "no-such-package"} == {"warning"}


def test_supported_versions_are_three_lines_and_extras_that_are_not_installed_are_no_warning(
    tmp_path, monkeypatch
):
    values = {"version": __version__, "python": ">=3", "numpy": "1", "opencv": "4", "needed": "click"}
    text = METADATA.format(**values).replace("click<2", "click<999")
    install(tmp_path, monkeypatch, "mas_video", text)
    found = [*packages.find_project(), *packages.find_packages(), *packages.find_opencv()]
    assert [(each.verdict, each.name) for each in found] == [
        ("ok", name) for name in ("mas-video", "Python", "packages", "extras", "OpenCV")
    ]
    assert found[3].text == "inspect; not installed: eval"


def test_without_metadata_the_remedy_is_to_install(monkeypatch):
    monkeypatch.setattr(packages, "PROJECT", "no-such-project")
    found = [*packages.find_project(), *packages.find_packages()]
    assert found[2].verdict == "warning" and found[2].text.endswith(": pip install -e . in the checkout")


def test_all_that_labelling_needs_is_loaded_in_search_of_faults():
    """All required packages but click, without which the command itself does not start."""
    modules = {"PyYAML": "yaml", "opencv-contrib-python": "cv2"}
    needed = {re.match(r"[\w-]+", line)[0] for extra, line in stated_requirements() if not extra}
    program = (
        "import sys; from mas_labels.doctor.packages import load_modules\n"
        "list(load_modules()); print(*sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {modules.get(name, name) for name in needed - {"click"}} <= set(shown.stdout.split())
