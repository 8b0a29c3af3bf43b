"""Action recognition by the commands: fine-tuned, tested, beside a run from scratch. Classes are colours."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from helpers.coloured import SMALL, WIDTH, run

from mas_labels.shards.shard_set import ShardSet
from mas_train.cli.evaluate import main as eval_main
from mas_train.cli.finetune import main as finetune_main
from mas_train.data.few_labels import failed_videos
from mas_train.evaluation.results import read_results, row_key, show_result
from mas_train.weights.backbone_weights import load_weights

SCHEDULE = ["--fc-width", 32, "--dropout", 0, "--lr", 0.02, "--epochs", 5, "--batch-size", 3, *SMALL]


def finetune(train: ShardSet, test: ShardSet, out: Path, *options: object) -> int:
    shards = ["--shards", *train.paths, "--test-shards", test.paths[0].parent]
    return run(finetune_main, *shards, "--out", out, *SCHEDULE, *options)


@pytest.fixture(scope="module")
def scratch(train: ShardSet, test: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All from random weights."""
    out = tmp_path_factory.mktemp("scratch")
    assert finetune(train, test, out, "--init", "scratch", "--width", WIDTH, "--seed", 3) == 0
    return out


@pytest.fixture(scope="module")
def tuned(
    pretrained: Path, scratch: Path, train: ShardSet, test: ShardSet, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Pre-trained convolutions, fine-tuned and tested beside the run from scratch."""
    out = tmp_path_factory.mktemp("tuned")
    assert finetune(train, test, out, "--init", pretrained, "--scratch-run", scratch) == 0
    return out


def test_a_planted_class_structure_is_learnt_and_failed_videos_count_wrong(tuned: Path) -> None:
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


def test_a_run_from_scratch_stands_beside(tuned: Path, scratch: Path) -> None:
    (ours,), (baseline,) = read_results([tuned]), read_results([scratch])
    assert ours.random_initialisation == baseline.figures
    assert ours.details["scratch_run"] == str(scratch) and row_key(baseline) == "accuracy/scratch"
    assert "random initialisation  0.8000" in show_result(ours)
    assert "--scratch-run" not in show_result(baseline)


def test_accuracy_again_gives_the_same(tuned: Path, scratch: Path, test: ShardSet, tmp_path: Path) -> None:
    args = ["accuracy", "--checkpoint", tuned, "--shards", *test.paths, *SMALL]
    assert run(eval_main, *args, "--out", tmp_path / "a", "--scratch-run", scratch) == 0
    assert run(eval_main, *args, "--out", tmp_path / "b") == 0
    again, alone = read_results([tmp_path])
    before = read_results([tuned])[0]
    assert again.figures == alone.figures == before.figures
    assert again.random_initialisation == before.random_initialisation and alone.random_initialisation == {}
    assert "--scratch-run names such a run" in show_result(alone)


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
        (["--scratch-run", scratch, "--freeze"], "was trained otherwise (frozen)"),
    ):
        assert finetune(train, test, tmp_path / "out", "--init", pretrained, *options) == 1
        assert message in capsys.readouterr().err and not (tmp_path / "out").exists()
    bare = ["--shards", *train.paths, "--init", pretrained, "--scratch-run", scratch, *SCHEDULE]
    assert run(finetune_main, *bare, "--out", tmp_path / "out") == 1
    assert "give --test-shards, too" in capsys.readouterr().err
    assert finetune(test, test, tmp_path / "out", "--init", pretrained, "--scratch-run", scratch) == 1
    assert "(content_hashes)" in capsys.readouterr().err


def test_what_was_learnt_from_is_told_when_it_is_tested(
    tuned: Path, train: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["accuracy", "--checkpoint", tuned, "--shards", *train.paths, "--out", tmp_path, *SMALL]
    assert run(eval_main, *args) == 0
    (leak,) = read_results([tmp_path])[0].details["leaks"]
    assert leak.startswith("8 videos are in the training and in the test shards, such as 'blue/0001.avi'")
    assert f"  warning: {leak}\n" in capsys.readouterr().out
    assert read_results([tuned])[0].details["leaks"] == []


def test_weights_from_elsewhere_are_no_baseline_once_fine_tuned(
    pretrained: Path, train: ShardSet, test: ShardSet, tmp_path: Path
) -> None:
    weights = load_weights(pretrained).backbone.state_dict()  # convs.0.weight: conv1.weight of public C3Ds
    public = {f"conv{int(name[6]) + 1}{name[7:]}": value for name, value in weights.items()}
    torch.save(public, tmp_path / "c3d.pt")
    assert finetune(train, test, tmp_path / "out", "--init", tmp_path / "c3d.pt") == 0
    (result,) = read_results([tmp_path / "out"])
    assert result.weights["kind"] == "other" and row_key(result) == "accuracy/None/None"


def test_a_failed_video_without_companions_has_the_class_of_its_folders_name() -> None:
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


def test_test_shards_of_other_classes_are_refused_before_work(
    train: ShardSet, tiny_shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = ["--shards", *train.paths, "--test-shards", *tiny_shards]
    assert run(finetune_main, *shards, "--init", "scratch", "--out", tmp_path / "out", *SMALL) == 1
    assert "expected such as 'blue', found such as 'pan'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", ["10%", "0.1", "ten"])
def test_shares_are_read_in_percent_or_plain(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(finetune_main, "--shards", "nowhere", "--init", "scratch", "--labels", share)
    expected = (2, "'ten' is no share") if share == "ten" else (1, "no shards match 'nowhere'")
    assert status == expected[0] and expected[1] in capsys.readouterr().err
