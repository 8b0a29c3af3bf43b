"""The page on writing a manifest covers all keys, and its examples print what it shows."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from helpers.layouts import write

from mas_labels.cli.main import main
from mas_labels.datasets.manifest import Manifest

PAGE = (Path(__file__).parents[2] / "docs" / "datasets" / "own.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```\s+```text\n(.*?)```\s+```text\n(.*?)\n```", PAGE, re.DOTALL)


def test_every_split_rule_has_an_example() -> None:
    rules = {rule["by"] for manifest, _, _ in EXAMPLES for rule in yaml.safe_load(manifest).get("splits", [])}
    assert rules == {"path", "groups", "lists", "marked_lists", "csv"}
    assert len(EXAMPLES) == PAGE.count("```yaml")
    keys = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert keys == {"expected", *(f.name for f in fields(Manifest) if not f.name.startswith("expected_"))}


@pytest.mark.parametrize(("manifest", "files", "output"), EXAMPLES, ids=lambda text: text.split("\n")[0])
def test_the_examples_on_the_page_print_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: str, files: str, output: str
) -> None:
    """Each line of a tree is a file, with its content after a colon: lines separated by commas."""
    monkeypatch.chdir(tmp_path)
    for line in files.splitlines():
        name, _, content = line.partition(": ")
        write(Path("videos") / name, "\n".join(content.split(", ")))
    write(Path("mine.yaml"), manifest)
    listed = CliRunner().invoke(
        main, ["list", "--manifest", "mine.yaml", "--root", "videos", "--no-contents"]
    )
    assert (listed.exit_code, listed.output.strip()) == (0, output)
