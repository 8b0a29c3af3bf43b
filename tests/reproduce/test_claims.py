"""Outcomes of networks joined into rows, and the words that follow from their intervals."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from mas_labels.errors import DatasetError
from mas_train.evaluation.intervals import Outcomes, encode_right
from mas_train.evaluation.results import Result, save_result
from mas_train.reproduce.claims import COMPARISONS, headline, state_claims
from mas_train.reproduce.measure import FEW_LABELS, MEASURES, NEAREST, Cell, compare, read_cell, read_cells
from mas_train.reproduce.page import TITLES
from mas_train.reproduce.pilots import OPTIMISERS, PILOTS, TUNED, choose
from mas_train.reproduce.run import write_mark
from mas_train.reproduce.small import BEST, BEST_OPTIMISER, ROWS, TUNINGS, Experiment, small_plan

ROOT = Path(__file__).parents[2]
EXPERIMENT = Experiment(rows=("random", "best"), seeds=(0, 1))
GROUPS = np.repeat(np.arange(20), 4)


def planted(row: str, rates: dict[str, float], networks: int = 6, split: str = "2 + 3") -> list[Cell]:
    """Return cells of a row whose networks recognise videos with some probability, by measure."""
    drawn = np.random.default_rng(len(row)).random((networks, len(GROUPS)))
    cells = []
    for measure, rate in rates.items():
        right = (drawn < rate).astype(np.float64)
        values = tuple(right.mean(axis=1).tolist())
        groups = tuple(map(str, GROUPS))
        cells.append(Cell(split, row, measure, values, networks, len(GROUPS), right, groups))
    return cells


def rows(**rates: float) -> list[Cell]:
    found = [planted(row, {FEW_LABELS.title: rate, NEAREST.title: rate}) for row, rate in rates.items()]
    return [cell for cells in found for cell in cells]


def test_what_is_shown_and_what_is_not_is_said_in_plain_words() -> None:
    gain = headline(rows(random=0.4, joint=0.7, best=0.8), "2 + 3", TITLES)
    assert gain.count("beats random networks (") == 4 and "not" not in gain
    none = headline(rows(random=0.5, joint=0.5, best=0.8), "2 + 3", TITLES)
    joint, best = none.split(f"**{BEST.title}**")
    assert joint.count("does not beat random networks by the interval (") == 2
    assert best.count("beats random networks (") == 2
    assert (
        headline(rows(random=0.8, joint=0.4), "2 + 3", TITLES).count("is worse than random networks (") == 2
    )


def test_claims_end_at_the_first_comparison_that_is_not_shown() -> None:
    all_shown = state_claims(rows(random=0.3, joint=0.55, best=0.8, pace=0.4), "2 + 3", TITLES)
    assert len(all_shown) == len(COMPARISONS) and all(text.endswith(": shown") for text in all_shown)
    claims = state_claims(rows(random=0.5, joint=0.5, best=0.8, pace=0.3), "2 + 3", TITLES)
    assert [text.rpartition(": ")[2].split(";")[0].split(",")[0] for text in claims] == [
        *("shown", "shown", "not shown", "not shown"),
        *(["shown"] * 4),
    ]
    assert ["no claim" in text for text in claims] == [False] * 3 + [True] * 5
    assert state_claims(rows(random=0.5), "2 + 3", TITLES) == []


def test_nothing_is_claimed_before_all_networks_are_done() -> None:
    cells = rows(random=0.3, joint=0.55, best=0.8, pace=0.4)
    (waiting,) = [cell for cell in cells if (cell.row, cell.measure) == ("joint", NEAREST.title)]
    cells[cells.index(waiting)] = replace(waiting, values=waiting.values[:4], right=waiting.right[:4])
    claims = state_claims(cells, "2 + 3", TITLES)
    assert [text.endswith(": shown") for text in claims] == [True] * 3 + [False] * 5
    assert claims[3].endswith("retrieval, top-1: not done (4 of 6 networks, 6 of 6 networks)")
    assert ["no claim" in text for text in claims] == [False] * 4 + [True, False, True, True]
    assert headline(cells, "2 + 3", TITLES).count("beats random networks (") == 3


def test_differences_are_paired_where_the_seeds_are() -> None:
    cells = rows(random=0.4, best=0.7)
    ((cell, paired), _) = compare(cells, "best", "random")
    assert cell.row == "best" and paired.networks == 6 and paired.excludes_0
    fewer = [
        *planted("best", {FEW_LABELS.title: 0.7}, networks=3),
        *planted("random", {FEW_LABELS.title: 0.4}),
    ]
    ((_, unpaired),) = compare(fewer, "best", "random")
    assert unpaired.networks == 3
    apart = [replace(cell, tested=(cell.row,)) for cell in cells]
    with pytest.raises(DatasetError, match=r"best and random, .* are of different videos"):
        compare(apart, "best", "random")


def measured(work: Path, name: str, right: list[bool], videos: str = "abc") -> None:
    """Write a network's result by the first measure, and mark its step as done."""
    steps = {step.name: step for step in small_plan(EXPERIMENT)}
    figures = (FEW_LABELS.figure, "accuracy")
    texts = {figure: encode_right(np.array(right)) for figure in figures}
    outcomes = Outcomes(videos, "groups", [0, 0, 1], texts, {})
    shares = dict.fromkeys(figures, sum(right) / 3)
    result = Result("probe", "ucf101", "test2", shares, {}, 3, 9, [], "mas-eval", outcomes=asdict(outcomes))
    save_result(result, work / "results" / name / "probe.json")
    write_mark(work, steps[f"probe-{name}"], 1.0, 0)


def test_splits_are_joined_by_seed(tmp_path: Path) -> None:
    measured(tmp_path, "split2-best-seed0", [True, False, False])
    measured(tmp_path, "split2-best-seed1", [True, True, True])
    measured(tmp_path, "split3-best-seed1", [False, True, False], videos="def")
    found = {
        (cell.split, cell.row): cell
        for cell in read_cells(EXPERIMENT, small_plan(EXPERIMENT), tmp_path)
        if cell.measure == FEW_LABELS.title
    }
    assert found["2", "best"].values == (pytest.approx(1 / 3), 1.0) and found["2", "best"].expected == 2
    together = found["2 + 3", "best"]
    assert together.values == (pytest.approx(4 / 6),) and together.videos == 6  # seed 1, done on both
    assert together.groups == ("2/0", "2/0", "2/1", "3/0", "3/0", "3/1") and together.tested == ("abc", "def")
    assert found["3", "random"].values == ()


def test_results_of_different_videos_or_without_outcomes_are_refused(tmp_path: Path) -> None:
    names = {"2": ["split2-best-seed0", "split2-best-seed1"]}
    steps = [f"probe-{name}" for name in names["2"]]
    measured(tmp_path, names["2"][0], [True, False, False])
    measured(tmp_path, names["2"][1], [True, False, False], videos="other")
    with pytest.raises(DatasetError, match="of different videos: evaluate again"):
        read_cell(tmp_path, steps, steps, names, "best", FEW_LABELS)
    save_result(
        Result("probe", "a", "b", {}, {}, 1, 1, [], "old"),
        tmp_path / "results" / names["2"][1] / "probe.json",
    )
    with pytest.raises(DatasetError, match="no outcomes of accuracy, 10% of labels: evaluate again"):
        read_cell(tmp_path, steps, steps, names, "best", FEW_LABELS)


def test_pilots_choose_by_the_rule_of_the_protocol() -> None:
    means = dict.fromkeys(PILOTS, 0.5) | {"random": 0.9, "dense": 0.6, "recoded": 0.55}
    cells = [
        cell
        for name, rate in means.items()
        for cell in planted(name, {FEW_LABELS.title: rate, NEAREST.title: rate}, 2, "1")
    ]
    assert choose(cells) == {"coding": "dense"}
    tuned = {"adamw": 0.5, "sgd": 0.7}
    for row in TUNED:
        cells += planted(row, {f"fine-tuned by {n}, 10 % of labels": tuned[n] for n in OPTIMISERS}, 2, "1")
    assert choose(cells) == {"coding": "dense", "optimiser": "sgd"}


def test_the_protocol_is_that_of_the_plan() -> None:
    text = (ROOT / "results/small/protocol.md").read_text()
    assert len(Experiment().seeds) == 6 and "Six networks a row" in text
    assert all(f"| {row.title} |" in text for name, row in ROWS.items() if name != "best")
    assert BEST.options[-1] in text and BEST.options[-1] in [p.options[-1] for p in PILOTS.values()]
    assert BEST_OPTIMISER in [options[: len(BEST_OPTIMISER)] for options in OPTIMISERS.values()]
    assert [measure.title for measure in MEASURES[-len(TUNINGS) :]] == [t.title for t in TUNINGS.values()]
