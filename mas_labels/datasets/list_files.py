"""Reads list files in any encoding, and the names in their lines."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from pathlib import Path

from mas_labels.datasets.folder import split_extension
from mas_labels.errors import DatasetError
from mas_labels.names import VIDEO_EXTENSIONS


def read_text(path: Path) -> str:
    """Return the text of a list file without its byte order mark.

    UTF-16 is recognised by its mark or by zero bytes; bytes that are not UTF-8 become surrogate escapes.

    Raises
    ------
    DatasetError
        The file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"expected a readable list file at {path}, found: {error.strerror}") from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:2]:
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", "replace")
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list file, without empty ones.

    Raises
    ------
    DatasetError
        The file cannot be read.
    """
    # not splitlines(): it also cuts at characters that may occur in a name
    return [line.strip(" \t") for line in re.split("[\r\n]", read_text(path)) if line.strip()]


def separator_of(table: str) -> str:
    """Return what separates a table's columns: the commonest of comma, semicolon and tab in its header."""
    return max(",;\t", key=table.partition("\n")[0].count)


def unquote(name: str) -> str:
    """Return a name without the quotes around it."""
    return name[1:-1] if len(name) > 2 and name[0] == name[-1] and name[0] in "\"'" else name


def split_number(line: str) -> tuple[str, str] | None:
    """Split a line into the text before its last number, and the number; None if it ends in no number."""
    found = re.fullmatch(r"(.+?)[ \t,;]+(\d+)", line)
    return (found[1], found[2]) if found else None


def names_in_line(line: str, extensions: Collection[str]) -> list[str]:
    """Return the names that a line of a list may mean, the likeliest first; names may contain spaces.

    Numbers after the name, such as the number of the class, are ignored: the class comes from the path. So is
    text after an extension.

    >>> names_in_line("Yo Yo/v 1.avi 3", (".avi",)), names_in_line("Yo Yo/v 1 3", (".avi",))
    (['Yo Yo/v 1.avi'], ['Yo Yo/v 1 3', 'Yo Yo/v 1', 'Yo Yo/v'])
    >>> names_in_line("Yo Yo/v 1.avi Yo", (".avi",))
    ['Yo Yo/v 1.avi Yo', 'Yo Yo/v 1.avi']
    """
    names = [line]
    while numbered := split_number(names[-1]):
        names.append(numbered[0])
    known = (*extensions, *VIDEO_EXTENSIONS)
    names = [unquote(name) for name in names]
    if found := [name for name in names if split_extension(name)[1] in known]:
        return found[:1]
    ends = "|".join(map(re.escape, known))
    before_text = re.match(rf"(.+?(?:{ends})[\"']?)[ \t,;|]", line, re.IGNORECASE)
    return [*names, unquote(before_text[1])] if before_text else names
