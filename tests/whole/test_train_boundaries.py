"""The two programs meet in the shard alone: what each may import of the other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED_MODULES = {
    "mas_labels.schema",
    "mas_labels.errors",
    "mas_labels.shards",
    *(f"mas_labels.system.{name}" for name in ("files", "process", "signals", "streams")),
}


def imported_modules(path: Path) -> Iterator[str]:
    """Every module a file imports, at any depth, relative imports resolved."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            # `from mas_labels import shard` names a module last
            yield from (
                f"{module}.{alias.name}" if module in ("mas_labels", "mas_train") else module
                for alias in node.names
            )


def imports_of(package: str, of: str) -> dict[str, set[str]]:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, package
    found = {file.name: {m for m in imported_modules(file) if m.split(".")[0] == of} for file in files}
    return {name: modules for name, modules in found.items() if modules}


def test_mas_train_imports_of_mas_labels_only_the_contract() -> None:
    found = imports_of("mas_train", "mas_labels")
    assert found, "the trainer reads shards, so it must import something"
    assert {
        name: modules - SHARED_MODULES for name, modules in found.items() if modules - SHARED_MODULES
    } == {}


def test_mas_labels_imports_nothing_of_mas_train_nor_torch() -> None:
    assert imports_of("mas_labels", "mas_train") == {}
    assert imports_of("mas_labels", "torch") == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import mas_labels.flow.estimators", {"mas_labels.flow.estimators"}),
        ("from mas_labels import flow", {"mas_labels.flow"}),
        ("def f():\n    from mas_labels.flow.estimators import compute_flow", {"mas_labels.flow.estimators"}),
        ("from . import c3d", {"mas_train.c3d"}),
    ],
)
def test_the_walk_sees_every_kind_of_import(
    source: str, expected: set[str], monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "mas_train" / "module.py"
    file.parent.mkdir()
    file.write_text(source)
    assert set(imported_modules(file)) == expected


@pytest.mark.parametrize("statement", ["import mas_train", "import mas_train.cli.pretrain, mas_train.recipe"])
def test_the_command_line_starts_without_torch(statement: str) -> None:
    code = f"{statement}, sys; sys.exit('torch' in sys.modules or 'h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
