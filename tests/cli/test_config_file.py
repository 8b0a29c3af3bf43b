"""`--config`: the same run again from its file, and options on the line that win."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch")

from helpers.coloured import SMALL, run
from helpers.commands import SMALL_NETWORK
from helpers.equal import assert_same

from mas_labels.shards.shard_set import ShardSet
from mas_train.cli.finetune import main as finetune_main
from mas_train.cli.pretrain import main as train_main
from mas_train.training.options import FinetuneOptions, TrainingOptions
from mas_train.weights.backbone_weights import FINETUNED, FINETUNED_VERSIONS
from mas_train.weights.checkpoint import list_checkpoints, load_checkpoint

NOT_RECORDED = {"resume", "shards", "val_shards", "probe_shards"}


@pytest.fixture(scope="module")
def first(small: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of unusual options, each of which changes the weights or the files."""
    out = tmp_path_factory.mktemp("first") / "run"
    recipe = ["--epochs", 9, "--lr", "0.01", "--seed", 3, "--dropout", 0.5, "--backbone", "c3d-bn"]
    how = ["--workers", 0, "--accumulate", 2, "--max-steps", 3, "--log-steps", 2, "--no-curves"]
    where = ["--where", "cut=false", "--where", "min_motion=0"]
    training, held_out = small.paths
    given = ["--shards", training, "--val-shards", held_out, "--val-steps", 2]
    given += ["--probe-shards", held_out, "--best-by", "probe"]
    assert run(train_main, *given, "--out", out, *SMALL_NETWORK, *recipe, *how, *where) == 0
    return out


def config_of(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "config.yaml").read_text())


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def newest(folder: Path) -> Any:
    return load_checkpoint(list_checkpoints(folder)[-1])


def test_the_file_gives_the_same_run_again_to_the_bit(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    assert run(train_main, "--config", first / "config.yaml", "--out", again) == 0
    said = capsys.readouterr().out.splitlines()[0]
    assert "entries taken; the line has --out" in said and f"(not {first})" in said
    assert "does not state" not in said
    assert_same(newest(again), newest(first))
    assert [path.name for path in list_checkpoints(again)] == [path.name for path in list_checkpoints(first)]
    before, after = config_of(first), config_of(again)
    assert after["options"].pop("out") == str(again) and before["options"].pop("out") == str(first)
    assert after == before


def test_every_option_is_recorded(first: Path) -> None:
    names = TrainingOptions.__dataclass_fields__.keys() - NOT_RECORDED
    config = config_of(first)
    assert config["options"].keys() == names
    assert [Path(entry["path"]).name for entry in config["val_shards"]] == ["folder-all-00001-of-00002.h5"]


def test_options_on_the_line_win_and_are_recorded(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "other"
    changed = ["--curves", "--seed", 3, "--lr", "0.02", "--max-steps", 1, "--where", "", "--out", out]
    assert run(train_main, "--config", first / "config.yaml", *changed) == 0
    said = capsys.readouterr().out.splitlines()[0]
    assert "--lr 0.02 (not 0.01)" in said and "--curves" in said and "--seed" not in said
    assert "--where '' (not cut=false,min_motion=0)" in said and "--max-steps 1 (not 3)" in said
    config = config_of(out)
    assert config["recipe"] == {**config_of(first)["recipe"], "learning_rate": 0.02, "where": ""}
    assert config["options"] == {
        **config_of(first)["options"],
        "max_steps": 1,
        "curves": True,
        "out": str(out),
    }


def test_its_own_folder_is_not_used_again_but_resumed(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(first, copy, symlinks=True)
    config = {**config_of(first), "options": {**config_of(first)["options"], "out": str(copy)}}
    file = write(copy / "config.yaml", config)
    assert run(train_main, "--config", file) == 1
    shown = capsys.readouterr()
    assert f"--out is the file's, {copy}" in shown.out and "already holds a run" in shown.err
    assert run(train_main, "--config", file, "--resume", "--max-steps", 4) == 0
    assert newest(copy)["step"] == 4
    resumed = config_of(copy)
    assert resumed["options"]["max_steps"] == 4 and "resume" not in resumed["options"]
    assert [entry["from_step"] for entry in resumed["environments"]] == [0, 3]
    assert run(train_main, "--config", file, "--resume", "--lr", "0.5") == 1
    assert "learning_rate was 0.01, is 0.5" in capsys.readouterr().err


def test_a_file_written_by_hand_needs_few_keys_and_states_what_no_option_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = "preset: authors, learning_rate: 1e-3, lr_step_epochs: 010, pixel_mean: [1, 2, 3], seed: ~"
    file = write(tmp_path / "mine.yaml", f"recipe: {{{recipe}, holdout: 5%}}\nshards: labels/*.h5\n")
    assert run(train_main, "--config", file, "--print-config", "--epochs", 7) == 0
    stated = json.loads(capsys.readouterr().out)
    assert (stated["learning_rate"], stated["lr_step_epochs"], stated["holdout"]) == (0.001, 10, 0.05)
    assert (stated["pixel_mean"], stated["epochs"], stated["bias_rate"]) == ([1, 2, 3], 7, 2)
    assert run(train_main, "--config", file) == 1  # its shards are not there
    shown = capsys.readouterr()
    assert "6 entries taken" in shown.out and "does not state" not in shown.out
    assert "mine.yaml names shards that are not there (no shards match 'labels/*.h5'" in shown.err
    assert run(train_main, "--config", file, "--preset", "ucf101") == 2
    assert "states entries of the preset authors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (
            {"recipe": {"learing_rate": 1}, "options": {"wokers": 2, "shards": "a"}, "epochs": 3, "none": 1},
            [
                "recipe.learing_rate (meant recipe.learning_rate?)",
                "options.wokers (meant options.workers?)",
                "options.shards (meant shards?)",
                "epochs (meant recipe.epochs?)",
                " none, recipe.learing",
            ],
        ),
        ({"command": "mas-finetune"}, ["is of mas-finetune, this is mas-train: run mas-finetune --config"]),
        ({"recipe": {"lr_decay": "slow"}}, ["recipe.lr_decay: expected of type float, found 'slow'"]),
        ({"recipe": {"lr_decay": 2}}, ["lr_decay: expected more than 0 and at most 1, found 2"]),
        ({"shards": [{"clips": 3}]}, ["shards: expected paths of shards, found None"]),
        (
            {"recipe": {"pixel_mean": [1, 2]}},
            ["pixel_mean: expected three numbers, R, G and B, found (1.0, 2.0)"],
        ),
        ({"recipe": {"pixel_mean": "123"}}, ["recipe.pixel_mean: expected a list of numbers, found '123'"]),
        ({"recipe": {"epochs": [3]}}, ["recipe.epochs: expected one value, found a list: correct it"]),
        ({"options": {"out": {"a": 1}}}, ["options.out: expected one value, found entries"]),
        ({"\n\x1b": 1}, [r"unknown entries \n\x1b"]),
        ("recipe: {epochs: 3, seed: 1, epochs: 4}", ["stated more than once: epochs"]),
        ("recipe: " + "[" * 9999, ["is not YAML"]),
        ("recipe: [", ["is not YAML"]),
        ("recipe: {epochs: !!int ''}", ["is not YAML"]),
        ("recipe: 3", ["expected entries `recipe`, `options` and `shards`"]),
        ("- 1", ["expected entries `recipe`, `options` and `shards`"]),
    ],
)
def test_wrong_files_are_refused_in_one_line(
    content: object, messages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "wrong.yaml", content)
    assert run(train_main, "--config", file, "--shards", "labels/*.h5", "--out", tmp_path / "run") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and [text for text in messages if text not in error] == []


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [("options", "workers", "-1"), ("options", "curves", "3"), ("recipe", "learning_rate", "yes")]
    + [("recipe", "epochs", text) for text in ("5.7", "true", "12:30", "0x10", ".inf", "2020-01-01")],
)
def test_a_value_that_an_option_does_not_take_is_refused_as_on_the_line(
    section: str, name: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "wrong.yaml", f"{section}: {{{name}: {value}}}")
    assert run(train_main, "--config", file, "--print-config") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {file}: {name}: ") and value in said and "is not" in said
    assert said.count("\n") == 1


def test_a_run_s_folder_for_its_file_is_told_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(train_main, "--config", tmp_path) == 1
    file = tmp_path / "config.yaml"
    assert capsys.readouterr().err == f"error: {tmp_path} is a folder: name the file in it, {file}\n"


def test_files_from_before_options_were_recorded_are_read(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(first)
    for name in ("command", "options", "val_shards", "probe_shards"):
        del config[name]
    del config["recipe"]["where"]
    file = write(tmp_path / "old.yaml", config)
    out = tmp_path / "out"
    assert run(train_main, "--config", file, *SMALL, "--max-steps", 1, "--out", out) == 0
    said = capsys.readouterr().out.splitlines()[0]
    assert "it does not state incomplete, checkpoint_steps, accumulate," in said and said.endswith(
        "val_shards, probe_shards: the defaults"
    )
    assert config_of(out)["recipe"] == {**config_of(first)["recipe"], "where": ""}


def test_other_shards_are_taken_only_where_the_line_names_them(
    first: Path, small: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(first)
    config["shards"][0]["content_hash"] = "0" * 64
    config["environments"][0]["processes"] = 2
    file = write(tmp_path / "changed.yaml", config)
    args = ("--config", file, "--out", tmp_path / "out", "--max-steps", 1)
    assert run(train_main, *args) == 1
    said, error = capsys.readouterr()
    assert "its run had 2 processes, this has 1: weights will differ" in said
    assert error.count("\n") == 1 and f"error: {small.paths[0]} is not the shard that the run of" in error
    assert "(1 of 1 shards): restore it, or give --shards" in error
    assert run(train_main, *args, "--shards", small.paths[0]) == 0


def test_fine_tuning_again_from_its_file(
    train: ShardSet, test: ShardSet, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = tmp_path / "start"
    shutil.copytree(pretrained, start, symlinks=True)
    first = tmp_path / "first"
    given = ["--init", start, "--shards", *train.paths, "--test-shards", *test.paths, "--labels", "50%"]
    given += ["--epochs", 1, "--batch-size", 4, "--fc-width", 16, "--memory-format", "contiguous", *SMALL]
    assert run(finetune_main, *given, "--out", first) == 0
    config = config_of(first)
    assert config["options"].keys() > FinetuneOptions.__dataclass_fields__.keys()
    assert config["options"]["memory_format"] == "contiguous"
    assert [entry["path"] for entry in config["test_shards"]] == [str(path) for path in test.paths]
    again = ["--config", first / "config.yaml", "--out", tmp_path / "again"]
    capsys.readouterr()
    assert run(finetune_main, *again) == 0
    assert "does not state" not in capsys.readouterr().out
    runs, formats = (first, tmp_path / "again"), {FINETUNED: FINETUNED_VERSIONS}
    assert_same(*(load_checkpoint(folder / "finetuned.pt", formats) for folder in runs))
    assert (tmp_path / "again" / "accuracy.json").is_file()
    assert run(finetune_main, "--config", first / "config.yaml") == 1
    assert "already holds a run" in capsys.readouterr().err
    assert run(finetune_main, "--config", first / "config.yaml", "--resume") == 0
    assert [entry["from_epoch"] for entry in config_of(first)["environments"]] == [0, 1]
    mine = write(tmp_path / "mine.yaml", {"recipe": {"width": 0.5}, "options": {"init": str(start)}})
    assert run(finetune_main, "--config", mine, "--shards", *train.paths, "--out", tmp_path / "mine") == 1
    assert "--width, --input-stride, --input-frames are for --init scratch" in capsys.readouterr().err
    shutil.rmtree(start)
    assert run(train_main, "--config", pretrained / "config.yaml", "--out", start, "--seed", 9) == 0
    assert run(finetune_main, "--config", first / "config.yaml", "--out", tmp_path / "third") == 1
    assert "are not those that the run of" in capsys.readouterr().err


def test_a_file_by_hand_with_entries_that_a_command_does_not_use_is_refused(
    first: Path, small: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "by_hand.yaml", tmp_path / "out"
    given = ["--config", file, "--shards", *small.paths, "--out", out, "--device", "cpu"]
    tuning = (finetune_main, *given, "--init", first)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ((train_main, *given), {"label_smoothing": 0.1}, "label_smoothing: pre-training does not use it"),
        ((train_main, *given), {"targets": "pace", "coding": "recoded"}, "found pace, which are classes"),
        (tuning, {"clip_grad_norm": 1}, "clip_grad_norm: fine-tuning does not use it"),
        (tuning, {"input_frames": "residual"}, "--input-frames are for --init scratch"),
    ]
    for command, recipe, expected in cases:
        write(file, {"recipe": recipe})
        assert run(*command) == 1
        assert expected in capsys.readouterr().err.splitlines()[-1]
        assert not out.exists()
