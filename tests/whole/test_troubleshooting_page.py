"""docs/troubleshooting.md has an entry for every error code, and quotes messages that the code still has."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from mas_labels.system import command_line, signals

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
FILES = [
    ROOT / "setup.py",
    *(path for name in ("mas_labels", "mas_train") for path in ROOT.glob(f"{name}/**/*.py")),
]
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith(("| code |", "| message |", "| status |"))
]
STATUSES = [row for row in ROWS if row[0][0].isdigit()]
CODES = [row for row in ROWS if len(row) == 3]
MESSAGES = [row[-2] for row in ROWS if row not in STATUSES]
QUOTES = [quote or other for cell in MESSAGES for quote, other in re.findall(r"`` (.*?) ``|`([^`]+)`", cell)]


@cache
def nodes() -> list[ast.AST]:
    return [node for path in FILES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]


def text_of(node: ast.AST) -> str:
    """A string with ``...`` for what is filled in, as the page quotes it; of other nodes nothing."""
    if isinstance(node, ast.JoinedStr):
        return re.sub(r"(\.{3})+", "...", "".join(text_of(part) or "..." for part in node.values))
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return re.sub(r"\{\w+\}", "...", node.value) if is_text else ""


@cache
def all_texts() -> str:
    return "\0".join(filter(None, map(text_of, nodes())))


def test_every_code_of_a_failure_has_an_entry_and_no_other():
    """Codes are the second arguments of `VideoError`, as they stand or by the name of a constant."""
    assigned = [
        node for node in nodes() if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    constants = {
        node.target.id: text_of(node.value) for node in assigned if node.value and text_of(node.value)
    }
    calls = [node for node in nodes() if isinstance(node, ast.Call) and len(node.args) > 1]
    made = [node for node in calls if getattr(node.func, "id", "") in ("VideoError", "computing_error")]
    codes = {text_of(node.args[1]) or constants.get(getattr(node.args[1], "id", "")) for node in made} - {
        None
    }
    assert len(codes) > 25
    assert {code for row in CODES for code in re.findall(r"`(\w+)`", row[0])} == codes


def test_every_exit_status_has_an_entry_and_no_other():
    values = {value for name, value in vars(command_line).items() if name.startswith("EXIT_")}
    stopped = {signals.EXIT_SIGNAL + number for number in signals.SIGNALS}
    expected = {0, 2, *stopped, *values} - {signals.EXIT_SIGNAL}
    assert {int(number) for row in STATUSES for number in row[0].split(", ")} == expected


def test_every_class_of_errors_has_an_entry():
    classes = [node for node in nodes() if isinstance(node, ast.ClassDef)]
    names, before = {"MasError", "IncompleteWarning"}, set()
    while names != before:
        before = set(names)
        names |= {node.name for node in classes if before & {getattr(base, "id", "") for base in node.bases}}
    assert len(names) > 15
    assert {name for name in names if f"`{name}`" not in TEXT} == set()


@pytest.mark.parametrize("quote", QUOTES)
def test_the_code_has_every_message_that_is_quoted(quote):
    fixed = re.sub(r"^[. ]*|[. ]*$", "", quote)  # at its ends anything may stand
    assert len(fixed) > 10
    assert all_texts().count(fixed) > 0
