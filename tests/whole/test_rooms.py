"""Imports point one way: from later rooms to earlier ones, and from mas_train to the contract alone."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
rooms = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "rooms.py")))
CONTRACT = {
    "mas_labels.schema",
    "mas_labels.geometry",
    "mas_labels.errors",
    "mas_labels.lazy",
    "mas_labels.version",
    "mas_labels.labels.patterns",
    "mas_labels.shards",
    "mas_labels.stream",
    "mas_labels.system.command_line",
    *(
        f"mas_labels.system.{name}"
        for name in (
            *("extras", "figures", "files", "linux", "options", "path_kinds", "process", "signals"),
            "streams",
            "yaml_text",
        )
    ),
}
"""All that mas_train may import of mas_labels."""


def imports_of(package: str, other: str) -> dict[str, set[str]]:
    """Return what each module of one package imports from another package."""
    found = {
        module: {name for name in names if name.split(".")[0] == other}
        for module, names in rooms.read_imports(ROOT).items()
        if module.split(".")[0] == package
    }
    assert found, package
    return {module: names for module, names in found.items() if names}


def test_no_import_goes_to_a_later_room_and_none_in_a_circle() -> None:
    assert rooms.find_violations(ROOT, rooms.read_rooms(ROOT)) == []


def test_mas_train_imports_of_mas_labels_only_the_contract() -> None:
    found = imports_of("mas_train", "mas_labels")
    assert found, "the trainer reads shards, so it must import something"
    assert {module: names - CONTRACT for module, names in found.items() if names - CONTRACT} == {}


def test_mas_labels_imports_nothing_of_mas_train_nor_torch() -> None:
    assert imports_of("mas_labels", "mas_train") == {}
    assert imports_of("mas_labels", "torch") == {}


def plant(root: Path, files: dict[str, str]) -> list[str]:
    """Write a tree of three rooms with some files changed; return what is wrong with it."""
    rows = ("mas_labels/errors.py", "mas_labels/flow/", "mas_labels/shards/")
    tree = {
        "docs/code.md": "".join(f"| `{path}` | | | |\n" for path in rows),
        "mas_labels/errors.py": "",
        "mas_labels/flow/tvl1.py": "from mas_labels.errors import MasError",
        "mas_labels/shards/reader.py": "import mas_labels.flow.tvl1",
        "mas_labels/shards/clip.py": "from mas_labels.shards import reader",
    }
    folders = {f"{path.rpartition('/')[0]}/__init__.py": "" for path in tree if path.count("/") == 2}
    for path, source in {**tree, **folders, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(source)
    return rooms.find_violations(root, rooms.read_rooms(root))


def test_a_tree_in_order_passes(tmp_path: Path) -> None:
    assert plant(tmp_path, {}) == []


@pytest.mark.parametrize(
    "statement",
    [
        "import mas_labels.shards.reader",
        "from mas_labels.shards import reader",
        "from ..shards.reader import Shard",
        "def f():\n    from mas_labels.shards.reader import Shard",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mas_labels.shards.reader import Shard",
    ],
)
def test_an_import_from_a_later_room_is_found(tmp_path: Path, statement: str) -> None:
    found = plant(tmp_path, {"mas_labels/flow/files.py": statement})
    assert found == ["mas_labels.flow.files imports mas_labels.shards.reader, of a later room"]


def test_a_circle_within_a_room_is_found(tmp_path: Path) -> None:
    found = plant(tmp_path, {"mas_labels/shards/reader.py": "from mas_labels.shards.clip import Clip"})
    circle = "mas_labels.shards.clip -> mas_labels.shards.reader"
    assert found == [f"circle: {circle} -> mas_labels.shards.clip"]


def test_a_room_that_the_guide_does_not_name_is_found(tmp_path: Path) -> None:
    found = plant(tmp_path, {"mas_labels/cellar/__init__.py": ""})
    assert found == ["mas_labels.cellar: in no row of docs/code.md"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import mas_labels.flow.estimators", {"mas_labels.flow.estimators"}),
        ("from mas_labels import flow", {"mas_labels.flow"}),
        ("def f():\n    from mas_labels.flow.estimators import compute_flow", {"mas_labels.flow.estimators"}),
        ("from . import c3d", {"mas_train.c3d"}),
    ],
)
def test_the_walk_sees_every_kind_of_import(source: str, expected: set[str], tmp_path: Path) -> None:
    file = tmp_path / "mas_train" / "module.py"
    file.parent.mkdir()
    file.write_text(source)
    modules = {"mas_labels.flow", "mas_train.c3d"}
    assert set(rooms.imported_modules(file, "mas_train.module", modules)) == expected


@pytest.mark.parametrize("statement", ["import mas_train", "import mas_train.cli.pretrain, mas_train.recipe"])
def test_the_command_line_starts_without_torch(statement: str) -> None:
    code = f"{statement}, sys; sys.exit('torch' in sys.modules or 'h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
