"""The paper's tables 1 to 6 with our figures, their intervals, and differences to random weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mas_train.evaluation.intervals import difference, format_interval, interval
from mas_train.evaluation.published import TABLES, TEST_VIDEOS, Row, Table
from mas_train.evaluation.results import NO_OUTCOMES, Result, right_of, row_key
from mas_train.runtime.markdown import markdown_table

BRACKETS = """\
In percent. In brackets: 95 % intervals over groups of test videos (UCF101), single videos, or splits of pairs
(ASLAN), and over networks where there are several; of one network, for this network alone. Differences are
paired over the test videos."""
IN_NO_TABLE = """\
In none of the tables, which are of the paper's protocols, data sets and targets, split 1, and networks
trained on all clips and fine-tuned as a whole"""


def show_tables(results: Sequence[Result]) -> str:
    """Return the paper's tables 1 to 6 with our figures next to the published ones, as Markdown."""
    shown = [_show_table(number, table, results) for number, table in TABLES.items()]
    old = [result.command for result in results if not result.outcomes]
    notes = [f"Without intervals, {NO_OUTCOMES}: {', '.join(dict.fromkeys(old))}."] if old else []
    others = [result.command for result in results if not _has_place(result)]
    if others:
        notes.append(f"{IN_NO_TABLE}: {', '.join(dict.fromkeys(others))}.")
    return "\n\n".join([BRACKETS, *notes, *shown])


def _has_place(result: Result) -> bool:
    """Return whether a result belongs in one of the tables."""
    return any(
        _belongs(result, row.ours, table, column)
        for table in TABLES.values()
        for row in _with_codings(table, [result])
        for column in table.columns
    )


def _show_table(number: int, table: Table, results: Sequence[Result]) -> str:
    """Return one table, and below it the differences to random weights and our commands."""
    headers = [f"{column}, {origin}" for column in table.columns for origin in ("published", "ours")]
    rows, compared = [], []
    commands: dict[str, str] = {}  # command -> method
    for row in _with_codings(table, results):
        cells = []
        for column, figure in zip(table.columns, row.figures, strict=True):
            ours = [result for result in results if _belongs(result, row.ours, table, column)]
            random = [result for result in results if _belongs(result, _random(table), table, column)]
            commands.update({result.command: row.method for result in ours})
            cells += ["-" if figure is None else f"{figure:g}", _cell(ours)]
            if ours and random and row.ours != _random(table):
                compared.append(f"- {row.method} less random weights, {column}: {_compare(ours, random)}")
        rows.append([row.method, *cells])
    lines = [f"### Table {number}. {table.title}", "", markdown_table(["method", *headers], rows)]
    lines += ["", *compared] if compared else []
    lines += ["", *(f"    {command}  # {method}" for command, method in commands.items())] if commands else []
    return "\n".join(lines)


def _with_codings(table: Table, results: Sequence[Result]) -> Iterator[Row]:
    """Yield the rows of a table, each followed by those of our networks of other pretexts (`row_key`)."""
    keys = sorted({row_key(result) for result in results})
    for row in table.rows:
        yield row
        for key in keys:
            base, _, pretext = key.rpartition("/")
            if row.ours is not None and row.ours == base:
                yield Row(f"{row.method}, {pretext}", (None,) * len(table.columns), key)


def _random(table: Table) -> str:
    """Return the key of the results of random weights."""
    return f"{table.protocol}/scratch"


def _belongs(result: Result, key: str | None, table: Table, dataset: str) -> bool:
    """Return whether a result belongs in a column, and in the row of a key.

    Accuracies must be of networks fine-tuned as a whole with all labels; all must be of split 1 (of ASLAN,
    view 2), and of networks trained on all clips.
    """
    weights: Mapping[str, Any] = result.weights
    is_whole = weights.get("label_fraction", 1.0) == 1.0 and not weights.get("frozen", False)
    return (
        (result.protocol, result.dataset) == (table.protocol, dataset)
        and row_key(result) == key
        and (is_whole or table.protocol != "accuracy")
        and result.split in ("test1", "all")
        and result.details.get("view", 2) == 2  # ASLAN's view 1 is for development
        and not weights.get("filters")
    )


def _cell(results: Sequence[Result]) -> str:
    """Return the first figure with its interval; networks of several seeds are joined."""
    right = _right(results)
    if right is None or len(right) < 2:
        return ", ".join(map(_percent, results)) or "-"
    shown = f"{format_interval(interval(right, _groups(results)))} of {len(right)} networks"
    return _mark_incomplete(shown, results[0])


def _percent(result: Result) -> str:
    """Return the first figure of one result in percent, with its interval if it keeps outcomes."""
    right = _right([result])
    if right is None:
        return _mark_incomplete(f"{100 * next(iter(result.figures.values())):.1f}", result)
    return _mark_incomplete(format_interval(interval(right, _groups([result]))), result)


def _mark_incomplete(text: str, result: Result) -> str:
    """Put a figure in brackets if videos of the test set are missing."""
    expected = TEST_VIDEOS.get((result.dataset, result.split), result.videos)
    return text if result.videos == expected else f"({text}: {result.videos} of {expected} videos)"


def _right(results: Sequence[Result]) -> NDArray[np.float64] | None:
    """Return the outcomes of the first figure, (N, V); None if networks cannot be joined, or have none."""
    seeds = {result.weights.get("seed") for result in results}
    if not results or len(seeds) < len(results) or not are_of_one_row(results):
        return None  # the same network twice, or networks of two recipes, are not networks of one row
    return right_of(results, next(iter(results[0].figures)))


def are_of_one_row(results: Sequence[Result]) -> bool:
    """Return whether results are of networks of one recipe, measured alike, whatever their seeds.

    Results of earlier versions do not state the whole recipe; only what all state is compared.
    """
    facts = [{**result.weights, **_measured_on(result), "source": None, "seed": None} for result in results]
    if any("recipe" not in each for each in facts):
        facts = [{**each, "recipe": None} for each in facts]
    return all(each == facts[0] for each in facts)


def _measured_on(result: Result) -> dict[str, Any]:
    """Return the network and the layer that a result is of, and the view of ASLAN."""
    network = {name: result.weights.get(name) for name in ("backbone", "width")}
    return {**network, **{name: result.details.get(name) for name in ("features", "view")}}


def _groups(results: Sequence[Result]) -> Sequence[int]:
    """Return the groups of the videos of results with outcomes."""
    return results[0].outcomes["groups"]


def _compare(ours: Sequence[Result], random: Sequence[Result]) -> str:
    """Return the difference of two rows with its interval, or why there is none."""
    first, second = _right(ours), _right(random)
    if first is None or second is None or ours[0].outcomes["videos"] != random[0].outcomes["videos"]:
        return "no interval: it needs outcomes of the same single videos, of one network a seed, alike else"
    if _measured_on(ours[0]) != _measured_on(random[0]):
        return "no difference: of other networks, widths or layers"
    seeds = [[result.weights.get("seed") for result in row] for row in (ours, random)]
    is_paired = seeds[0] == seeds[1] and len(ours) > 1
    text = format_interval(difference(first, second, _groups(ours), is_paired), is_difference=True)
    if 1 not in (len(first), len(second)) or len(first) == len(second):
        return text
    return f"{text}, of {len(first)} networks less {len(second)}: the one stands for itself, not for its row"
