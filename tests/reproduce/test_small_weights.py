"""Weights that the small experiment gives away: figures of the very network, next to those of its row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mas_labels.errors import DatasetError
from mas_train.evaluation.results import Result, save_result
from mas_train.reproduce.measure import MEASURES, Cell
from mas_train.reproduce.page import describe_cell
from mas_train.reproduce.run import write_mark
from mas_train.reproduce.small import BEST, Experiment, Split, small_plan
from mas_train.reproduce.small_weights import (
    PublishedTable,
    describe_networks,
    describe_origin,
    find_networks,
    read_table,
)

EXPERIMENT = Experiment(splits=(Split("2", "test2"),), rows=("random", "best"))
STEPS = small_plan(EXPERIMENT)


def measured(work: Path, name: str, values: list[float]) -> None:
    """Write a network's results, and mark their steps and its training as done."""
    steps = {step.name: step for step in STEPS}
    write_mark(work, steps[f"pretrain-{name}"], 1.0, 0)
    figures: dict[tuple[str, str], dict[str, float]] = {}
    for measure, value in zip(MEASURES, values, strict=True):
        figures.setdefault((measure.folder.format(name=name), measure.protocol), {})[measure.figure] = value
        write_mark(work, steps[f"{measure.step}{name}"], 1.0, 0)
    for (folder, protocol), found in figures.items():
        result = Result(protocol, "ucf101", "test2", found, {}, 70, 300, [], "mas-eval")
        save_result(result, work / folder / f"{protocol}.json")


def table(row: str, values: list[float]) -> PublishedTable:
    """Return a table of three networks, of which the first has some values and the others 10 points more."""
    cells = [
        Cell("2", row, measure.title, (value, value + 0.1, value + 0.1), 3, 70)
        for measure, value in zip(MEASURES, values, strict=True)
    ]
    return PublishedTable("a machine, 2 cores", tuple(cells))


def test_a_network_of_the_row_is_said_to_be_one(tmp_path: Path) -> None:
    values = [0.5 + number / 70 for number in range(len(MEASURES))]
    measured(tmp_path, "split2-best-seed0", values)
    joint, tuned = find_networks(EXPERIMENT, STEPS, tmp_path, table("best", values))
    assert (joint.name, joint.source) == ("joint-best", tmp_path / "runs" / "split2-best-seed0")
    assert (tuned.name, tuned.source) == ("joint-finetuned", tmp_path / "finetuned/all-split2-best-seed0")
    assert tuned.steps == ("pretrain-split2-best-seed0", "finetune-all-split2-best-seed0")
    figures = [figure for found in joint.figures.values() for figure in found]
    expected = {measure.title: (value,) for measure, value in zip(MEASURES, values, strict=True)}
    assert {figure.protocol: figure.values for figure in figures} == expected
    assert figures[0].row == (0.5, 0.6, 0.6)
    assert [list(tuned.figures.values())] == [[[figures[-1]]]]
    for network in (joint, tuned):
        assert describe_origin(network, "") == "The first of the 3 networks of its row in the tables."


def test_a_network_that_was_trained_again_is_not_mixed_up_with_its_row(tmp_path: Path) -> None:
    values = [0.5] * len(MEASURES)
    measured(tmp_path, "split2-best-seed0", [0.6, *values[1:]])
    networks = find_networks(EXPERIMENT, STEPS, tmp_path, table("best", values))
    for network in networks:  # the fine-tuned one, too, though its own figure is that of the row
        text = describe_origin(network, "a machine, 2 cores")
        assert "**Trained again**: not one of the 3 networks" in text and "there: a machine, 2 cores" in text
    page = describe_networks(networks, "a machine, 2 cores", "2")
    assert page.count("**Trained again**") == 1
    assert f"| [joint-best](joint-best/README.md) | {BEST.title} | 60.0 | 50.0 |" in page


def test_only_networks_that_are_done_are_given_away(tmp_path: Path) -> None:
    assert find_networks(EXPERIMENT, STEPS, tmp_path, PublishedTable("", ())) == []
    measured(tmp_path, "split2-random-seed0", [0.5] * len(MEASURES))
    (random,) = find_networks(EXPERIMENT, STEPS, tmp_path, PublishedTable("", ()))
    assert random.name == "random" and "no table" in describe_origin(random, "")


def test_the_table_of_a_page_is_read_as_it_was_written(tmp_path: Path) -> None:
    cells = table("best", [0.5] * len(MEASURES)).cells
    path = tmp_path / "results.json"
    path.write_text(
        json.dumps({"machine": "a machine", "cells": [{**describe_cell(c), "mean": 0} for c in cells]})
    )
    assert read_table(path) == PublishedTable("a machine", cells)
    assert read_table(tmp_path / "absent.json") == PublishedTable("", ())
    path.write_text("{}")
    with pytest.raises(DatasetError, match="write the page again"):
        read_table(path)
