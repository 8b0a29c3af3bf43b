"""Results of the protocols: one JSON file each, shown next to the published figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mas_labels.errors import ConfigError, DatasetError, reason_of, unavailable
from mas_labels.schema import RESULT_FORMAT
from mas_labels.system.files import write_text
from mas_train.data.class_match import describe_left_out
from mas_train.evaluation.published import TABLES, TEST_VIDEOS, Row, Table, published_rows
from mas_train.runtime.markdown import markdown_table

MAX_SHOWN_CLASSES = 10
"""Number of the best classes, and of the worst, that are shown where there are more than twice as many."""


@dataclass(frozen=True)
class Result:
    """Result of one protocol.

    Attributes
    ----------
    protocol
        ``"accuracy"``, ``"retrieval"``, ``"probe"``, ``"groups"``, ``"aslan"`` or ``"yupenn"``.
    dataset, split
        The test set, as named in the shards.
    figures
        Name -> value; shares from 0 to 1. Tables show the first one.
    weights
        Origin of the weights: source, kind, preset and targets of pre-training, width, share of labels.
    videos, clips
        Number of test videos in all, failed ones included, and of clips.
    failed
        Paths of the test videos that have no clip.
    command
        The command that produced the result.
    random_initialisation
        The same figures for random weights (``"accuracy"``: for the network fine-tuned from them); empty
        if they were not measured.
    details
        Anything else that the protocol reports.
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
    """Return the key of the row of the published tables that a result belongs to, see `Row.ours`.

    ``accuracy/scratch`` or ``accuracy/<preset of pre-training>/<targets>``; ``aslan/<kind>``,
    ``yupenn/<kind>`` with the kinds of `mas_train.weights.backbone_weights.Weights.kind`.
    """
    weights = result.weights
    if result.protocol != "accuracy":
        return f"{result.protocol}/{weights['kind']}"
    if weights["kind"] == "supervised":
        return "accuracy/scratch"
    return f"accuracy/{weights.get('preset')}/{weights.get('targets')}"


def save_result(result: Result, path: Path) -> None:
    """Write a result as JSON, atomically.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": RESULT_FORMAT, **asdict(result)}, indent=2)
        write_text(path, text + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({reason_of(error)}): give another --out") from error


def save_and_show(result: Result, folder: Path) -> str:
    """Write a result as `<protocol>.json` into a folder; return it as text, with the file's path.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    path = folder / f"{result.protocol}.json"
    save_result(result, path)
    return f"{show_result(result)}\nwrote {path}"


def read_results(folders: Sequence[Path]) -> list[Result]:
    """Read all results in folders and below them, sorted by path.

    Raises
    ------
    DatasetError
        If there are none, or one is corrupt.
    UnavailableError
        If one cannot be read at the moment.
    """
    results = []
    for path in sorted(path for folder in folders for path in folder.rglob("[!.]*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and content.pop("format", None) == RESULT_FORMAT:
                results.append(Result(**content))
        except OSError as error:
            raise unavailable(path, error) from error
        except (ValueError, TypeError) as error:
            raise DatasetError(f"{path} is not a readable result ({error}): evaluate again") from error
    if not results:
        names = ", ".join(map(str, folders))
        raise DatasetError(f"no results of mas-eval or mas-finetune in {names}")
    return results


def show_result(result: Result) -> str:
    """Return a result as text, with random weights, published figures and warnings next to it."""
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
        lines.append("  random initialisation: not measured; --scratch-run names such a run")
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
    """Return one line per class, the best first; of many classes only the best and the worst."""
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
    if len(lines) > 2 * MAX_SHOWN_CLASSES:
        left_out = len(lines) - 2 * MAX_SHOWN_CLASSES
        lines[MAX_SHOWN_CLASSES:-MAX_SHOWN_CLASSES] = [f"    ... {left_out} more in classes.csv"]
    return ["  by class, top-1:", *lines]


def show_tables(results: Sequence[Result]) -> str:
    """Return the paper's tables 1 to 6 with our figures next to the published ones, as Markdown."""
    return "\n\n".join(_show_table(number, table, results) for number, table in TABLES.items())


def _show_table(number: int, table: Table, results: Sequence[Result]) -> str:
    """Return one table, and below it the commands that produced our figures."""
    headers = [f"{column}, {origin}" for column in table.columns for origin in ("published", "ours")]
    rows = []
    commands: dict[str, str] = {}  # command -> method
    for row in table.rows:
        cells = []
        for column, figure in zip(table.columns, row.figures, strict=True):
            ours = [result for result in results if _belongs(result, row, table, column)]
            commands.update({result.command: row.method for result in ours})
            cells += ["-" if figure is None else f"{figure:g}", ", ".join(map(_percent, ours)) or "-"]
        rows.append([row.method, *cells])
    lines = [f"### Table {number}. {table.title}", "", markdown_table(["method", *headers], rows)]
    lines += ["", *(f"    {command}  # {method}" for command, method in commands.items())] if commands else []
    return "\n".join(lines)


def _belongs(result: Result, row: Row, table: Table, dataset: str) -> bool:
    """Return whether a result belongs in a row and column.

    Accuracies must be of networks fine-tuned as a whole with all labels; all must be of split 1, and of
    networks trained on all clips.
    """
    weights: Mapping[str, Any] = result.weights
    is_whole = weights.get("label_fraction", 1.0) == 1.0 and not weights.get("frozen", False)
    return (
        (result.protocol, result.dataset) == (table.protocol, dataset)
        and row_key(result) == row.ours
        and (is_whole or table.protocol != "accuracy")
        and result.split in ("test1", "all")
        and not weights.get("filters")
    )


def _percent(result: Result) -> str:
    """Return the first figure in percent; in brackets if videos of the test set are missing."""
    text = f"{100 * next(iter(result.figures.values())):.1f}"
    expected = TEST_VIDEOS.get((result.dataset, result.split), result.videos)
    return text if result.videos == expected else f"({text}: {result.videos} of {expected} videos)"
