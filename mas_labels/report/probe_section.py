"""Section of the page about the online probe of a training run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mas_labels.report.charts import Points, line_chart


def probe_section(metrics: Sequence[Mapping[str, float]]) -> str:
    """Return the curve of nearest neighbours over steps; empty if they were not measured.

    Parameters
    ----------
    metrics
        Rows of `mas_labels.schema.METRICS_FILE` without their empty cells, such as the columns
        `mas_labels.schema.PROBE_COLUMNS` of steps after which nothing was measured.
    """
    rows = [row for row in metrics if "probe_accuracy" in row]
    if not rows:
        return ""
    last = rows[-1]
    accuracy, untrained, chance = (
        last.get(name, math.nan) for name in ("probe_accuracy", "probe_untrained", "probe_chance")
    )
    line: Points = [(row["step"], row["probe_accuracy"]) for row in rows]
    caption = f"<b>Nearest neighbours</b>: {accuracy:.1%} at step {last['step']:g}"
    caption += f"; chance gives {chance:.1%} (dashed)"
    if math.isfinite(untrained):
        line = [(0.0, untrained), *line]
        caption += f", the untrained network {untrained:.1%} (dotted)"
    level = untrained if math.isfinite(untrained) else None
    chart = line_chart(line, chance if math.isfinite(chance) else None, "Probe over steps", level=level)
    return (
        "<h2>Probe</h2><p>Share of the probe's videos whose nearest other video, by features of the network "
        f"in training, is of their class; classes never reach the loss.{_spread(last)}</p>"
        f'<figure class="card narrow"><figcaption>{caption}</figcaption>{chart}</figure>'
    )


def _spread(row: Mapping[str, float]) -> str:
    """Return a sentence about the uncertainty of a share of so many videos, if their number is known."""
    accuracy, videos = row["probe_accuracy"], row.get("probe_videos", 0)
    if not videos > 0 or not 0 <= accuracy <= 1:
        return ""
    deviation = 100 * math.sqrt(accuracy * (1 - accuracy) / videos)
    return f" With {videos:g} videos, a standard deviation of the last share is {deviation:.1f} points."
