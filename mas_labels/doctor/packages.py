"""Versions of Python and of packages, next to those that the metadata of this project asks for."""

from __future__ import annotations

import importlib
import operator
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

from mas_labels.doctor.finding import Finding
from mas_labels.system.extras import NOT_INSTALLED, package_versions
from mas_labels.version import __version__

PROJECT: Final = "mas-video"
OPENCV: Final = "opencv-contrib-python"
OPENCV_BUILDS: Final = (OPENCV, f"{OPENCV}-headless", "opencv-python", "opencv-python-headless")
"""Packages of which each installs the module ``cv2``."""
OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {">=": operator.ge, "<": operator.lt}
"""Comparisons that setup.cfg makes. The package `packaging` knows all, but may itself be missing here."""
ENTRIES: Final = ("mas_labels.datasets.find_videos", "mas_labels.pipeline.run")
"""Modules whose import loads all that labelling needs."""


class Requirement(NamedTuple):
    """A package, its specifier, such as ``>=1.26``, and the extra that asks for it, ``""`` if none does."""

    name: str
    specifier: str
    extra: str


def read_requirements() -> list[Requirement]:
    """Return the requirements that this project's metadata states; empty if it is not installed."""
    pattern = re.compile(r"([\w.-]+)\s*\(?([^();]*)\)?(?:.*\bextra\s*==\s*['\"]([\w.-]+))?")
    try:
        matches = map(pattern.match, metadata.requires(PROJECT) or ())
    except metadata.PackageNotFoundError:
        return []
    return [Requirement(match[1], match[2].strip(), match[3] or "") for match in matches if match]


def is_supported(version: str, specifier: str) -> bool:
    """Return whether a version, such as ``2.13.0+cpu``, fulfils a specifier, such as ``>=2.8, <3``.

    Other comparisons than `OPERATORS` count as fulfilled: only another version's metadata may make them, of
    which `find_project` warns.
    """
    parts = re.findall(r"([<>=!~]+)([^,]+)", specifier)
    return all(
        OPERATORS[sign](_numbers(version), _numbers(bound)) for sign, bound in parts if sign in OPERATORS
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a release without zeros at its end, so that 3.0 equals 3; none if it has none."""
    match = re.match(r"\s*(\d+(?:\.\d+)*?)(?:\.0+)*(?!\.?\d)", str(version))  # None, where metadata lack it
    return tuple(map(int, match[1].split("."))) if match else ()


def find_project() -> Iterator[Finding]:
    """Find this project and its Python."""
    yield Finding("ok", PROJECT, f"{__version__} in {Path(__file__).parents[2]}")
    python = platform.python_version()
    try:
        project = metadata.metadata(PROJECT)
    except metadata.PackageNotFoundError:
        yield Finding("ok", "Python", python)
        remedy = "pip install -e . in the checkout"
        yield Finding(
            "warning", PROJECT, f"not installed, so it is not known which versions it needs: {remedy}"
        )
        return
    if project["Version"] != __version__:
        text = f"installed as {project['Version']}, so packages are compared with its needs: install it again"
        yield Finding("warning", PROJECT, text)
    specifier = project["Requires-Python"] or ""
    if is_supported(python, specifier):
        yield Finding("ok", "Python", python)
    else:
        yield Finding("warning", "Python", f"{python}, expected {specifier}: use one of these versions")


def find_packages() -> Iterator[Finding]:
    """Find the packages that are needed, and those of the extras; OpenCV has a line of its own."""
    required = [each for each in read_requirements() if each.name != OPENCV]
    versions = package_versions(*(each.name for each in required))
    for name, specifier, extra in required:
        if versions[name] == NOT_INSTALLED and not extra:
            yield Finding("error", name, f"not installed: {_install(name, specifier)}")
    for name, specifier in dict.fromkeys((each.name, each.specifier) for each in required):
        if versions[name] != NOT_INSTALLED and not is_supported(versions[name], specifier):
            yield _unsupported(name, versions[name], specifier)
    needed = [f"{each.name} {versions[each.name]}" for each in required if not each.extra]
    yield Finding("ok", "packages", ", ".join(needed))
    lacking = {each.extra for each in required if versions[each.name] == NOT_INSTALLED}
    extras = dict.fromkeys(each.extra for each in required if each.extra)
    present = ", ".join(extra for extra in extras if extra not in lacking)
    absent = ", ".join(extra for extra in extras if extra in lacking)
    yield Finding("ok", "extras", f"{present or 'none'}; not installed: {absent or 'none'}")


def _install(name: str, specifier: str) -> str:
    return f'pip install "{name}{specifier}"'


def _unsupported(name: str, version: str, specifier: str) -> Finding:
    return Finding("warning", name, f"{version}, expected {specifier}: {_install(name, specifier)}")


def find_opencv() -> Iterator[Finding]:
    """Find OpenCV: its package, whether it needs a display's libraries, and the contributed modules."""
    import cv2

    found = package_versions(*OPENCV_BUILDS)
    builds = {name: found[name] for name in OPENCV_BUILDS if found[name] != NOT_INSTALLED}
    for each in read_requirements():
        version = next(iter(builds.values()), None)
        if each.name == OPENCV and version is not None and not is_supported(version, each.specifier):
            yield _unsupported(next(iter(builds)), version, each.specifier)
    gui = re.search(r"GUI:\s*(\S+)", cv2.getBuildInformation())
    display = "headless" if gui is None or gui[1] == "NONE" else f"with a display's libraries ({gui[1]})"
    source = " and ".join(f"{name} {version}" for name, version in builds.items()) or "not by pip"
    yield Finding("ok", "OpenCV", f"{cv2.__version__}, {display}, {source}")
    if not hasattr(cv2, "optflow"):
        remedy = (
            f"pip uninstall {' '.join(builds) or 'it'}, then {_install(OPENCV, '')} or {OPENCV_BUILDS[1]}"
        )
        yield Finding(
            "warning",
            "OpenCV",
            f"without its contributed modules, which `--flow tvl1-opencv` needs: {remedy}",
        )


def load_modules() -> Iterator[Finding]:
    """Load all modules that labelling needs."""
    for entry in ENTRIES:
        importlib.import_module(entry)
    yield Finding("ok", "labelling", "all its modules load")
