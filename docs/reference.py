"""Writes the generated parts of commands.md (from `--help`) and of format.md (from the schema).

`make docs-reference` runs it; a test compares the pages with what it would write.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import click

from mas_labels.config import LATER_OPTIONS, LabelConfig
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.schema import ATTRIBUTES, COLUMNS, LABEL_NAMES, Column
from mas_labels.system.options import option_fields, option_texts

DOCS = Path(__file__).parent
BEGIN = "<!-- written by docs/reference.py from here on: run `make docs-reference` -->"
WIDTH = 100


def with_generated_part(page: str, text: str) -> str:
    """Return `page` with all that follows the mark replaced."""
    return page[: page.index(BEGIN)] + f"{BEGIN}\n\n{text.strip()}\n"


def programs() -> Iterator[tuple[str, click.Command]]:
    """Yield the console scripts of setup.cfg and the click command behind each."""
    setup = ConfigParser()
    setup.read(DOCS.parent / "setup.cfg")
    for line in setup["options.entry_points"]["console_scripts"].strip().splitlines():
        name, _, target = line.partition("=")
        module = importlib.import_module(target.strip().partition(":")[0])
        yield name.strip(), module.main if isinstance(module.main, click.Command) else module.command


def command_sections(name: str, command: click.Command, parent: click.Context | None = None) -> Iterator[str]:
    """Yield the help of a command, then that of each sub-command that is not hidden."""
    widths = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, parent, name, **{**command.context_settings, **widths})
    heading = "##" if parent is None else "###"
    yield f"{heading} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for sub_name in command.list_commands(context):
            sub_command = command.get_command(context, sub_name)
            assert sub_command is not None
            if not sub_command.hidden:
                yield from command_sections(sub_name, sub_command, context)


def commands_part() -> str:
    """Return the help of all commands."""
    return "\n".join(section for name, command in programs() for section in command_sections(name, command))


def describe_shape(column: Column) -> str:
    """Return a data set's shape as text, such as ``(clips, views, 27)``."""
    shape = (column.rows.replace(" ", "-"), *map(str, column.row_shape))
    return f"({', '.join(shape)}{',' if len(shape) == 1 else ''})"


def options() -> Iterator[tuple[str, object, str]]:
    """Yield the name, default and meaning of each option; a default that shards leave out says so."""
    meanings, defaults = option_texts(LabelConfig), LabelConfig()
    for name, field in option_fields(LabelConfig).items():
        sentences = [" ".join(meanings[name].split()).replace("``", "`")]
        if field.choices:
            sentences.append(f"One of {', '.join(f'`{json.dumps(choice)}`' for choice in field.choices)}.")
        if field.bounds is not None:
            sentences.append(f"{str(field.bounds).capitalize()}.")
        if name in LATER_OPTIONS:
            sentences.append("Absent at its default.")
        yield name, getattr(defaults, name), " ".join(sentences)


def format_part() -> str:
    """Return the tables of attributes, options, data sets and labels."""
    lines = ["## Attributes of the root", "", "| name | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in ATTRIBUTES.items()]
    lines += ["", "## Members of `config`", "", "| name | default | meaning |", "|---|---|---|"]
    for name, default, meaning in options():
        lines.append(f"| `{name}` | `{json.dumps(default)}` | {meaning} |")
    lines += ["", "## Data sets", ""]
    lines += ["| path | type | shape | meaning |", "|---|---|---|---|"]
    for column in COLUMNS:
        notes = [word for word in ("optional", "compressed") if getattr(column, word)]
        meaning = column.meaning.replace("|", r"\|") + (f" ({', '.join(notes)})" if notes else "")
        lines.append(f"| `{column.path}` | `{column.dtype}` | `{describe_shape(column)}` | {meaning} |")
    lines += ["", "## Columns of `clips/labels`", "", "| column | label | values |", "|---|---|---|"]
    other = Geometry(clip_frames=17, grid_block=56, ring_width=28)
    ranges = zip(LABEL_NAMES, DEFAULT_GEOMETRY.label_max, other.label_max, strict=True)
    for number, (name, largest, elsewhere) in enumerate(ranges):
        by_default = "" if largest == elsewhere else ", by default"
        lines.append(f"| {number} | `{name}` | 1 to {largest}{by_default} |")
    return "\n".join(lines)


PARTS = {"commands.md": commands_part, "format.md": format_part}
"""Function that writes the generated part of each page."""


def fresh_pages() -> Iterator[tuple[Path, str]]:
    """Yield each page's path and its up-to-date content."""
    for name, write in PARTS.items():
        path = DOCS / name
        yield path, with_generated_part(path.read_text(encoding="utf-8"), write())


if __name__ == "__main__":
    for page_path, page_text in fresh_pages():
        page_path.write_text(page_text, encoding="utf-8")
