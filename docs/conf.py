"""Sphinx' configuration: `make docs` builds the pages into docs/_build, offline, warnings are errors."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))

from mas_labels.version import __version__  # noqa: E402

project = "mas-video"
author = "the authors of mas-video"
release = __version__
html_title = f"mas-video {release}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_math_renderer = "mathml"

default_role = "py:obj"  # a word in backticks is a link if it is a name
suppress_warnings = ["ref.python"]  # ... and some names, such as `rows`, are ambiguous
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_rtype = False


def math_as_mathml(translator: Any, node: nodes.Element) -> None:
    """Write an equation as MathML, which browsers draw without a script, a font or a network."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def shorten_types(
    app: Any, what: str, name: str, item: Any, options: Any, arguments: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write types of arrays as the source does: ``NDArray[uint8]``."""

    def short(text: str | None) -> str | None:
        return text and re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(.*?)\]\]", r"NDArray[\1]", text)

    return short(arguments), short(returned)


def copy_benchmarks() -> None:
    """Copy the pages of benchmarks/, which lie next to the programs that write them, into the source."""
    out = DOCS / "benchmarks"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    for page in (ROOT / "benchmarks").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        title = "" if text.startswith("# ") else f"# {page.stem.replace('_', ' ')}\n\n"
        (out / page.name).write_text(title + text, encoding="utf-8")


def setup(app: Any) -> None:
    """Register the above with Sphinx."""
    app.add_html_math_renderer("mathml", (math_as_mathml, None), (math_as_mathml, None))
    app.connect("autodoc-process-signature", shorten_types)
    copy_benchmarks()
