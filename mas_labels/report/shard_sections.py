"""Sections of the page about a set of shards, one function each; they return HTML."""

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
from mas_labels.report.page import html_table, picture, thumbnails, tile
from mas_labels.report.summary import FAILURES_SHOWN, MOTION_EDGES, Summary
from mas_labels.schema import COLUMNS, LABEL_NAMES, PATTERNS
from mas_labels.shards.selection import spread_evenly
from mas_labels.shards.shard_set import ShardSet
from mas_labels.system.amounts import format_bytes

PICTURES: Final = 3
"""Number of clips whose whole picture is on the page."""
MAX_OPEN_CLASSES: Final = 12
"""Maximum number of classes whose list is open at first."""

STATISTIC_MEANINGS: Final = {
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


def page_title(shards: ShardSet) -> str:
    """Return the page's title, plain text."""
    chosen = spread_evenly(len(shards.paths), 20, ends=False).tolist()
    names = {str(shard.plan.get("manifest")) for _, shard in shards.each_shard(chosen)}
    return f"{'Labels' if shards.has_labels else 'Clips'} of {printable(', '.join(sorted(names)))}"


def overview_section(title: str, shards: ShardSet, summary: Summary) -> str:
    """Return the title and the most important numbers."""
    of_plan = f" of {summary.planned:,}" if summary.planned > len(shards.paths) else ""
    failed = sum(summary.failures.values())
    tiles = [
        tile(f"{summary.classes.total():,}", "videos with clips"),
        tile(f"{len(shards):,}", f"clips of {shards.geometry.clip_frames} frames"),
        tile(f"{len(shards.views):,}", "labelled views per clip"),
        tile(f"{failed:,}", "videos that failed", bad=failed > 0),
        tile(f"{len(shards.paths):,}{of_plan}", "shards", bad=bool(of_plan)),
        tile(format_bytes(summary.bytes), "on disk"),
    ]
    if summary.cut is not None:
        tiles.append(tile(f"{summary.cut:,}", "clips across a shot cut", bad=summary.cut > 0))
    if summary.motionless is not None:
        tiles.append(tile(f"{summary.motionless:,}", "clips without any motion"))
    options = f"{shards.config.get('flow')} flow, convention {shards.config.get('convention')}"
    if not shards.has_labels:
        options = "frames only: no flow, no labels"
    return (
        f'<h1>{html.escape(title)}</h1><p class="soft">{html.escape(options)}</p>'
        f'<div class="tiles">{"".join(tiles)}</div>'
    )


def failures_section(summary: Summary) -> str:
    """Return the failures by reason, and the first of them by video."""
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
        f"<h2>Failures</h2>{html_table(('stage', 'reason', 'videos'), rows)}"
        f"<details><summary>The videos ({shown})</summary>"
        f"{html_table(('video', 'reason', 'message'), listed)}</details>"
    )


def motion_section(shards: ShardSet, summary: Summary) -> str:
    """Return the distribution of motion, the clips with most motion, and those without any."""
    if summary.motionless is None or not len(shards):
        return ""
    chart = histogram_chart(
        summary.motion.tolist(), MOTION_EDGES, "clips by mean magnitude of motion boundaries"
    )
    parts = [
        "<h2>Motion</h2><p>Clips by the mean magnitude of their fields' motion boundaries, in pixels; the "
        f"outer bars hold all values beyond.</p><figure class='card narrow'>{chart}</figure>",
        "<h3>Most motion</h3>",
        _clip_thumbnails(shards, [clip for _, clip in summary.liveliest]),
        f"<h3>No motion at all: {summary.motionless:,} clips</h3>",
        _clip_thumbnails(shards, summary.motionless_clips),
    ]
    return "".join(parts)


def cuts_section(shards: ShardSet, summary: Summary) -> str:
    """Return the number of clips across a shot cut, and the first of them."""
    if summary.cut is None:
        return ""
    others = f"; {summary.skipped_clips:,} were left out" if summary.skipped_clips else ""
    if summary.cut_unknown:
        others += f"; of {summary.cut_unknown:,} an earlier mas-labels did not record it"
    return (
        f"<h2>Shot cuts</h2><p>{summary.cut:,} clips lie across a shot cut{others}. The labels of such a "
        f"clip describe no motion.</p>{_clip_thumbnails(shards, summary.cut_clips)}"
    )


def dark_bars_section(shards: ShardSet, summary: Summary) -> str:
    """Return the letterboxed clips, and the rule that finds them."""
    if not len(shards):
        return ""
    of_all = "all" if summary.searched == len(shards) else f"{summary.searched:,} of {len(shards):,}"
    return (
        f"<h2>Dark bars</h2><p>{summary.letterboxed:,} clips are letterboxed ({of_all} clips were searched). "
        f"{html.escape(RULE)}</p>{_clip_thumbnails(shards, summary.letterboxed_clips)}"
    )


def _clip_thumbnails(shards: ShardSet, indices: Sequence[int]) -> str:
    """Return thumbnails of whole frames, one per clip."""
    items = []
    for index in indices:
        clip = shards[index]
        name = f"{printable(clip.video)} from frame {clip.start_frame}"
        items.append((clip_thumbnail(shards, index), f"clip {index}", name))
    return thumbnails(items, large=True) if items else ""


def labels_section(shards: ShardSet, summary: Summary) -> str:
    """Return the distributions of the 27 labels, each with one example clip per value."""
    if not shards.has_labels:
        return "<h2>Labels</h2><p>These shards hold frames only.</p>"
    if not len(shards):
        return "<h2>Labels</h2><p>There are no clips.</p>"
    groups = [(p, [name for name in LABEL_NAMES if name.startswith(f"{p}_")]) for p in PATTERNS]
    groups.append(("global", [name for name in LABEL_NAMES if "_" not in name]))
    parts = [
        f"<h3>{title}</h3><div class='charts'>{''.join(_label_card(shards, summary, n) for n in names)}</div>"
        for title, names in groups
    ]
    return (
        f"<h2>The 27 labels</h2><p>Share of each value over all {len(shards.views)} views of all "
        f"{len(shards):,} clips. Dashed: equal shares. Hover over a bar for its share; open the examples for "
        f"one clip per value, as the centre view sees it.</p>{''.join(parts)}"
    )


def _label_card(shards: ShardSet, summary: Summary, name: str) -> str:
    """Return the distribution of one label with its examples."""
    shares = summary.counts.shares(name)
    meaning = STATISTIC_MEANINGS[name.rpartition("_")[2]]
    top = max(shares, key=lambda value: shares[value])
    return (
        f'<figure class="card"><figcaption><code>{name}</code> {meaning}<br>'
        f"most often {_describe_value(shards, name, top)} ({shares[top]:.0%})</figcaption>"
        f"{bar_chart(shares, f'{name}: {meaning}')}{_examples(shards, summary, name)}</figure>"
    )


def _examples(shards: ShardSet, summary: Summary, name: str) -> str:
    """Return one thumbnail per value that occurs in the centre views."""
    items = []
    for value, index in summary.examples.of(name).items():
        clip = shards[index]
        source = f"{printable(clip.video)} from frame {clip.start_frame} (clip {index})"
        items.append((label_thumbnail(shards, index, name), _describe_value(shards, name, value), source))
    return f"<details><summary>Examples</summary>{thumbnails(items)}</details>"


def _describe_value(shards: ShardSet, name: str, value: int) -> str:
    """Return a value as text, with the name of its colour if it is one."""
    if name.rpartition("_")[2] not in ("cd", "cs", "C"):
        return str(value)
    return f"{value} {OCTANT_NAMES[octant_of(value, get_convention(shards.config['convention']))]}"


def clips_section(shards: ShardSet, summary: Summary) -> str:
    """Return the whole pictures of a few clips, spread evenly."""
    if not shards.has_labels or not len(shards):
        return ""
    shown = [
        picture(figure_png(clip_figure(clip, 0, summary.counts), dpi=90), f"clip {clip.index}")
        for clip in (shards[place] for place in spread_evenly(len(shards), PICTURES, ends=False))
    ]
    return f"<h2>Clips</h2><p>Spread evenly over all clips, as the centre view sees them.</p>{''.join(shown)}"


def classes_section(summary: Summary) -> str:
    """Return the number of videos by class."""
    rows = sorted(summary.classes.items(), key=lambda item: item[0].lower())
    return (
        f"<h2>Classes</h2><details {'open' if len(rows) <= MAX_OPEN_CLASSES else ''}>"
        f"<summary>{len(rows)} classes</summary>{html_table(('class', 'videos'), rows)}</details>"
    )


def storage_section(shards: ShardSet, summary: Summary) -> str:
    """Return the sizes of the parts of shards, the duration of the videos, and the dates of the files."""
    meanings = {column.path: column.meaning for column in COLUMNS}
    rows = [
        (path, format_bytes(size), f"{size / max(1, summary.bytes):.1%}", meanings[path])
        for path, size in summary.parts.most_common(8)
    ]
    first, last = (datetime.fromtimestamp(time, UTC) for time in summary.finished)
    clip_bytes = format_bytes(round(summary.bytes / max(1, len(shards))))
    text = (
        f"{format_bytes(summary.bytes)} in all, {clip_bytes} per clip. {summary.frames:,} frames were "
        f"decoded, which play for {summary.seconds / 3600:.2f} hours. The files were written between "
        f"{first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M} UTC, by the dates of the files "
        "(the shards themselves hold no clock)."
    )
    heads = ("data set", "size", "share", "meaning")
    return f"<h2>Bytes and time</h2><p>{text}</p>{html_table(heads, rows)}"


def configuration_section(shards: ShardSet, summary: Summary) -> str:
    """Return the options and the versions that the shards were made with."""
    options: list[tuple[str, Any]] = [(n, printable(str(v))) for n, v in sorted(shards.config.items())]
    versions = [(printable(n), printable(str(v))) for n, v in sorted(summary.versions.items())]
    return (
        f'<h2>Configuration</h2><div class="wide"><div>{html_table(("option", "value"), options)}</div>'
        f"<div>{html_table(('made with', 'version'), versions)}</div></div>"
    )
