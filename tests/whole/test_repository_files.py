"""Files that the host of the repository and other services read agree with the package and the Makefile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_matrix import RESOLUTIONS, supported_pythons

from mas_labels.cli.main import main as mas_labels
from mas_labels.version import __version__

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps_of(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_targets_of_the_makefile_and_nothing_else(path):
    commands = [step["run"] for step in steps_of(load(path)) if "run" in step]
    assert commands
    for command in commands:
        assert (match := re.fullmatch(r"make ([a-z0-9-]+)", command)), command
        assert match[1] in TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_can_only_read_and_use_actions_of_a_fixed_commit(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())
    assert "secrets." not in path.read_text(encoding="utf-8")
    for step in steps_of(workflow):
        assert "run" in step or re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"]), step


def test_workflows_test_every_supported_python_with_oldest_and_newest_versions():
    tests, wheels = (
        load(ROOT / ".github" / "workflows" / f"{name}.yml")["jobs"] for name in ("tests", "wheels")
    )
    matrix = tests["allowed"]["strategy"]["matrix"]
    assert matrix == {"python": supported_pythons(), "versions": list(RESOLUTIONS)}
    (pythons,) = (
        step["with"]["python-version"] for step in wheels["wheel"]["steps"] if "setup-python" in str(step)
    )
    assert pythons.split() == supported_pythons()


def test_read_the_docs_builds_by_make():
    build = load(ROOT / ".readthedocs.yaml")["build"]
    assert build["tools"]["python"] in supported_pythons()
    commands = [*build["jobs"]["install"], *build["jobs"]["build"]["html"]]
    made = [match[1] for command in commands if (match := re.search(r"\bmake ([a-z-]+)$", command))]
    assert made == ["install-headless", "docs"] and TARGETS.issuperset(made)


def test_the_citation_has_the_version_and_its_date():
    citation = load(ROOT / "CITATION.cff")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+) - (\S+)$", changes, re.MULTILINE).groups() == (
        citation["version"],
        citation["date-released"],
    )
    assert citation["version"] == __version__


def test_both_images_hold_the_same_files_and_are_installed_alike():
    docker = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    apptainer = (ROOT / "apptainer.def").read_text(encoding="utf-8")
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert all((ROOT / name).exists() for name in kept)
    assert re.findall(r"^    (\S+) /opt/mas-video/\1$", apptainer, re.MULTILINE) == kept
    for pattern in (r"debian:\S+", r"--no-install-recommends ([a-z0-9+ -]+[a-z0-9])", r"EXTRAS=(\S+)"):
        assert re.findall(pattern, docker) == re.findall(pattern, apptainer) != [], pattern


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_ask_for_commands_that_exist(path):
    asked = re.findall(r"`mas-labels ([a-z]+)", path.read_text(encoding="utf-8"))
    assert set(asked) <= set(mas_labels.commands)
