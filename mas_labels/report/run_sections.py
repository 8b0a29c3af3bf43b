"""Sections of the page about a training run; each function returns HTML.

A run is known by its files alone, whose names and columns are part of `mas_labels.schema`: `METRICS_FILE` and
`HELDOUT_FILE`, and the results and pictures that `mas-eval` wrote into its folder or another one. Nothing of
the trainer is needed to read them.
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

import yaml

from mas_labels.errors import DatasetError, unavailable
from mas_labels.names import printable
from mas_labels.report.charts import Points, line_chart, score_chart
from mas_labels.report.page import html_table, picture
from mas_labels.report.probe_section import probe_section
from mas_labels.schema import (
    HELDOUT_FILE,
    LABEL_KINDS,
    METRICS_FILE,
    PICTURE_DESCRIPTION,
    RESULT_FORMAT,
    RESULT_INTERVALS,
    RESULT_PICTURES,
    RUN_CONFIG_FILE,
    TOTAL_LABEL,
)
from mas_labels.system.yaml_text import YAML_ERRORS

RESULTS_NOTE: Final = (
    "<p>In brackets: 95 % intervals over groups of test videos, each of one network alone. A result without "
    "any was made by an older version, or has too few groups.</p>"
)
MAX_PICTURES: Final = 15
PICTURES_OF_RUN: Final = ("attention", "map", "neighbours")
"""Kinds of pictures that `mas-eval look` draws."""
MAX_PICTURE_BYTES: Final = 4 << 20
PNG: Final = b"\x89PNG\r\n\x1a\n"

REQUIRED_METRICS: Final = frozenset({"step", "loss_motion"})
"""Columns without which a table of metrics is not read; curves of the others are drawn if they are there."""
REQUIRED_HELDOUT: Final = frozenset({"step", "label", "loss", "r2"})

Rows = list[dict[str, Any]]


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
    metrics, heldout = _read_metrics(run / METRICS_FILE), _read_heldout(run / HELDOUT_FILE)
    folders = [run, *results]
    return [
        _run_summary(run, metrics),
        _curves(metrics, heldout),
        _heldout_scores(heldout),
        _pace(heldout),
        probe_section(metrics),
        _results(folders),
        _pictures(folders),
    ]


def _read_metrics(path: Path) -> Rows:
    """Read the metrics of a run, one dictionary per row.

    Raises
    ------
    DatasetError
        If there are none.
    """
    rows = _read_table(path)
    if not rows or not rows[0].keys() >= REQUIRED_METRICS:
        raise DatasetError(f"{path} holds no losses: has the run made a step yet?")
    return rows


def _read_heldout(path: Path) -> Rows:
    """Read the scores on held-out clips, one dictionary per row; none if no clips were held out."""
    if not path.exists():
        return []
    rows = _read_table(path)
    if any(not row.keys() >= REQUIRED_HELDOUT for row in rows):
        raise DatasetError(f"{path} is not a table of a training run: remove it, or give another --run")
    return rows


def _read_table(path: Path) -> Rows:
    """Read a CSV file; all columns but ``label`` are numbers, empty cells are left out."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {
                    name: cell if name == "label" else float(cell)
                    for name, cell in row.items()
                    if name and cell
                }
                for row in csv.DictReader(file)
            ]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetError(
            f"expected the metrics of a training run in {path}, found no such file: give --run the --out of "
            "mas-train"
        ) from error
    except OSError as error:
        raise unavailable(path, error) from error
    except (ValueError, TypeError, csv.Error) as error:
        raise DatasetError(f"expected the metrics of a training run in {path}, found: {error}") from error


def _filters(path: Path) -> str:
    """Return the filters that chose a run's clips, from its configuration; empty: it trained on all."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        return str(config["recipe"].get("where", ""))
    except FileNotFoundError:
        return ""  # metrics alone are enough for a page
    except OSError as error:
        raise unavailable(path, error) from error
    except YAML_ERRORS as error:
        reason = str(error).splitlines()[0]
        raise DatasetError(f"expected the configuration of a run in {path}, found: {reason}") from error


def _run_summary(run: Path, metrics: Rows) -> str:
    """Return the run's name, number of steps, speed, and the filters that chose its clips."""
    speed = metrics[-1].get("clips_per_second", math.nan)
    sentence = f" The last row: {speed:.3g} clips per second." if math.isfinite(speed) else ""
    if where := _filters(run / RUN_CONFIG_FILE):
        sentence += f" Its clips were chosen by <code>{html.escape(printable(where))}</code>."
    name = html.escape(printable(run.resolve().name))
    return f"<h2>Training</h2><p>Run <code>{name}</code>, {metrics[-1]['step']:g} steps.{sentence}</p>"


def _curves(metrics: Rows, heldout: Rows) -> str:
    """Return the curves of both losses, each with the loss of always predicting the mean label."""
    charts = []
    for kind in LABEL_KINDS:
        column = f"loss_{kind}"
        baseline = metrics[-1].get(f"mean_label_{column}")
        if baseline == 0:  # none of these labels were trained
            continue
        line: Points = [(row["step"], row.get(column, math.nan)) for row in metrics]
        known = baseline is not None and math.isfinite(baseline)
        caption = f"<b>{kind.title()}</b>: mean squared error {line[-1][1]:.3g} at step {line[-1][0]:g}" + (
            f"; always predicting the mean label gives {baseline:.3g} (dashed)" if known else ""
        )
        measured: Points = [(row["step"], row["loss"]) for row in heldout if row["label"] == kind]
        if measured:
            caption += f"; {measured[-1][1]:.3g} on held-out clips (dots)"
        chart = line_chart(line, baseline if known else None, f"{kind.title()} loss over steps", measured)
        charts.append(f'<figure class="card"><figcaption>{caption}</figcaption>{chart}</figure>')
    return f'<div class="wide">{"".join(charts)}</div>'


def _heldout_scores(heldout: Rows) -> str:
    """Return R^2 of each target at the last measurement, and its noise ceiling where that was measured."""
    if not heldout:
        return "<p>No clips were held out: <code>mas-train --holdout 5%</code> measures each label.</p>"
    step = heldout[-1]["step"]
    last = {row["label"]: row for row in heldout if row["step"] == step}
    means = [name for name in (*LABEL_KINDS, TOTAL_LABEL) if name in last]
    noise = {name: row.get("moved_r2", math.nan) for name, row in last.items()}
    texts = [
        f"{name} {last[name]['r2']:.3f}"
        + (f" (ceiling {noise[name]:.3f})" if math.isfinite(noise[name]) else "")
        for name in means
    ]
    targets = [name for name in last if name not in means]
    chart = score_chart(
        [(name, last[name]["r2"]) for name in targets],
        "R^2 of each target",
        [noise[name] for name in targets],
    )
    return (
        f"<h2>Held-out clips</h2><p>R<sup>2</sup> of each target on held-out clips at step {step:g}: 1 is "
        f"perfect, 0 is no better than a constant. Means: {', '.join(texts)}.{_ceiling_text(heldout[-1])}</p>"
        f'<figure class="card narrow">{chart}</figure>'
    )


def _ceiling_text(row: dict[str, Any]) -> str:
    """Explain the noise ceilings; empty where none were measured."""
    pixels = row.get("moved_pixels", 0)
    if not pixels:
        return ""
    return (
        f" Dashed, the noise ceiling: R<sup>2</sup> of the target of the view moved by {pixels:g} pixels, "
        "taken as the prediction. What so small a shift changes can hardly be predicted."
    )


def _pace(heldout: Rows) -> str:
    """Return the share of held-out clips whose pace the network told last, if that was its target."""
    told = [row for row in heldout if row["label"] == "pace" and "accuracy" in row]
    if not told:
        return ""
    share, chance = told[-1]["accuracy"], told[-1]["mode_accuracy"]
    return f"<p>Pace told on {share:.1%} of the held-out clips; chance {chance:.1%}.</p>"


def _results(folders: Sequence[Path]) -> str:
    """Return a table of the figures of every result."""
    rows = []
    for path, content in _read_results(folders):
        random = content.get("random_initialisation") or {}
        bounds = content.get("intervals") or {}
        tested = [printable(str(content.get(key))) for key in ("protocol", "dataset", "split")]
        for name, figure in content["figures"].items():
            of_random = f"{random[name]:.4f}" if name in random else "-"
            shown = [_interval(bounds.get(kind, {}).get(name)) for kind in RESULT_INTERVALS]
            cells = (f"{figure:.4f}{shown[0]}", of_random + shown[1], shown[2] or "-", printable(path.name))
            rows.append((*tested, printable(str(name)), *cells))
    heads = ("protocol", "data set", "split", "figure", "ours", "random weights", "difference", "file")
    return f"<h2>Results</h2>{RESULTS_NOTE}{html_table(heads, rows)}" if rows else ""


def _interval(numbers: Sequence[float] | None) -> str:
    """Return a stored interval as text; a difference has its estimate, too. Empty without one."""
    if not numbers:
        return ""
    *estimate, low, high = map(float, numbers)
    return f"{estimate[0]:+.4f} [{low:+.4f}, {high:+.4f}]" if estimate else f" [{low:.4f}, {high:.4f}]"


def _read_results(folders: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Read the results in folders and below them, sorted by path; other JSON files are passed over."""
    for path in sorted({path for folder in folders for path in folder.rglob("[!.]*.json")}):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.get("format") != RESULT_FORMAT:
                continue
            content["figures"] = {name: float(value) for name, value in content["figures"].items()}
        except OSError as error:
            raise unavailable(path, error) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(f"{path} is not a readable result ({error}): evaluate again") from error
        yield path, content


def _pictures(folders: Sequence[Path]) -> str:
    """Return the pictures that `mas-eval` drew."""
    files = sorted({path for folder in folders for path in folder.rglob("[!.]*.png")})
    kinds = {kind: [path for path in files if path.name.startswith(kind)] for kind in RESULT_PICTURES}
    limit = MAX_PICTURES // len(kinds)
    parts = ["<h2>Pictures</h2>"]
    for kind, paths in kinds.items():
        parts += [f"<h3>{html.escape(RESULT_PICTURES[kind])}</h3>{_picture(path)}" for path in paths[:limit]]
        if len(paths) > limit:
            parts.append(f"<p>{len(paths) - limit} more pictures of this kind are left out.</p>")
    if not all(kinds[kind] for kind in PICTURES_OF_RUN):
        name = html.escape(printable(shlex.quote(str(folders[0]))))
        parts.append(
            "<p>Attention, a map of features and nearest neighbours are drawn by "
            f"<code>mas-eval look --run {name} --shards "
            "LABELS/*.h5 --queries TESTS/*.h5</code>, with your own shards; then write this page again.</p>"
        )
    return "".join(parts)


def _picture(path: Path) -> str:
    """Return a PNG file as part of the page."""
    try:
        if path.stat().st_size > MAX_PICTURE_BYTES:
            return f"<p>{html.escape(printable(path.name))} is too large to be shown here.</p>"
        data = path.read_bytes()
    except OSError as error:
        raise unavailable(path, error) from error
    if not data.startswith(PNG):
        raise DatasetError(f"expected a PNG file in {path}, found something else: remove it")
    text = html.escape(printable(_description(data)))
    return picture(data, printable(path.name)) + (f"<p>{text}</p>" if text else "")


def _description(png: bytes) -> str:
    """Return the sentences that describe a picture, from its PNG file; empty without any."""
    keyword = b"tEXt" + PICTURE_DESCRIPTION.encode() + b"\0"  # after the length of keyword and text
    before, _, after = png.partition(keyword)
    length = int.from_bytes(before[-4:], "big") - len(PICTURE_DESCRIPTION) - 1
    return after[: max(0, length)].decode("latin-1")
