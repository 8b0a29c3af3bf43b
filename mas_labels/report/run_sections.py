"""What the page says of a training run; each function returns HTML.

A run is known by its files alone: `metrics.csv` and `heldout.csv`, and the results and pictures that
`mas-eval` wrote into its folder or another one. Nothing of the trainer is needed to read them.
"""

from __future__ import annotations

import csv
import html
import json
import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from mas_labels.errors import DatasetError, unavailable
from mas_labels.names import printable
from mas_labels.report.charts import Points, line_chart, score_chart
from mas_labels.report.page import picture, table
from mas_labels.schema import LABEL_NAMES

KINDS: Final = (("motion", "Motion"), ("appearance", "Appearance"))
PICTURES: Final = {
    "attention": "Attention: where the last convolution is active, beside |Mu| and |Mv| (figure 6)",
    "neighbours": "Retrieval: videos, and the training videos nearest to them",
    "confusion": "Accuracy: classes, and what they are recognised as",
    "roc": "Action similarity: ROC curves",
}
"""How the names of pictures begin, and what they show."""
MAX_PICTURES: Final = 12
MAX_PICTURE_BYTES: Final = 4 << 20
PNG: Final = b"\x89PNG\r\n\x1a\n"
RESULT_FORMAT: Final = "mas-eval-result"

Rows = list[dict[str, str]]


def run_sections(run: Path, results: Sequence[Path] = ()) -> list[str]:
    """Return all sections about a run.

    Parameters
    ----------
    run
        Its folder, with ``metrics.csv``.
    results
        More folders with results and pictures of `mas-eval`.

    Raises
    ------
    DatasetError
        If there are no metrics, or a file is damaged.
    """
    metrics, held_out = read_metrics(run / "metrics.csv"), _read_held_out(run / "heldout.csv")
    folders = [run, *results]
    return [
        _head(run, metrics),
        _curves(metrics, held_out),
        _scores(held_out),
        _results(folders),
        _pictures(folders),
    ]


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Read the metrics of a run, a dictionary a row.

    Raises
    ------
    DatasetError
        If there are none.
    """
    rows = _numbers(path, _read_csv(path))
    if not rows or "loss_motion" not in rows[0] or "step" not in rows[0]:
        raise DatasetError(f"{path} holds no losses: has the run made a step yet?")
    return rows


def _read_csv(path: Path) -> Rows:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {name: value for name, value in row.items() if name and value} for row in csv.DictReader(file)
            ]
    except FileNotFoundError as error:
        raise DatasetError(f"expected the metrics of a training run in {path}, found: {error}") from error
    except OSError as error:
        raise unavailable(path, error) from error
    except (ValueError, TypeError, csv.Error) as error:
        raise DatasetError(f"expected the metrics of a training run in {path}, found: {error}") from error


def _numbers(path: Path, rows: Rows) -> list[dict[str, float]]:
    try:
        return [{name: float(value) for name, value in row.items() if name != "label"} for row in rows]
    except ValueError as error:
        raise DatasetError(f"expected the metrics of a training run in {path}, found: {error}") from error


def _read_held_out(path: Path) -> list[dict[str, Any]]:
    """Read what was measured on held-out clips; none if nothing was."""
    if not path.exists():
        return []
    rows = _read_csv(path)
    if any(not {"step", "label", "loss", "r2"} <= row.keys() for row in rows):
        raise DatasetError(f"{path} is no table of a training run: remove it, or give another --run")
    return [{**row, "label": text["label"]} for row, text in zip(_numbers(path, rows), rows, strict=True)]


def _head(run: Path, rows: list[dict[str, float]]) -> str:
    speed = rows[-1].get("clips_per_second", math.nan)
    words = f" The last row: {speed:.3g} clips a second." if math.isfinite(speed) else ""
    name = html.escape(printable(run.resolve().name))
    return f"<h2>Training</h2><p>Run <code>{name}</code>, {rows[-1]['step']:g} steps.{words}</p>"


def _curves(rows: list[dict[str, float]], held_out: list[dict[str, Any]]) -> str:
    """Return the curves of both losses, each with the loss of always predicting the mean label."""
    charts = []
    for kind, words in KINDS:
        column = f"loss_{kind}"
        level = rows[-1].get(f"mean_label_{column}")
        if level == 0:  # none of these labels were trained
            continue
        line = [(row["step"], row.get(column, math.nan)) for row in rows]
        known = level is not None and math.isfinite(level)
        caption = f"<b>{words}</b>: mean squared error {line[-1][1]:.3g} at step {line[-1][0]:g}" + (
            f"; always predicting the mean label gives {level:.3g} (dashed)" if known else ""
        )
        measured: Points = [(row["step"], row["loss"]) for row in held_out if row["label"] == kind]
        if measured:
            caption += f"; {measured[-1][1]:.3g} on held-out clips (dots)"
        chart = line_chart(line, level if known else None, f"{words} loss over steps", measured)
        charts.append(f'<figure class="card"><figcaption>{caption}</figcaption>{chart}</figure>')
    return f'<div class="wide">{"".join(charts)}</div>'


def _scores(held_out: list[dict[str, Any]]) -> str:
    """Return R^2 of each label at the last measurement."""
    if not held_out:
        return "<p>No clips were held out: <code>mas-train --holdout 5%</code> measures each label.</p>"
    step = held_out[-1]["step"]
    last = {row["label"]: row["r2"] for row in held_out if row["step"] == step}
    chart = score_chart([(name, last[name]) for name in LABEL_NAMES if name in last], "R^2 of each label")
    means = ", ".join(
        f"{name} {last[name]:.3f}" for name in ("motion", "appearance", "total") if name in last
    )
    return (
        f"<h2>What is learnt</h2><p>R<sup>2</sup> of each label on held-out clips at step {step:g}: 1 is "
        f"perfect, 0 is no better than a constant. Means: {means}.</p>"
        f'<figure class="card narrow">{chart}</figure>'
    )


def _results(folders: Sequence[Path]) -> str:
    """Return the figures of every result."""
    rows = []
    for path, content in _read_results(folders):
        random = content.get("random_initialisation") or {}
        for name, value in content["figures"].items():
            without = f"{random[name]:.4f}" if name in random else "-"
            words = [printable(str(content.get(key))) for key in ("protocol", "dataset", "split")]
            rows.append((*words, printable(str(name)), f"{value:.4f}", without, printable(path.name)))
    heads = ("protocol", "data set", "split", "figure", "ours", "random weights", "file")
    return f"<h2>Measured</h2>{table(heads, rows)}" if rows else ""


def _read_results(folders: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted({path for folder in folders for path in folder.rglob("[!.]*.json")}):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.get("format") != RESULT_FORMAT:
                continue
            content["figures"] = {name: float(value) for name, value in content["figures"].items()}
        except OSError as error:
            raise unavailable(path, error) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(f"{path} is no result that can be read ({error}): make it again") from error
        yield path, content


def _pictures(folders: Sequence[Path]) -> str:
    """Return the pictures that `mas-eval` drew."""
    found = sorted({path for folder in folders for path in folder.rglob("[!.]*.png")})
    parts = []
    each = MAX_PICTURES // len(PICTURES)
    for beginning, words in PICTURES.items():
        files = [path for path in found if path.name.startswith(beginning)]
        for path in files[:each]:
            parts.append(f"<h3>{html.escape(words)}</h3>{_picture(path)}")
        if len(files) > each:
            parts.append(f"<p>{len(files) - each} more pictures of this kind are left out.</p>")
    if not all(any(path.name.startswith(kind) for path in found) for kind in ("attention", "neighbours")):
        name = html.escape(printable(shlex.quote(str(folders[0]))))
        parts.append(
            f"<p>Attention and nearest neighbours are drawn by <code>mas-eval look --run {name} --shards "
            "LABELS/*.h5 --queries TESTS/*.h5</code>, with your own shards; then make this page again.</p>"
        )
    return "".join(["<h2>What it sees</h2>", *parts])


def _picture(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_PICTURE_BYTES:
            return f"<p>{html.escape(printable(path.name))} is too large to be shown here.</p>"
        data = path.read_bytes()
    except OSError as error:
        raise unavailable(path, error) from error
    if not data.startswith(PNG):
        raise DatasetError(f"expected a PNG file in {path}, found something else: remove it")
    return picture(data, printable(path.name))
