"""What the page says of a set of shards, a function a section; each returns HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from mas_labels.inspect.clip_picture import clip_figure
from mas_labels.inspect.pattern_panels import OCTANT_NAMES, octant_of
from mas_labels.inspect.picture import figure_png
from mas_labels.labels.conventions import get_convention
from mas_labels.names import printable
from mas_labels.report.charts import bar_chart, histogram_chart
from mas_labels.report.examples import clip_thumbnail, label_thumbnail
from mas_labels.report.letterbox import RULE
from mas_labels.report.page import picture, table, thumbnails, tile
from mas_labels.report.summary import FAILURES_SHOWN, MOTION_EDGES, Summary
from mas_labels.schema import COLUMNS, LABEL_NAMES, PATTERNS
from mas_labels.shards.selection import spread_evenly
from mas_labels.shards.shard_set import ShardSet

PICTURES: Final = 3
"""Clips whose whole picture is on the page."""
CLASSES_OPEN: Final = 12
"""Most classes that are listed without being asked."""

MEANINGS: Final = {
    "ul": "block of largest Mu",
    "uo": "its orientation",
    "vl": "block of largest Mv",
    "vo": "its orientation",
    "ui": "field of largest boundary of u",
    "vi": "field of largest boundary of v",
    "pd": "block of most colour diversity",
    "cd": "its dominant colour",
    "ps": "block of least colour diversity",
    "cs": "its dominant colour",
    "C": "dominant colour of the view",
}


def title_of(shards: ShardSet) -> str:
    """Return the page's title, plain text."""
    chosen = spread_evenly(len(shards.paths), 20, ends=False).tolist()
    names = {str(shard.plan.get("manifest")) for _, shard in shards.each_shard(chosen)}
    return f"{'Labels' if shards.has_labels else 'Clips'} of {printable(', '.join(sorted(names)))}"


def head(title: str, shards: ShardSet, summary: Summary) -> str:
    """Return the title and the numbers that matter most."""
    of_plan = f" of {summary.planned:,}" if summary.planned > len(shards.paths) else ""
    failed = sum(summary.failures.values())
    tiles = [
        tile(f"{summary.classes.total():,}", "videos with clips"),
        tile(f"{len(shards):,}", "clips of 16 frames"),
        tile(f"{len(shards.views):,}", "labelled views a clip"),
        tile(f"{failed:,}", "videos that failed", bad=failed > 0),
        tile(f"{len(shards.paths):,}{of_plan}", "shards", bad=bool(of_plan)),
        tile(size_text(summary.bytes), "on disk"),
    ]
    if summary.motionless is not None:
        tiles.append(tile(f"{summary.motionless:,}", "clips without any motion"))
    options = f"{shards.config.get('flow')} flow, convention {shards.config.get('convention')}"
    if not shards.has_labels:
        options = "frames only: no flow, no labels"
    return (
        f'<h1>{html.escape(title)}</h1><p class="soft">{html.escape(options)}</p>'
        f'<div class="tiles">{"".join(tiles)}</div>'
    )


def size_text(count: int) -> str:
    """Return a number of bytes for people."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def failures(summary: Summary) -> str:
    """Return the failures by reason, and the first of them by name."""
    if not summary.failures:
        return "<h2>Failures</h2><p>None: every video was used.</p>"
    rows = [(stage, code, count) for (stage, code), count in summary.failures.most_common()]
    listed = [
        (printable(f.video), f"{printable(f.stage)}: {printable(f.code)}", printable(f.message))
        for f in summary.first_failures
    ]
    count = summary.failures.total()
    shown = f"all {count}" if count <= FAILURES_SHOWN else f"{FAILURES_SHOWN} of {count:,}"
    return (
        f"<h2>Failures</h2>{table(('stage', 'reason', 'videos'), rows)}"
        f"<details><summary>The videos ({shown})</summary>"
        f"{table(('video', 'reason', 'message'), listed)}</details>"
    )


def motion(shards: ShardSet, summary: Summary) -> str:
    """Return the distribution of motion, the liveliest and the motionless clips."""
    if summary.motionless is None or not len(shards):
        return ""
    chart = histogram_chart(
        summary.motion.tolist(), MOTION_EDGES, "clips by mean magnitude of motion boundaries"
    )
    parts = [
        "<h2>Motion</h2><p>Clips by the mean magnitude of their fields' motion boundaries, in pixels; the "
        f"outer bars hold all beyond.</p><figure class='card narrow'>{chart}</figure>",
        "<h3>Most motion</h3>",
        _clips(shards, [clip for _, clip in summary.liveliest]),
        f"<h3>No motion at all: {summary.motionless:,} clips</h3>",
        _clips(shards, summary.motionless_clips),
    ]
    return "".join(parts)


def letterboxes(shards: ShardSet, summary: Summary) -> str:
    """Return the clips with dark bars, and the rule that finds them."""
    if not len(shards):
        return ""
    of_all = "all" if summary.searched == len(shards) else f"{summary.searched:,} of {len(shards):,}"
    return (
        f"<h2>Dark bars</h2><p>{summary.letterboxed:,} clips are letterboxed ({of_all} clips were searched). "
        f"{html.escape(RULE)}</p>{_clips(shards, summary.letterboxed_clips)}"
    )


def _clips(shards: ShardSet, indices: Sequence[int]) -> str:
    """Return thumbnails of whole frames."""
    items = []
    for index in indices:
        clip = shards[index]
        name = f"{printable(clip.video)} from frame {clip.start_frame}"
        items.append((clip_thumbnail(shards, index), f"clip {index}", name))
    return thumbnails(items, large=True) if items else ""


def distributions(shards: ShardSet, summary: Summary) -> str:
    """Return the 27 distributions, each with a clip for every value."""
    if not shards.has_labels:
        return "<h2>Labels</h2><p>These shards hold frames only.</p>"
    if not len(shards):
        return "<h2>Labels</h2><p>There are no clips.</p>"
    groups = [(p, [name for name in LABEL_NAMES if name.startswith(f"{p}_")]) for p in PATTERNS]
    groups.append(("global", [name for name in LABEL_NAMES if "_" not in name]))
    parts = [
        f"<h3>{title}</h3><div class='charts'>{''.join(_label(shards, summary, n) for n in names)}</div>"
        for title, names in groups
    ]
    return (
        f"<h2>The 27 labels</h2><p>Share of each value over all {len(shards.views)} views of all "
        f"{len(shards):,} clips. Dashed: equal shares. Point at a bar for its number; open the examples for "
        f"a clip of each value, as the centre view sees it.</p>{''.join(parts)}"
    )


def _label(shards: ShardSet, summary: Summary, name: str) -> str:
    shares = summary.counts.shares(name)
    words = MEANINGS[name.rpartition("_")[2]]
    top = max(shares, key=lambda value: shares[value])
    return (
        f'<figure class="card"><figcaption><code>{name}</code> {words}<br>'
        f"most often {_value_words(shards, name, top)} ({shares[top]:.0%})</figcaption>"
        f"{bar_chart(shares, f'{name}: {words}')}{_examples(shards, summary, name)}</figure>"
    )


def _examples(shards: ShardSet, summary: Summary, name: str) -> str:
    """Return a thumbnail for each value that the centre view of a clip has."""
    items = []
    for value, index in summary.examples.of(name).items():
        clip = shards[index]
        where = f"{printable(clip.video)} from frame {clip.start_frame} (clip {index})"
        items.append((label_thumbnail(shards, index, name), _value_words(shards, name, value), where))
    return f"<details><summary>Examples</summary>{thumbnails(items)}</details>"


def _value_words(shards: ShardSet, name: str, value: int) -> str:
    """Return a value, with the colour's name if it is a colour."""
    if name.rpartition("_")[2] not in ("cd", "cs", "C"):
        return str(value)
    return f"{value} {OCTANT_NAMES[octant_of(value, get_convention(shards.config['convention']))]}"


def pictures(shards: ShardSet, summary: Summary) -> str:
    """Return the whole pictures of a few clips."""
    if not shards.has_labels or not len(shards):
        return ""
    shown = [
        picture(figure_png(clip_figure(clip, 0, summary.counts), dpi=90), f"clip {clip.index}")
        for clip in (shards[place] for place in spread_evenly(len(shards), PICTURES, ends=False))
    ]
    return f"<h2>Clips</h2><p>Evenly picked, as the centre view sees them.</p>{''.join(shown)}"


def classes(summary: Summary) -> str:
    """Return the videos by class."""
    rows = sorted(summary.classes.items(), key=lambda item: item[0].lower())
    return (
        f"<h2>Classes</h2><details {'open' if len(rows) <= CLASSES_OPEN else ''}>"
        f"<summary>{len(rows)} classes</summary>{table(('class', 'videos'), rows)}</details>"
    )


def bytes_and_time(shards: ShardSet, summary: Summary) -> str:
    """Return what takes the bytes, how long the videos play, and when the files were written."""
    meanings = {column.path: column.meaning for column in COLUMNS}
    rows = [
        (path, size_text(size), f"{size / max(1, summary.bytes):.1%}", meanings[path])
        for path, size in summary.parts.most_common(8)
    ]
    first, last = (datetime.fromtimestamp(time, UTC) for time in summary.finished)
    clip_bytes = size_text(round(summary.bytes / max(1, len(shards))))
    words = (
        f"{size_text(summary.bytes)} in all, {clip_bytes} a clip. {summary.frames:,} frames were decoded, "
        f"which play for {summary.seconds / 3600:.2f} hours. The files were written between "
        f"{first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M} UTC, by the dates of the files "
        "(the shards themselves hold no clock)."
    )
    heads = ("data set", "size", "share", "what it is")
    return f"<h2>Bytes and time</h2><p>{words}</p>{table(heads, rows)}"


def configuration(shards: ShardSet, summary: Summary) -> str:
    """Return the options the shards were made with, and the versions of what made them."""
    options: list[tuple[str, Any]] = [(n, printable(str(v))) for n, v in sorted(shards.config.items())]
    versions = [(printable(n), printable(str(v))) for n, v in sorted(summary.versions.items())]
    return (
        f'<h2>Configuration</h2><div class="wide"><div>{table(("option", "value"), options)}</div>'
        f"<div>{table(('made with', 'version'), versions)}</div></div>"
    )
