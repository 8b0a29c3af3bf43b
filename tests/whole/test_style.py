"""Limits for readable code: docstrings, lengths of files, modules per folder, unique class names."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[2]
FILES = [path for package in ("mas_labels", "mas_train") for path in sorted((ROOT / package).rglob("*.py"))]
TREES = {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
RIDDLES = re.compile(r"(What|How|Whether|Which|Where|Who|Whose|That)\b")
"""Beginnings of a docstring that do not say what a thing is or does."""
MAX_LINES = 300
MAX_TEST_LINES = 330
MAX_MODULES = 16


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield the docstrings of a module and of its classes, functions, constants and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


@pytest.mark.parametrize("file", TREES)
def test_docstrings_say_what_a_thing_is_or_does(file: str) -> None:
    assert ast.get_docstring(TREES[file]), "a module without a docstring"
    assert [text for text in docstrings(TREES[file]) if RIDDLES.match(text)] == []


def test_files_and_folders_are_short() -> None:
    tests = sorted((ROOT / "tests").rglob("*.py"))
    for files, most in ((FILES, MAX_LINES), (tests, MAX_TEST_LINES)):
        lines = {
            str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files
        }
        assert {file: count for file, count in lines.items() if count > most} == {}
    modules = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert {str(folder): count for folder, count in modules.items() if count > MAX_MODULES} == {}


def test_no_two_classes_share_a_name() -> None:
    nodes = (node for tree in TREES.values() for node in ast.walk(tree))
    names = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_two_files_of_tests_share_a_name() -> None:
    """Folders of tests are no packages, so that pytest refuses two files of one name in one run."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_examples_may_take_any_time() -> None:
    """On a slow machine, such as an emulated one, a test must not fail for its time."""
    assert settings().deadline is None


@pytest.mark.parametrize("kernel", ["tvl1", "labels", "resize", "checksum", "common"])
def test_kernels_use_no_templates_of_the_standard_library(kernel: str) -> None:
    """Of these the linker keeps one copy, perhaps for instructions that the processor lacks; see array.h."""
    folder = ROOT / "mas_labels" / "native" / kernel
    files = [file for file in folder.iterdir() if "binding" not in file.name]
    used = {name for file in files for name in re.findall(r"std::(\w+)", file.read_text())}
    assert files and used <= {"memcpy", "memset", "memmove", "calloc", "free", "bad_alloc", "sqrt"}
