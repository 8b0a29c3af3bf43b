"""Reads the rooms of the two packages: their order from the tables of code.md, their imports from the code.

A room is a folder of a package, or a module that lies directly in it.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = ("mas_labels", "mas_train")
PAGE = "docs/code.md"


class Room(NamedTuple):
    """One row of the tables of code.md.

    Attributes
    ----------
    names
        Dotted names of the rooms of this row, such as ``mas_labels.flow``.
    takes, gives
        Kinds of data that go in and come out.
    """

    names: tuple[str, ...]
    takes: tuple[str, ...]
    gives: tuple[str, ...]


def read_rooms(root: Path = ROOT) -> list[Room]:
    """Read the rows of code.md in their order; a room imports nothing of the rows below its own."""
    rooms = []
    for line in (root / PAGE).read_text(encoding="utf-8").splitlines():
        if line.startswith("| `mas_"):
            paths, takes, gives, _ = (cell.strip() for cell in line.strip("|").split("|"))
            names = [
                path.rstrip("/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                for path in re.findall(r"`([^`]+)`", paths)
            ]
            rooms.append(
                Room(tuple(names), tuple(re.findall(r"\w+", takes)), tuple(re.findall(r"\w+", gives)))
            )
    return rooms


def find_modules(root: Path) -> dict[str, Path]:
    """Find the modules of both packages by their dotted names."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imported_modules(path: Path, module: str, modules: Collection[str]) -> Iterator[str]:
    """Yield what a file imports: at any depth, for type checkers as well, with relative imports resolved.

    Parameters
    ----------
    path, module
        The file and its dotted name.
    modules
        All modules, to distinguish ``from package import module`` from ``from module import name``.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield full if full in modules else source


def read_imports(root: Path) -> dict[str, set[str]]:
    """Return the modules that each module of the two packages imports, others' packages included."""
    modules = find_modules(root)
    return {
        name: {other for other in imported_modules(path, name, modules) if other != name}
        for name, path in modules.items()
    }


def room_of(module: str, modules: Collection[str]) -> str:
    """Return the room that a module lies in: a folder of a package, or the module itself."""
    return next(name for name in (".".join(module.split(".")[:2]), module) if name in modules)


def room_imports(root: Path) -> dict[str, set[str]]:
    """Return the rooms that each room imports from."""
    imports = read_imports(root)
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, others in imports.items():
        room = room_of(module, imports)
        rooms[room] |= {room_of(other, imports) for other in others if other in imports} - {room}
    return dict(rooms)


def find_circle(imports: Mapping[str, Collection[str]]) -> list[str]:
    """Return names of which each imports the next and the last the first; empty if there is no circle."""
    done: set[str] = set()

    def search(path: list[str]) -> list[str]:
        for other in sorted(imports.get(path[-1], ())):
            if other in path:
                return path[path.index(other) :]
            if other not in done and (circle := search([*path, other])):
                return circle
        done.add(path[-1])
        return []

    return next(filter(None, (search([name]) for name in imports if name not in done)), [])


def find_violations(root: Path, rooms: list[Room]) -> list[str]:
    """Describe every import from a later room, every circle, and every room that no row names."""
    imports = read_imports(root)
    order = {name: place for place, name in enumerate(itertools.chain(*(room.names for room in rooms)))}
    found = [
        f"{room}: in no row of {PAGE}"
        for room in sorted({room_of(module, imports) for module in imports} - set(order))
    ]
    for module, others in imports.items():
        room = room_of(module, imports)
        for other in sorted(others & set(imports)):
            later = room_of(other, imports)
            if order.get(later, -1) > order.get(room, len(order)):
                found.append(f"{module} imports {other}, of a later room")
    if circle := find_circle({name: others & set(imports) for name, others in imports.items()}):
        found.append("circle: " + " -> ".join([*circle, circle[0]]))
    return found


class Drawing(NamedTuple):
    """All that the picture of the rooms shows; rooms are numbers of rows.

    Attributes
    ----------
    boxes
        Package, names, takes and gives of each row.
    data
        Pairs (from, to): the first gives what the second takes.
    imports
        Pairs (from, to): the first imports the second, without pairs that follow from others, and without
        the first row, which all rooms import.
    """

    boxes: list[tuple[str, str, str, str]]
    data: list[tuple[int, int]]
    imports: list[tuple[int, int]]


def describe(root: Path = ROOT) -> Drawing:
    """Describe the picture of the rooms, from the tables and the real imports."""
    rooms, imports = read_rooms(root), room_imports(root)
    row_of = {name: row for row, room in enumerate(rooms) for name in room.names}
    uses = {
        row: {row_of[other] for name in room.names for other in imports.get(name, ())} - {0, row}
        for row, room in enumerate(rooms)
    }
    reached: dict[int, set[int]] = {}
    for row, others in uses.items():  # a room is described after all that it imports
        reached[row] = others.union(*(reached[other] for other in others))
    direct = {
        row: {o for o in others if not any(o in reached[p] for p in others)} for row, others in uses.items()
    }
    boxes = [
        (
            room.names[0].split(".")[0],
            ", ".join(name.partition(".")[2] or "public names" for name in room.names if "__" not in name),
            ", ".join(room.takes),
            ", ".join(room.gives),
        )
        for room in rooms
    ]
    return Drawing(
        boxes,
        [
            (first, second)
            for (first, giver), (second, taker) in itertools.permutations(enumerate(rooms), 2)
            if set(giver.gives) & set(taker.takes)
        ],
        [(row, other) for row, others in direct.items() for other in sorted(others)],
    )
