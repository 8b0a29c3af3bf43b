"""Building blocks of a self-contained HTML page: style, tables, tiles, embedded pictures."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light dark; --paper: #fbfbf9; --card: #fff; --ink: #1c1e21; --soft: #5d646d;
  --line: #dcdfe3; --blue: #2563a8; --red: #b3362a; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --card: #1d2024; --ink: #e6e8ea;
  --soft: #9aa3ad; --line: #343a41; --blue: #74aaf0; --red: #f08a7d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 28px 20px 60px;
  background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 42px 0 6px; }
h3 { font-size: 1rem; margin: 22px 0 8px; }
p { margin: 4px 0 12px; max-width: 75ch; }
.soft, figcaption, th { color: var(--soft); }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .92em; }
.tiles, .charts, .wide { display: grid; gap: 12px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); margin-top: 22px; }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 225px), 1fr)); align-items: start; }
.wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px;
  margin: 0; }
.tiles b { display: block; font-size: 1.55rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.bad b { color: var(--red); }
figcaption { font-size: .84rem; line-height: 1.35; margin-bottom: 8px; }
figcaption code { color: var(--ink); font-weight: 600; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 11.5px; }
.bar { fill: var(--blue); } .even { stroke: var(--red); stroke-width: 1.3; stroke-dasharray: 5 4; }
.level { stroke: var(--soft); stroke-width: 1.3; stroke-dasharray: 1.5 4; }
.grid { stroke: var(--line); } .curve { fill: none; stroke: var(--blue); stroke-width: 2.2; }
.dot { fill: var(--blue); } .ring { fill: var(--card); stroke: var(--ink); stroke-width: 1.4; }
.narrow { max-width: 560px; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; margin: 12px 0;
  background: #fff; }
.scroll img { display: block; width: 100%; min-width: 860px; }
.thumbs { display: grid; grid-template-columns: repeat(auto-fill, minmax(62px, 1fr)); gap: 6px;
  margin: 6px 0; }
.thumbs.large { grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: 10px; }
.thumbs figure { margin: 0; min-width: 0; } .thumbs img { display: block; width: 100%; border-radius: 4px; }
.thumbs figcaption { margin: 2px 0 0; font-size: .74rem; overflow-wrap: anywhere; }
.card details summary { font-size: .84rem; margin: 6px 0 0; color: var(--soft); }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td { overflow-wrap: anywhere; } summary { cursor: pointer; margin: 8px 0; }
@media (max-width: 560px) { body { padding: 20px 14px 40px; } .card { padding: 10px 11px; }
  .charts { grid-template-columns: 1fr 1fr; gap: 9px; } .charts svg text { font-size: 17px; }
  .wide svg text, .narrow svg text { font-size: 15px; } }
@media print { body { max-width: none; } .card, .scroll { break-inside: avoid; } }
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content security policy: a browser loads nothing but the page itself."""


def page(title: str, sections: Iterable[str]) -> str:
    """Return a whole page; `title` is plain text, the sections are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body></html>\n"
    )


def html_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table of texts and whole numbers; columns of numbers are aligned to the right."""
    body = "".join(f"<tr>{''.join(_cell('td', value, value) for value in row)}</tr>" for row in rows)
    likes = rows[0] if rows else heads
    head = "".join(_cell("th", name, like) for name, like in zip(heads, likes, strict=True))
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(tag: str, value: object, like: object) -> str:
    """Return one cell, aligned as a cell with the value `like` is."""
    text = f"{value:,}" if isinstance(value, int) else html.escape(str(value))
    return f'<{tag} class="number">{text}</{tag}>' if isinstance(like, int) else f"<{tag}>{text}</{tag}>"


def tile(number: str, caption: str, bad: bool = False) -> str:
    """Return a tile with one number and its caption, in red if it is bad."""
    kind = "card bad" if bad else "card"
    below = f'<span class="soft">{html.escape(caption)}</span>'
    return f'<div class="{kind}"><b>{html.escape(number)}</b>{below}</div>'


def picture(png: bytes, description: str) -> str:
    """Return an embedded picture; on a narrow screen it scrolls sideways."""
    return f'<div class="scroll">{_image(png, "png", description)}</div>'


def thumbnails(items: Iterable[tuple[bytes, str, str]], large: bool = False) -> str:
    """Return rows of small pictures; each item is a JPEG, its caption, its description."""
    figures = "".join(
        f"<figure>{_image(data, 'jpeg', description)}<figcaption>{html.escape(caption)}</figcaption></figure>"
        for data, caption, description in items
    )
    return f'<div class="thumbs{" large" if large else ""}">{figures}</div>'


def _image(data: bytes, kind: str, description: str) -> str:
    """Return an image element that holds its data; `kind` is ``"png"`` or ``"jpeg"``."""
    text, shown = base64.b64encode(data).decode("ascii"), html.escape(description)
    return f'<img src="data:image/{kind};base64,{text}" alt="{shown}" title="{shown}">'
