"""Results: one JSON file a measurement, shown beside the published figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mas_labels.errors import ConfigError, DatasetError, reason_of, unavailable
from mas_labels.system.files import write_text
from mas_train.data.class_match import describe_left_out
from mas_train.evaluation.published import TABLES, TEST_VIDEOS, Row, Table, published_rows

FORMAT = "mas-eval-result"
SHOWN_CLASSES = 10
"""Of many classes so many of the best and of the worst are shown."""


@dataclass(frozen=True)
class Result:
    """One measurement.

    Attributes
    ----------
    protocol
        ``"accuracy"``, ``"retrieval"``, ``"probe"``, ``"groups"``, ``"aslan"`` or ``"yupenn"``.
    dataset, split
        What was tested, as the shards name it.
    figures
        Name -> value; shares from 0 to 1. The first is the one that tables show.
    weights
        Where they come from: source, kind, preset and targets of pre-training, width, share of labels.
    videos, clips
        Test videos in all, failed ones included, and clips.
    failed
        Test videos that gave no clip.
    command
        The command that made it.
    random_initialisation
        The same figures for random weights (``"accuracy"``: for the network fine-tuned from them); empty
        where they were not asked for.
    details
        Whatever else the protocol tells.
    """

    protocol: str
    dataset: str
    split: str
    figures: dict[str, float]
    weights: dict[str, Any]
    videos: int
    clips: int
    failed: list[str]
    command: str
    random_initialisation: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def row_key(result: Result) -> str:
    """Return the row of the published tables that a result belongs in.

    ``accuracy/scratch`` or ``accuracy/<preset of pre-training>/<targets>``; ``aslan/<kind>``,
    ``yupenn/<kind>`` with the kinds of `mas_train.weights.load.Weights.kind`.
    """
    weights = result.weights
    if result.protocol != "accuracy":
        return f"{result.protocol}/{weights['kind']}"
    if weights["kind"] == "supervised":
        return "accuracy/scratch"
    return f"accuracy/{weights.get('preset')}/{weights.get('targets')}"


def save_result(result: Result, path: Path) -> None:
    """Write a result as JSON, whole or not at all.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": FORMAT, **asdict(result)}, indent=2)
        write_text(path, text + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({reason_of(error)}): give another --out") from error


def read_results(folders: Sequence[Path]) -> list[Result]:
    """Read all results in folders and below them, sorted by path.

    Raises
    ------
    DatasetError
        If there are none, or one is damaged.
    UnavailableError
        If one cannot be read now.
    """
    results = []
    for path in sorted(path for folder in folders for path in folder.rglob("[!.]*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and content.pop("format", None) == FORMAT:
                results.append(Result(**content))
        except OSError as error:
            raise unavailable(path, error) from error
        except (ValueError, TypeError) as error:
            raise DatasetError(f"{path} is no result that can be read ({error}): make it again") from error
    if not results:
        looked = ", ".join(map(str, folders))
        raise DatasetError(f"no results of mas-eval or mas-finetune in {looked}")
    return results


def show_result(result: Result) -> str:
    """Return a result as text: ours, random weights, what was published, and what makes it not comparable."""
    lines = [
        f"{result.protocol} on {result.dataset}, split {result.split}: {result.videos} videos, "
        f"{result.clips} clips, weights {result.weights['source']} ({result.weights['kind']})"
    ]
    width = max(map(len, result.figures))
    random = result.random_initialisation
    for name, value in result.figures.items():
        line = f"  {name:<{width}}  {value:7.4f}"
        lines.append(line + (f"   random initialisation {random[name]:7.4f}" if name in random else ""))
    published = published_rows(result.protocol, result.dataset)
    lines += [f"  published, {method}: {figure / 100:.4f}" for method, figure in published]
    if "per_class" in result.details:
        lines += _class_lines(result.details)
    if result.protocol == "accuracy" and not random and result.weights["kind"] != "supervised":
        lines.append("  random initialisation: not beside it; --scratch-run names such a run")
    details = result.details
    warnings = [*details.get("incomplete", []), *describe_left_out(details.get("left_out", {}))]
    warnings += details.get("leaks", [])
    lines += [f"  warning: {warning}" for warning in warnings]
    expected = TEST_VIDEOS.get((result.dataset, result.split))
    if expected not in (None, result.videos):
        lines.append(f"  not comparable: {result.videos} of the test set's {expected} videos")
    if result.failed:
        lines.append(f"  {len(result.failed)} videos gave no clip and count as wrong:")
        lines += [f"    {path!r}" for path in result.failed]
    return "\n".join(lines)


def _class_lines(details: Mapping[str, Any]) -> list[str]:
    """Show the classes, the best first; of many only those at both ends."""
    rows = [
        (share, name, sum(counts))
        for share, name, counts in zip(
            details["per_class"], details["classes"], details["confusion"], strict=True
        )
        if share is not None
    ]
    rows.sort(key=lambda row: (-row[0], row[1]))
    width = max((len(name) for _, name, _ in rows), default=0)
    lines = [f"    {name:<{width}}  {share:7.4f} of {count} videos" for share, name, count in rows]
    if len(lines) > 2 * SHOWN_CLASSES:
        left_out = len(lines) - 2 * SHOWN_CLASSES
        lines[SHOWN_CLASSES:-SHOWN_CLASSES] = [f"    ... {left_out} more in classes.csv"]
    return ["  by class, top-1:", *lines]


def show_tables(results: Sequence[Result]) -> str:
    """Return the paper's tables 1 to 6 with our figures beside the published ones, as Markdown."""
    parts = [_show_table(number, table, results) for number, table in TABLES.items()]
    return "\n\n".join(parts)


def _show_table(number: int, table: Table, results: Sequence[Result]) -> str:
    heads = [f"{column}{what}" for column in table.columns for what in (", published", ", ours")]
    lines = [f"### Table {number}. {table.title}", "", f"| method | {' | '.join(heads)} |"]
    lines.append("|---" * (len(heads) + 1) + "|")
    commands: dict[str, str] = {}  # and the row that each made
    for row in table.rows:
        cells = []
        for column, figure in zip(table.columns, row.figures, strict=True):
            ours = [r for r in results if _belongs(r, row, table, column)]
            commands.update({result.command: row.method for result in ours})
            cells += ["-" if figure is None else f"{figure:g}", ", ".join(map(_percent, ours)) or "-"]
        lines.append(f"| {row.method} | {' | '.join(cells)} |")
    lines += ["", *(f"    {command}  # {method}" for command, method in commands.items())] if commands else []
    return "\n".join(lines)


def _belongs(result: Result, row: Row, table: Table, dataset: str) -> bool:
    """Whether a result is one of a row and column: whole convolutions trained with all labels on split 1."""
    weights: Mapping[str, Any] = result.weights
    whole = weights.get("label_fraction", 1.0) == 1.0 and not weights.get("frozen", False)
    return (
        (result.protocol, result.dataset) == (table.protocol, dataset)
        and row_key(result) == row.ours
        and (whole or table.protocol != "accuracy")
        and result.split in ("test1", "all")
    )


def _percent(result: Result) -> str:
    """The first figure in percent; in brackets where videos are missing from the test set."""
    text = f"{100 * next(iter(result.figures.values())):.1f}"
    expected = TEST_VIDEOS.get((result.dataset, result.split), result.videos)
    return text if result.videos == expected else f"({text}: {result.videos} of {expected} videos)"
