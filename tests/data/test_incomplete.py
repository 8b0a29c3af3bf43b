"""Shards missing from a folder's plan: every reader warns, and training refuses them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.coloured import SMALL, WIDTH, run
from helpers.processes import make_command
from helpers.videos import FOLDER_MANIFEST

from mas_labels.cli.main import main
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import IncompleteWarning
from mas_labels.plan.completeness import find_incomplete
from mas_labels.plan.heartbeat import Heartbeat
from mas_labels.plan.plan import plan_shards
from mas_labels.plan.plan_file import write_plan_file
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_train.cli.evaluate import main as eval_main
from mas_train.cli.finetune import main as finetune_main
from mas_train.cli.pretrain import main as train_main

MESSAGE = r"holds 1 of 2 shards of its plan \(missing: folder-all-00001-of-00002.h5\)\. Label first: the same"


@pytest.fixture
def part(tiny_shards, tmp_path):
    """A folder with the first of two shards."""
    (tmp_path / "part").mkdir()
    shutil.copy(tiny_shards[0], tmp_path / "part")
    return tmp_path / "part"


def test_readers_warn_once_per_folder_and_list_incomplete_folders(part, tiny_shards):
    with pytest.warns(IncompleteWarning, match=MESSAGE) as captured:
        shards = open_shards([part, *part.resolve().glob("*.h5"), *Path(os.path.relpath(part)).glob("*.h5")])
    assert len(captured) == 1
    assert "\nincomplete: " in repr(shards)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pickle.loads(pickle.dumps(shards)).incomplete == shards.incomplete  # workers do not warn
        whole = open_shards(tiny_shards[:1])  # the folder counts, not the paths that were given
    assert whole.incomplete == () and "incomplete" not in repr(whole)


def test_plan_files_reveal_batches_without_a_shard(part, tiny_videos):
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), tiny_videos), "all", 5)
    (first,) = plan.batches
    write_plan_file(part, first)
    added = type(first)(**{**vars(first), "number": 1, "count": 3})
    write_plan_file(part, added)
    (incomplete,) = find_incomplete(part.glob("*.h5"))
    assert (incomplete.planned, len(incomplete.missing)) == (5, 4)
    assert incomplete.missing[-1] == "folder-all-added0001-00002-of-00003.h5"


def test_added_shards_reveal_the_batches_before_them(part):
    (path,) = part.glob("*.h5")
    path.rename(part / "folder-all-added0002-00000-of-00001.h5")
    (incomplete,) = find_incomplete(part.glob("*.h5"))
    assert incomplete.missing == ("folder-all-*.h5", "folder-all-added0001-*.h5")
    assert "holds 1 of at least 3 shards of its plan" in str(incomplete)


def test_a_run_in_progress_is_named(part):
    with Heartbeat(part, "folder-all-00001-of-00002.h5", 4, "run"):
        (incomplete,) = find_incomplete(part.glob("*.h5"))
        assert "; a labelling run is at work there). Label first" in str(incomplete)


def test_files_of_other_names_and_folders_that_cannot_be_listed_are_no_plan(part, tiny_shards, monkeypatch):
    (path,) = part.glob("*.h5")
    path.rename(part / "some.h5")
    assert find_incomplete([part / "some.h5"]) == ()
    monkeypatch.setattr(
        "mas_labels.plan.completeness.os.scandir", lambda _: (_ for _ in ()).throw(OSError(13, "no"))
    )
    assert find_incomplete(tiny_shards) == ()


def test_verify_and_report_warn(part, tmp_path):
    shown = CliRunner().invoke(main, ["verify", str(part)])
    assert shown.exit_code == 0 and "warning: " in shown.output and "holds 1 of 2 shards" in shown.output
    report = json.loads(CliRunner().invoke(main, ["verify", "--json", str(part)]).output)
    assert len(report["incomplete"]) == 1 and report["sound"] is True
    shown = CliRunner().invoke(main, ["report", str(part), "--out", str(tmp_path / "page.html")])
    assert shown.exit_code == 0 and shown.output.count("warning: ") == 1, shown.output
    assert "1 of 2" in (tmp_path / "page.html").read_text()


def test_a_rank_that_lists_its_failures_does_not_call_the_others_missing(tiny_videos, tmp_path):
    command = make_command(
        tiny_videos, tmp_path / "out", "--rank", "0", "--world-size", "2", "--workers", "1"
    )
    shown = CliRunner().invoke(main, command[3:])
    assert shown.exit_code == 3 and "rank 0 of 2, from --rank" in shown.output
    assert "warning" not in shown.output and "open/cannot_open" in shown.output


def test_pretraining_refuses_incomplete_shards_by_default(part, tiny_shards, tmp_path, capsys):
    small = [*SMALL, "--width", WIDTH, "--fc-width", 16, "--batch-size", 2, "--max-steps", 1]
    for number, given in enumerate((["--shards", part], ["--shards", *tiny_shards, "--val-shards", part])):
        out = tmp_path / f"run{number}"
        assert run(train_main, *given, "--out", out, *small) == 1
        error = capsys.readouterr().err
        assert "holds 1 of 2 shards of its plan" in error and "or give --incomplete" in error
        assert error.count("holds 1 of 2") == 1 and not out.exists()
    assert run(train_main, "--shards", part, "--out", out, *small, "--incomplete") == 0
    assert capsys.readouterr().out.count("warning: ") == 1


def incomplete_copy(shards: ShardSet, folder: Path) -> Path:
    """Copy all shards of a set but the last."""
    folder.mkdir()
    for path in shards.paths[:-1]:
        shutil.copy(path, folder)
    return folder


def test_finetuning_refuses_incomplete_shards_by_default_and_results_record_them(
    train, test, tmp_path, capsys
):
    few, out = incomplete_copy(train, tmp_path / "few"), tmp_path / "out"
    options = ["--init", "scratch", "--width", WIDTH, "--epochs", 1, "--batch-size", 4, *SMALL, "--out", out]
    for given in (["--shards", few], ["--shards", *train.paths, "--test-shards", few]):
        assert run(finetune_main, *given, *options) == 1
        assert "shards of its plan" in capsys.readouterr().err and not out.exists()
    given = ["--shards", few, "--test-shards", *test.paths, "--incomplete"]
    assert run(finetune_main, *given, *options) == 0
    assert capsys.readouterr().err.count(f"warning: {few} holds 1 of 2") == 1
    assert json.loads((out / "accuracy.json").read_text())["details"]["incomplete"] == []
    accuracy = ["accuracy", "--checkpoint", out, "--shards", few, "--out", tmp_path / "results", *SMALL]
    assert run(eval_main, *accuracy) == 0
    captured = capsys.readouterr()
    assert f"warning: {few} holds 1 of 2" in captured.out
    (kept,) = json.loads((tmp_path / "results" / "accuracy.json").read_text())["details"]["incomplete"]
    assert kept.startswith(f"{few} holds 1 of 2 shards")


def test_a_command_warns_in_one_line(part, tmp_path):
    command = [sys.executable, "-m", "mas_labels", "inspect", part, "--out", tmp_path / "clip.png"]
    shown = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    (line,) = [line for line in shown.stderr.splitlines() if "warning" in line.lower()]
    assert line.startswith(f"warning: {part} holds 1 of 2 shards of its plan")
