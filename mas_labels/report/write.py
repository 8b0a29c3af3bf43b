"""One page about a set of shards, and about a training run on them: a single HTML file that opens offline."""

from __future__ import annotations

import csv
import html
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.folder import printable
from mas_labels.inspect import clip_figure, figure_png
from mas_labels.report.charts import bar_chart, line_chart
from mas_labels.report.page import page, picture, table, tile
from mas_labels.report.summary import Summary, summarise
from mas_labels.schema import LABEL_NAMES, PATTERNS
from mas_labels.shard import Failure, ShardSet

EXAMPLES = 4
"""Clips whose picture is on the page."""
FAILURES_SHOWN = 50
"""Rows of failures that are listed; all of them are counted."""

MEANINGS = {
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


def write_report(shards: ShardSet, out_path: Path, run_dir: Path | None = None) -> None:
    """Write the page.

    Parameters
    ----------
    shards
        The shards, as `mas_labels.open_shards` gives them.
    out_path
        The HTML file; replaced if it exists.
    run_dir
        Folder of a training run, for its curves.

    Raises
    ------
    ConfigError
        The page cannot be written.
    DatasetError
        `run_dir` has no metrics.
    MissingDependencyError
        matplotlib is not installed.
    ShardError
        A shard is damaged.
    """
    curves = _curves(run_dir) if run_dir is not None else ""
    out_path = Path(out_path)
    temporary = out_path.with_name(f".{out_path.name}.tmp")
    try:
        temporary.touch()  # the answer to a wrong place comes before the work
        try:
            temporary.write_text(_text(shards, curves), encoding="utf-8")
            temporary.replace(out_path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write the page {out_path}: {error}. Give a writable place") from error


def _text(shards: ShardSet, curves: str) -> str:
    """Return the whole page."""
    summary = summarise(shards)
    failures = shards.failures
    names = {str(shards.shard(number).plan.get("manifest")) for number in range(len(shards.paths))}
    title = f"{'Labels' if shards.has_labels else 'Clips'} of {printable(', '.join(sorted(names)))}"
    return page(
        title,
        [
            _head(title, shards, summary, len(failures)),
            curves,
            _failures(failures),
            _distributions(shards, summary),
            _examples(shards),
            _videos(summary),
            _configuration(shards, summary),
        ],
    )


def _head(title: str, shards: ShardSet, summary: Summary, failures: int) -> str:
    of_plan = f" of {summary.planned}" if summary.planned > len(shards.paths) else ""
    tiles = [
        tile(f"{sum(summary.videos.values()):,}", "videos with clips"),
        tile(f"{len(shards):,}", "clips of 16 frames"),
        tile(f"{len(shards.views):,}", "labelled views a clip"),
        tile(f"{failures:,}", "videos that failed", bad=failures > 0),
        tile(f"{len(shards.paths):,}{of_plan}", "shards", bad=bool(of_plan)),
        tile(_size(summary.bytes), "on disk"),
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


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def _curves(run_dir: Path) -> str:
    """Return the training curves, each with the loss of always predicting the mean label."""
    rows = _read_metrics(Path(run_dir) / "metrics.csv")
    charts = []
    for column, words in (("loss_motion", "Motion"), ("loss_appearance", "Appearance")):
        line = [(row["step"], row.get(column, math.nan)) for row in rows]
        level = rows[-1].get(f"mean_label_{column}")
        if level == 0:  # none of these labels were trained
            continue
        known = level is not None and math.isfinite(level)
        caption = f"<b>{words}</b>: mean squared error {line[-1][1]:.3g} at step {line[-1][0]:g}" + (
            f"; always predicting the mean label gives {level:.3g} (dashed)" if known else ""
        )
        chart = line_chart(line, level if known else None, f"{words} loss over steps")
        charts.append(f'<figure class="card"><figcaption>{caption}</figcaption>{chart}</figure>')
    speed = rows[-1].get("clips_per_second")
    words = (
        f" The last row: {speed:.3g} clips a second." if speed is not None and math.isfinite(speed) else ""
    )
    return (
        f"<h2>Training</h2><p>Run <code>{html.escape(printable(Path(run_dir).name))}</code>: "
        f'loss on the clips it was trained with.{words}</p><div class="wide">{"".join(charts)}</div>'
    )


def _read_metrics(path: Path) -> list[dict[str, float]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [
                {name: float(value) for name, value in row.items() if name and value}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(f"expected the metrics of a training run in {path}, found: {error}") from error
    if not rows or "step" not in rows[-1]:
        raise DatasetError(
            f"expected rows with a column step in {path}, found none. Has the run made a step?"
        )
    return rows


def _failures(failures: list[Failure]) -> str:
    if not failures:
        return "<h2>Failures</h2><p>None: every video was used.</p>"
    reasons = Counter((failure.stage, failure.code) for failure in failures)
    rows = [(stage, code, count) for (stage, code), count in reasons.most_common()]
    listed = [
        (printable(f.video), f"{f.stage}: {f.code}", printable(f.message)) for f in failures[:FAILURES_SHOWN]
    ]
    shown = (
        f"all {len(failures)}" if len(failures) <= FAILURES_SHOWN else f"{FAILURES_SHOWN} of {len(failures)}"
    )
    return (
        f"<h2>Failures</h2>{table(('stage', 'reason', 'videos'), rows)}"
        f"<details><summary>The videos ({shown})</summary>"
        f"{table(('video', 'reason', 'message'), listed)}</details>"
    )


def _distributions(shards: ShardSet, summary: Summary) -> str:
    if not shards.has_labels:
        return "<h2>Labels</h2><p>These shards hold frames only.</p>"
    if not len(shards):
        return "<h2>Labels</h2><p>There are no clips.</p>"
    charts = {name: _chart(name, summary.counts.shares(name)) for name in LABEL_NAMES}
    groups = [(p, [name for name in LABEL_NAMES if name.startswith(f"{p}_")]) for p in PATTERNS]
    groups.append(("global", [name for name in LABEL_NAMES if "_" not in name]))
    parts = [
        f"<h3>{title}</h3><div class='charts'>{''.join(charts[name] for name in names)}</div>"
        for title, names in groups
    ]
    return (
        f"<h2>The 27 labels</h2><p>Share of each value over all {len(shards.views)} views of all "
        f"{len(shards):,} clips. Dashed: equal shares. Point at a bar for its number.</p>{''.join(parts)}"
    )


def _chart(name: str, shares: dict[int, float]) -> str:
    words = MEANINGS[name.rpartition("_")[2]]
    top = max(shares, key=lambda value: shares[value])
    return (
        f'<figure class="card"><figcaption><code>{name}</code> {words}<br>'
        f"most often {top} ({shares[top]:.0%})</figcaption>{bar_chart(shares, f'{name}: {words}')}</figure>"
    )


def _examples(shards: ShardSet) -> str:
    if not shards.has_labels or not len(shards):
        return ""
    count = min(EXAMPLES, len(shards))
    places = np.linspace(0, len(shards) - 1, 2 * count + 1)[1::2].round().astype(int)
    pictures = [
        picture(figure_png(clip_figure(clip), dpi=90), f"clip {clip.index}: its frames and labels")
        for clip in (shards[int(place)] for place in places)
    ]
    return f"<h2>Clips</h2><p>Evenly picked, as the centre view sees them.</p>{''.join(pictures)}"


def _videos(summary: Summary) -> str:
    rows = sorted(summary.videos.items(), key=lambda item: item[0].lower())
    return (
        f"<h2>Classes</h2><details {'open' if len(rows) <= 12 else ''}><summary>{len(rows)} classes</summary>"
        f"{table(('class', 'videos'), rows)}</details>"
    )


def _configuration(shards: ShardSet, summary: Summary) -> str:
    options: list[tuple[str, Any]] = [(name, str(value)) for name, value in sorted(shards.config.items())]
    versions = [(name, str(value)) for name, value in sorted(summary.versions.items())]
    return (
        f'<h2>Configuration</h2><div class="wide"><div>{table(("option", "value"), options)}</div>'
        f"<div>{table(('made with', 'version'), versions)}</div></div>"
    )
