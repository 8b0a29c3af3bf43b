"""The manifests that come with the project, and the refusal of invalid ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mas_labels.cli.main import main
from mas_labels.datasets.manifest import Manifest, load_manifest, packaged_manifests, parse_manifest
from mas_labels.errors import ConfigError


def test_a_name_finds_the_packaged_manifest_and_a_file_wins(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ucf101").mkdir()  # a folder with the name of a data set is not a manifest
    assert load_manifest("ucf101") == load_manifest(packaged_manifests()["ucf101"])
    Path("folder").write_bytes(packaged_manifests()["demo"].read_bytes())
    assert load_manifest("folder").name == "demo"
    for unknown in ("ucf", "ucf101.yaml", "../ucf101"):
        with pytest.raises(ConfigError, match="Known by name: aslan, demo, folder, "):
            load_manifest(unknown)


def test_manifests_are_listed_and_shown() -> None:
    listed = CliRunner().invoke(main, ["recipes"]).output.splitlines()
    assert [line.split()[0] for line in listed] == list(packaged_manifests())
    shown = CliRunner().invoke(main, ["recipes", "--show", "hmdb51"]).output
    assert shown == packaged_manifests()["hmdb51"].read_text(encoding="utf-8")
    unknown = CliRunner().invoke(main, ["recipes", "--show", "hmdb"])
    assert unknown.exit_code == 1 and "choose one of aslan, demo" in unknown.output


@pytest.mark.parametrize("path", packaged_manifests().values(), ids=lambda path: path.stem)
def test_every_manifest_loads_and_has_the_name_of_its_file(path: Path) -> None:
    assert load_manifest(path).name == path.stem


TABLES = {"by": "csv", "files": {"train": "train.csv"}, "class": "label"}
MINIMAL = {"name": "mine", "description": "d", "path": ".+", "extensions": [".AVI"]}


def test_a_minimal_manifest_has_the_defaults() -> None:
    manifest = parse_manifest(MINIMAL)
    assert manifest == Manifest("mine", "d", ".+", (".avi",))
    assert (manifest.videos_per_shard, manifest.store_boundaries, manifest.splits) == (None, True, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pathh": 1}, "unknown key pathh"),
        ({"name": 3}, "`name` must be str, found 3"),
        ({"name": "../escaped"}, "found '../escaped'"),
        ({"splits": [{"by": "lists", "files": {"a/b": "c"}}]}, "found 'a/b'"),
        ({"extensions": []}, "one or more strings"),
        ({"extensions": ["avi"]}, "a dot and letters"),
        ({"path": "("}, "not a regular expression"),
        ({"path": "(?P<clas>.)"}, "named groups of `path`"),
        ({"videos_per_shard": 0}, "1 or more"),
        ({"videos_per_shard": True}, "must be int"),
        ({"splits": [{"by": "magic"}]}, "found 'magic'"),
        ({"splits": [{"by": "lists", "files": {"a": "b"}, "extra": 1}]}, "unknown key extra"),
        ({"splits": [{"by": "lists", "files": {"all": "b"}}]}, "none of them called 'all'"),
        ({"splits": [{"by": "path"}]}, "needs the named group"),
        ({"splits": [{**TABLES, "name": "{video.x}"}]}, "`name` needs columns"),
        ({"splits": [{**TABLES, "name": ["{video}", "{}"]}]}, "`name` needs columns"),
        ({"splits": [{**TABLES, "name": "{video"}]}, "`name`: expected '}'"),
        (
            {"splits": [{"by": "groups", "groups": {"a": "1-"}}], "path": "(?P<group>.)"},
            "group numbers such as",
        ),
    ],
)
def test_an_invalid_manifest_is_refused_with_its_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        parse_manifest({**MINIMAL, **change})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("- a\n- b\n", "expected a mapping of keys"),
        ("a: [", "is not YAML"),
        ("", "expected a mapping of keys"),
        ("name: a\nname: b\n", "stated more than once: name"),
        ("expected: {videos: 1, videos: 2}", "stated more than once: videos"),
        ("name: !!int ''", "is not YAML"),
    ],
)
def test_a_file_that_is_not_a_manifest_is_refused_in_one_line(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"x\.yaml") as refused:
        load_manifest(tmp_path / "x.yaml")
    assert found in str(refused.value) and "\n" not in str(refused.value)


def test_a_missing_manifest_is_refused_with_those_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(MINIMAL))
    with pytest.raises(ConfigError, match=r"other\.yaml"):
        load_manifest(tmp_path / "x.yaml")
