"""Results, and the paper's tables with ours next to the published figures."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mas_labels.errors import DatasetError
from mas_train.evaluation.intervals import Outcomes
from mas_train.evaluation.published import TABLES
from mas_train.evaluation.results import Result, describe_weights, read_results, save_result, show_result
from mas_train.evaluation.tables import show_tables
from mas_train.weights.backbone_weights import load_weights


def result(**changes: object) -> Result:
    weights = {"kind": "fine-tuned", "preset": "ucf101", "targets": "joint", "source": "runs/x"}
    base = Result(
        "accuracy", "ucf101", "test1", {"top-1": 0.5, "top-5": 0.8}, weights, 3783, 9, [], "mas-finetune x"
    )
    return replace(base, **changes)


def test_tables_show_our_figures_next_to_the_published(tmp_path: Path) -> None:
    scratch, joint = {"kind": "supervised", "source": "runs/s"}, result().weights
    results = [
        result(),
        result(weights=scratch, figures={"top-1": 0.401}, command="mas-finetune scratch"),
        result(weights={**result().weights, "coding": "sin-cos"}, dataset="hmdb51", videos=100),
        result(weights={**result().weights, "coding": "recoded"}, figures={"top-1": 0.612}),
        result(split="test2", figures={"top-1": 0.99}, command="mas-eval x"),
        result(weights={**joint, "frozen": True}, figures={"top-1": 0.98}, command="mas-eval x"),
        result(weights={**joint, "filters": ["cut=false"]}, figures={"top-1": 0.97}, command="mas-eval x"),
        result(protocol="aslan", dataset="aslan", split="all", videos=3697, figures={"accuracy": 0.6}),
    ]
    for number, entry in enumerate(results):
        save_result(entry, tmp_path / f"{number}.json")
    text = show_tables(read_results([tmp_path]))
    assert "| Joint | 58.8 | 50.0 | 32.6 | (50.0: 100 of 1530 videos) |" in text
    assert "| Joint, recoded | - | 61.2 | - | - |" in text and "UCF101, recoded | - | 61.2 |" in text
    assert "| From scratch | 45.4 | 40.1 | 19.7 | - |" in text
    assert "| Random | 45.4 | 40.1 |" in text
    assert "| C3D, fine-tuned after self-supervision | 62.3 | 60.0 |" in text
    assert "\n    mas-finetune scratch  # From scratch\n" in text
    assert not any(figure in text for figure in ("99.0", "98.0", "97.0"))
    assert "fine-tuned as a whole: mas-eval x." in text
    assert [f"### Table {number}." in text for number in TABLES] == [True] * 6


def outcomes(right: str, videos: str = "same") -> dict[str, object]:
    """Return outcomes of 3783 videos, in groups of four."""
    groups = [number // 4 for number in range(3783)]
    return asdict(Outcomes(videos, "groups of videos", groups, {"top-1": [right]}, {}))


def test_tables_show_intervals_and_differences_of_rows_of_the_same_videos() -> None:
    half, less = "1100" * 945 + "110", "1000" * 945 + "100"
    joint = {**result().weights, "seed": 0}
    scratch = {"kind": "supervised", "source": "runs/s"}
    runs = [
        result(outcomes=outcomes(half), weights=joint),
        result(outcomes=outcomes("0" + half[1:]), weights={**joint, "seed": 1}),
        result(outcomes=outcomes(less), weights={**scratch, "seed": 0}, command="mas-finetune a"),
        result(dataset="hmdb51", videos=1530),
    ]
    text = show_tables(runs)
    assert "Without intervals, made by a version" in text and text.count("mas-finetune x.") == 1
    assert "| Joint | 58.8 | 50.0 [" in text and "] of 2 networks | 32.6 | 50.0 |" in text
    assert re.search(r"- Joint less random weights, ucf101: \+25\.\d \[\+2\d\.\d, \+2\d\.\d\]", text)
    mixed = show_tables([*runs[:2], result(outcomes=outcomes(less), weights=scratch)])
    assert "], of 2 networks less 1: the one stands for itself" in mixed
    others = show_tables([runs[0], result(outcomes=outcomes(less, "other"), weights={**scratch, "seed": 0})])
    assert "- Joint less random weights, ucf101: no interval: it needs outcomes of the same" in others
    again = show_tables([runs[0], runs[0]])  # the same network twice is not two networks
    assert "of 2 networks" not in again


def test_only_networks_of_one_recipe_are_joined() -> None:
    half = outcomes("1100" * 945 + "110")
    joint = {**result().weights, "seed": 0, "backbone": "c3d"}
    runs = [result(outcomes=half, weights={**joint, "seed": seed}) for seed in range(2)]
    assert "of 2 networks" in show_tables(runs)
    for other in ({"backbone": "c3d-bn"}, {"recipe": "another"}):
        both = [{**joint, "recipe": "one"}, {**joint, "recipe": "one", "seed": 1, **other}]
        assert "of 2 networks" not in show_tables([replace(runs[0], weights=each) for each in both])
    mean = [replace(runs[0], details={"features": "mean"}), replace(runs[1], details={"features": "pooled"})]
    assert "of 2 networks" not in show_tables(mean)
    earlier = [runs[0], replace(runs[1], weights={**joint, "seed": 1, "recipe": "one"})]
    assert "of 2 networks" in show_tables(earlier)  # versions that stated no recipe


def test_the_digest_of_recipes_is_that_of_all_choices_but_the_seed(pretrained: Path) -> None:
    weights = load_weights(pretrained)
    changes: list[dict[str, object]] = [{}, {"seed": 9}, {"learning_rate": 0.5}, {"target_scale": "standard"}]
    stated = [
        describe_weights(replace(weights, recipe={**weights.recipe, **change}))["recipe"]
        for change in changes
    ]
    assert stated[0] == stated[1] and len(set(stated)) == 3
    short = {
        name: value for name, value in weights.recipe.items() if name != "colour_jitter"
    }  # a later field
    assert describe_weights(replace(weights, recipe=short))["recipe"] == stated[0]


def test_no_difference_is_shown_between_networks_of_other_widths() -> None:
    half, less = outcomes("1100" * 945 + "110"), outcomes("1000" * 945 + "100")
    ours = result(outcomes=half, weights={**result().weights, "seed": 0, "width": 0.5})
    scratch = {"kind": "supervised", "source": "runs/s", "seed": 0}
    same, other = (
        show_tables([ours, result(outcomes=less, weights={**scratch, "width": width})])
        for width in (0.5, 1.0)
    )
    assert "- Joint less random weights, ucf101: +25." in same and "no difference" not in same
    assert "- Joint less random weights, ucf101: no difference: of other networks, widths or layers" in other


def test_networks_of_other_pretexts_and_view_1_are_not_in_the_papers_rows_of_similarity() -> None:
    trained = {"kind": "self-supervised", "preset": "ucf101", "targets": "joint", "source": "runs/x"}
    sets = {"protocol": "aslan", "dataset": "aslan", "split": "all", "videos": 3697}
    changes = {0.61: {}, 0.62: {"targets": "pace"}, 0.63: {"preset": "kinetics400", "coding": "recoded"}}
    runs = [
        result(**sets, figures={"accuracy": figure}, weights={**trained, **change})
        for figure, change in changes.items()
    ]
    runs.append(result(**sets, figures={"accuracy": 0.99}, weights=trained, details={"view": 1}))
    text = show_tables(runs)
    assert "| C3D, self-supervised | 59.4 | 61.0 |" in text and "99.0" not in text
    assert "| C3D, self-supervised, pace | - | 62.0 |" in text
    assert "| C3D, self-supervised, preset kinetics400 recoded | - | 63.0 |" in text


def test_a_network_that_was_never_trained_is_not_called_self_supervised(pretrained: Path) -> None:
    weights = load_weights(pretrained)
    assert describe_weights(weights)["kind"] == "self-supervised"
    assert describe_weights(replace(weights, content={**weights.content, "step": 0}))["kind"] == "scratch"


def test_what_counts_as_wrong_or_is_left_out_is_told() -> None:
    text = show_result(result(details={"without_class": 3, "pairs": 90, "pairs_without_features": 4}))
    assert "  warning: 3 test videos without a class are left out" in text
    assert "  4 of 90 pairs: a video gave no clip; they count as wrong" in text


def test_results_of_incomplete_test_sets_are_not_comparable() -> None:
    text = show_result(result(videos=3000, failed=["a b.avi"]))
    assert "not comparable: 3000 of the test set's 3783 videos" in text
    assert "1 videos gave no clip" in text and "'a b.avi'" in text
    assert "published, MAS, pre-trained on Kinetics-400: 0.6120" in text


def test_corrupt_results_are_refused_and_other_json_files_ignored(tmp_path: Path) -> None:
    save_result(result(), tmp_path / "a.json")
    (tmp_path / "config.json").write_text(json.dumps({"recipe": {}}))
    assert read_results([tmp_path]) == [result()]
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(DatasetError, match=r"b\.json is not a readable result"):
        read_results([tmp_path])


def test_of_many_classes_the_best_and_the_worst_are_shown() -> None:
    names = [f"c{number:02}" for number in range(30)]
    shares = [number / 29 for number in range(30)]
    details = {"classes": names, "per_class": shares, "confusion": [[1, 1]] * 30}
    lines = show_result(result(details=details)).splitlines()
    shown = [line.split()[0] for line in lines if line.endswith("of 2 videos")]
    assert shown == [*names[:19:-1], *names[9::-1]]
    assert "    ... 10 more in classes.csv" in lines


def test_results_of_the_first_version_are_shown() -> None:
    old = result(protocol="probe", figures={"accuracy": 0.5}, details={"c": 10.0, "few": 0.1})
    assert "accuracy   0.5000\n  without intervals" in show_result(old)


def test_leaks_and_a_missing_baseline_are_reported() -> None:
    text = show_result(result(details={"leaks": ["3 groups are in both"]}))
    assert "\n  warning: 3 groups are in both" in text and "--scratch-run names such a run" in text
