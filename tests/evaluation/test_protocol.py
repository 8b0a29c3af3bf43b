"""Behaviour that all protocols share: shards of one split, errors in one line, help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.coloured import CPU, WIDTH, run
from helpers.shards import write_plain_videos

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_train.cli.evaluate import command as eval_command
from mas_train.cli.evaluate import main as eval_main
from mas_train.cli.finetune import command as finetune_command
from mas_train.cli.options import choose_compute
from mas_train.evaluation.features import Extraction
from mas_train.evaluation.protocol import Evaluation, dataset_and_split
from mas_train.evaluation.retrieval import evaluate_retrieval
from mas_train.weights.backbone_weights import load_weights

ROOT = Path(__file__).parents[2]


def test_shards_of_two_splits_are_refused_before_the_work(train: ShardSet) -> None:
    assert dataset_and_split(train) == ("folder", "all")
    mixed = open_shards(train.paths)
    mixed.shard(0).plan["split"] = "other"
    with pytest.raises(DatasetError, match="found folder/all, folder/other: evaluate one at a time"):
        dataset_and_split(mixed)


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["accuracy", "--checkpoint", "scratch", "--shards", "TEST"], 1, "scratch has no classes"),
        (["accuracy", "--checkpoint", "nowhere.pt", "--shards", "TEST"], 1, "cannot be read (No such file"),
        (["yupenn", "--checkpoint", "scratch", "--shards", "nowhere"], 1, "no shards match 'nowhere'"),
        (["aslan", "--checkpoint", "scratch", "--shards", "TEST"], 2, "either --view2"),
        (
            ["aslan", "--checkpoint", "no", "--shards", "no", "--view2", "no", "--features", "pixels"],
            2,
            "0 or more",
        ),
        (["retrieval", "--checkpoint", "scratch", "--shards", "TEST"], 2, "Missing option '--gallery'"),
        (["attention", "--checkpoint", "scratch", "--shards", "TEST", "--clip", "99"], 1, "found [99]"),
        (
            ["probe", "--checkpoint", "scratch", "--shards", "TEST", "--few", "5%"],
            2,
            "nothing without --train",
        ),
        (["table", "."], 1, "no results of mas-eval or mas-finetune"),
    ],
)
def test_errors_are_one_line(
    args: list[str],
    status: int,
    message: str,
    test: ShardSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(test.paths[0].parent) if arg == "TEST" else arg for arg in args]
    assert run(eval_main, *given) == status
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_videos_without_a_class_are_counted(tmp_path: Path) -> None:
    videos = [(f"{name}/{n}.avi", name, None, 60 * n) for name in "ab" for n in range(2)]
    shards = open_shards(write_plain_videos(tmp_path / "a.h5", [*videos, ("c.avi", None, None, 9)], 2))
    weights, extraction = load_weights("scratch", width=WIDTH), Extraction(CPU, 0)
    evaluation = Evaluation(weights, extraction, tmp_path, "", feature_kind="pixels")
    result = evaluate_retrieval(evaluation, shards, shards)
    assert (result.videos, result.clips, result.details["without_class"]) == (4, 8, 1)


def test_several_processes_of_a_command_that_works_alone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="expected one process, found WORLD_SIZE=2"):
        choose_compute("cpu", None)


def test_every_command_and_option_has_help_and_starts_without_torch() -> None:
    commands = [finetune_command, *eval_command.commands.values()]
    for command in commands:
        assert command.help
        assert [
            p.name for p in command.params if p.param_type_name == "option" and not getattr(p, "help", "")
        ] == []
    code = "import mas_train.cli.evaluate, mas_train.cli.finetune, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ}).returncode == 0
