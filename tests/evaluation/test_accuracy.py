"""Action recognition: accuracy from scores, and by the commands, with a run from scratch as the baseline."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coloured import SMALL, WIDTH, run
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, InputError
from mas_labels.shards.shard_set import ShardSet
from mas_train.cli.evaluate import main as eval_main
from mas_train.cli.finetune import main as finetune_main
from mas_train.data.few_labels import failed_videos
from mas_train.evaluation.accuracy import load_scratch_run, video_accuracy
from mas_train.evaluation.results import read_results, row_key, show_result
from mas_train.weights.backbone_weights import load_weights
from mas_train.weights.tensor_file import write_tensors

NONE = np.array([], np.int64)
SCHEDULE = ["--fc-width", 32, "--dropout", 0, "--lr", 0.02, "--epochs", 5, "--batch-size", 3, *SMALL]


def test_accuracy_of_planted_scores_by_hand() -> None:
    """Of 40 videos in 8 classes, 28 are correct, 6 more are second to fifth, 6 are last; 10 failed."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(8), 5)
    scores = rng.uniform(0, 1, (40, 8))
    places = rng.permutation([0] * 28 + [1, 2, 3, 4, 4, 4] + [7] * 6)
    for row, (video, place) in enumerate(zip(truth, places, strict=True)):
        ranked = np.sort(scores[row])[::-1]
        others = [c for c in range(8) if c != video]
        scores[row, video] = ranked[place]
        scores[row, others] = rng.permutation(np.delete(ranked, place))
    accuracy = video_accuracy(scores, truth, np.array([0] * 5 + [-1] * 5))
    assert (accuracy.videos, accuracy.failed) == (50, 10)
    assert {name: right.sum() for name, right in accuracy.right.items()} == {"top-1": 28, "top-5": 34}
    n_correct = np.bincount(truth[places == 0], minlength=8)
    np.testing.assert_allclose(accuracy.per_class, n_correct / [10, 5, 5, 5, 5, 5, 5, 5])
    assert accuracy.confusion[:, 8].tolist() == [5, 0, 0, 0, 0, 0, 0, 0]
    assert accuracy.confusion.sum() == 45 and np.trace(accuracy.confusion) == 28


def test_a_class_without_videos_has_no_accuracy_and_ties_go_to_the_lower_number() -> None:
    accuracy = video_accuracy(np.zeros((2, 3)), np.array([0, 1]), NONE)
    assert [right.mean() for right in accuracy.right.values()] == [0.5, 1.0]
    assert accuracy.per_class[:2].tolist() == [1, 0] and math.isnan(accuracy.per_class[2])


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        (np.full((1, 2), np.nan), [0], "finite"),
        (np.zeros((1, 2)), [2], "classes 0 to 1, found 2"),
        (np.zeros((1, 2)), [-1], "classes 0 to 1, found -1"),
        (np.zeros((1, 2)), [0, 1], "expected scores"),
        (np.zeros((0, 2)), [], "found none"),
    ],
)
def test_invalid_scores_are_refused(scores: NDArray[np.float64], truth: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        video_accuracy(scores, np.array(truth, np.int64), NONE)


def finetune(train: ShardSet, test: ShardSet, out: Path, *options: object) -> int:
    shards = ["--shards", *train.paths, "--test-shards", test.paths[0].parent]
    return run(finetune_main, *shards, "--out", out, *SCHEDULE, *options)


@pytest.fixture(scope="module")
def scratch(train: ShardSet, test: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run fine-tuned from random weights."""
    out = tmp_path_factory.mktemp("scratch")
    assert finetune(train, test, out, "--init", "scratch", "--width", WIDTH, "--seed", 3) == 0
    return out


@pytest.fixture(scope="module")
def tuned(
    pretrained: Path, scratch: Path, train: ShardSet, test: ShardSet, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a run fine-tuned from pre-trained convolutions, with the run from scratch as the baseline."""
    out = tmp_path_factory.mktemp("tuned")
    assert finetune(train, test, out, "--init", pretrained, "--scratch-run", scratch) == 0
    return out


def test_planted_classes_are_learnt_and_failed_videos_count_as_wrong(tuned: Path) -> None:
    (result,) = read_results([tuned])
    assert result.figures == {"top-1": 4 / 5, "top-5": 4 / 5}
    assert (result.videos, result.clips, result.failed) == (5, 6, ["red/9999.avi"])
    assert result.details["per_class"] == [1.0, 2 / 3]
    assert result.weights["kind"] == "fine-tuned" and result.weights["frozen"] is False
    assert (tuned / "confusion.png").exists()
    assert "red/9999.avi" in show_result(result)


def test_classes_are_shown_and_written_as_a_table(tuned: Path) -> None:
    text = show_result(read_results([tuned])[0])
    assert "    blue   1.0000 of 2 videos\n    red    0.6667 of 3 videos\n" in text
    with (tuned / "classes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(row.values()) for row in rows] == [
        ("blue", "2", "2", "1.0000", ""),
        ("red", "3", "2", "0.6667", "(failed)"),
    ]


def test_a_run_from_scratch_is_reported_as_the_baseline(tuned: Path, scratch: Path) -> None:
    (ours,), (baseline,) = read_results([tuned]), read_results([scratch])
    assert ours.random_initialisation == baseline.figures
    assert ours.details["scratch_run"] == str(scratch) and row_key(baseline) == "accuracy/scratch"
    assert "random initialisation  0.8000" in show_result(ours)
    assert "--scratch-run" not in show_result(baseline)


def test_evaluating_again_gives_the_same_accuracy(
    tuned: Path, scratch: Path, test: ShardSet, tmp_path: Path
) -> None:
    args = ["accuracy", "--checkpoint", tuned, "--shards", *test.paths, *SMALL]
    assert run(eval_main, *args, "--out", tmp_path / "a", "--scratch-run", scratch) == 0
    assert run(eval_main, *args, "--out", tmp_path / "b") == 0
    again, without_baseline = read_results([tmp_path])
    first = read_results([tuned])[0]
    assert again.figures == without_baseline.figures == first.figures
    assert (
        again.random_initialisation == first.random_initialisation
        and without_baseline.random_initialisation == {}
    )
    assert "--scratch-run names such a run" in show_result(without_baseline)


def test_a_run_that_is_no_baseline_is_refused_before_the_work(
    pretrained: Path,
    tuned: Path,
    scratch: Path,
    train: ShardSet,
    test: ShardSet,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for options, message in (
        (["--scratch-run", tuned], "did not begin from random weights"),
        (["--scratch-run", scratch, "--epochs", 6], "was trained otherwise (epochs)"),
        (["--scratch-run", scratch, "--labels", "50%"], "was trained otherwise (label_fraction)"),
    ):
        assert finetune(train, test, tmp_path / "out", "--init", pretrained, *options) == 1
        assert message in capsys.readouterr().err and not (tmp_path / "out").exists()
    without_test = ["--shards", *train.paths, "--init", pretrained, "--scratch-run", scratch, *SCHEDULE]
    assert run(finetune_main, *without_test, "--out", tmp_path / "out") == 1
    assert "give --test-shards, too" in capsys.readouterr().err
    assert finetune(test, test, tmp_path / "out", "--init", pretrained, "--scratch-run", scratch) == 1
    assert "(content_hashes)" in capsys.readouterr().err
    content = load_weights(scratch).content
    with pytest.raises(ConfigError, match=r"was trained otherwise \(frozen\)"):
        load_scratch_run(str(scratch), {**content, "frozen": True})
    write_tensors(tmp_path / "stopped.pt", {**content, "epoch": 4})
    with pytest.raises(ConfigError, match="expected a finished run, found 4 of 5 epochs"):
        load_scratch_run(str(tmp_path / "stopped.pt"), content)


def test_leaks_between_training_and_test_are_reported(
    tuned: Path, train: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["accuracy", "--checkpoint", tuned, "--shards", *train.paths, "--out", tmp_path, *SMALL]
    assert run(eval_main, *args) == 0
    (leak,) = read_results([tmp_path])[0].details["leaks"]
    assert leak.startswith("8 videos are in the training and in the test shards, such as 'blue/0001.avi'")
    assert f"  warning: {leak}\n" in capsys.readouterr().out
    assert read_results([tuned])[0].details["leaks"] == []


def test_fine_tuned_external_weights_are_no_baseline(
    pretrained: Path, train: ShardSet, test: ShardSet, tmp_path: Path
) -> None:
    weights = load_weights(pretrained).backbone.state_dict()  # convs.0.weight: conv1.weight of public C3Ds
    public = {f"conv{int(name[6]) + 1}{name[7:]}": value for name, value in weights.items()}
    torch.save(public, tmp_path / "c3d.pt")
    assert finetune(train, test, tmp_path / "out", "--init", tmp_path / "c3d.pt") == 0
    (result,) = read_results([tmp_path / "out"])
    assert result.weights["kind"] == "other" and row_key(result) == "accuracy/None/None"


def test_a_failed_video_alone_in_its_folder_has_the_class_of_the_folders_name() -> None:
    from types import SimpleNamespace

    videos = [SimpleNamespace(path="b/1.avi", class_index=1)]
    failures = [SimpleNamespace(video=name) for name in ("a/2.avi", "b/3.avi", "x/4.avi", "5.avi")]
    shards = SimpleNamespace(videos=videos, failures=failures, classes=["a", "b"])
    paths, classes = failed_videos(shards)  # type: ignore[arg-type]
    assert dict(zip(paths, classes.tolist(), strict=True)) == {
        "5.avi": -1,
        "a/2.avi": 0,
        "b/3.avi": 1,
        "x/4.avi": -1,
    }


def test_test_shards_of_other_classes_are_refused_before_the_work(
    train: ShardSet, tiny_shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = ["--shards", *train.paths, "--test-shards", *tiny_shards]
    assert run(finetune_main, *shards, "--init", "scratch", "--out", tmp_path / "out", *SMALL) == 1
    assert "expected, for example, 'blue', found 'pan'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", ["10%", "0.1", "ten"])
def test_shares_are_read_as_percentages_or_fractions(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(finetune_main, "--shards", "nowhere", "--init", "scratch", "--labels", share)
    refusal = "expected a share, more than 0 and at most 1, found 'ten'"
    expected = (2, refusal) if share == "ten" else (1, "no shards match 'nowhere'")
    assert status == expected[0] and expected[1] in capsys.readouterr().err


def test_finetuning_does_not_choose_its_first_weights_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finetune_main, "--shards", "nowhere") == 2
    assert "Missing option '--init'" in capsys.readouterr().err


def test_options_of_layers_that_a_linear_classifier_lacks_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--shards", "nowhere", "--init", "scratch", "--freeze", "--dropout", 0.5]
    assert run(finetune_main, *given) == 2
    assert "--dropout: it does nothing with --freeze" in capsys.readouterr().err
