"""`mas-train`: paths, options, and errors in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import SMALL_NETWORK

from mas_train.cli.pretrain import main
from mas_train.weights.checkpoint import list_checkpoints, load_checkpoint

ROOT = Path(__file__).parents[2]


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_shards_are_given_as_paths_or_as_a_quoted_pattern(
    tiny_shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = tiny_shards[0].parent / "*.h5"
    for name, shards in (("globbed", tiny_shards), ("quoted", [pattern])):
        args = (
            "--shards",
            *shards,
            "--out",
            tmp_path / name,
            "--max-steps",
            1,
            "--workers",
            0,
            *SMALL_NETWORK,
        )
        status, out, _ = run(capsys, *args, "--max-steps", 1, "--workers", 0)
        assert status == 0 and "12 clips in 2 shards" in out and "1 of 60 steps" not in out
        assert "1 of 1 steps done" in out and "predicting the mean label" in out
    one, other = (list_checkpoints(tmp_path / name)[-1] for name in ("globbed", "quoted"))
    assert load_checkpoint(one)["content_hashes"] == load_checkpoint(other)["content_hashes"]


def test_options_reach_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    args = [
        "--targets",
        "motion-rings",
        "--orientation",
        "sin-cos",
        "--target-scale",
        "standard",
        "--init",
        "he",
    ]
    args += ["--backbone", "c3d-bn", "--holdout", "5%", "--motion-weight", "2", "--weight-decay-on", "fc"]
    _, out, _ = run(capsys, "--preset", "authors", "--print-config", *args)
    recipe = json.loads(out)
    chosen = ("targets", "coding", "target_scale", "initialisation", "backbone", "holdout", "motion_weight")
    assert [recipe[name] for name in chosen] == [
        "motion-rings",
        "sin-cos",
        "standard",
        "he",
        "c3d-bn",
        0.05,
        2,
    ]
    assert recipe["preset"] == "authors" and recipe["bias_rate"] == 2 and recipe["momentum"] == 0.9


@pytest.mark.parametrize(
    ("args", "preset", "rate"), [([], "ucf101", 0.001), (["--lr", "0.5"], "kinetics400", 0.5)]
)
def test_print_config_shows_preset_and_changes(
    args: list[str], preset: str, rate: float, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(capsys, "--preset", preset, "--print-config", *args)
    recipe = json.loads(out)
    assert status == 0 and recipe["preset"] == preset and recipe["learning_rate"] == rate


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["--out", "OUT"], 2, "Missing option '--shards'"),
        (["--shards", "--out", "OUT"], 2, "Option '--shards' needs one path or more"),
        (["--out", "OUT", "--shards"], 2, "Option '--shards' needs one path or more"),
        (["--shards", "TINY", "--out", "OUT", "--batch-size", "0"], 2, "--batch-size"),
        (["--shards", "nowhere/*.h5", "--out", "OUT"], 1, "error: no shards match 'nowhere/*.h5'"),
        (["--shards", "TINY", "--out", "OUT", "--batch-size", "13"], 1, "error: a batch of 13 is larger"),
        (["--shards", "TINY", "--out", "OUT", "--lr", "-1"], 2, "'--lr': -1.0 is not in the range x>0"),
        (["--out", "OUT", "--where", "cut=no"], 2, "'--where': filters 'cut=no': cut: expected true"),
        (["--out", "OUT", "--where", "view=1", "--where", "view=2"], 2, "'view=1,view=2': expected one view"),
        (
            ["--shards", "TINY", "--out", "OUT", "--where", "C=9"],
            1,
            "error: expected whole numbers of C up to 8",
        ),
        (
            ["--shards", "TINY", "--out", "OUT", "--holdout", "some"],
            2,
            "expected a share, 0 or more and less than 1, found 'some': give one such as 5%",
        ),
        (
            ["--shards", "TINY", "--out", "OUT", "--holdout", "95%"],
            1,
            "leaves none to train on: give a smaller",
        ),
        (["--shards", "TINY", "--out", "OUT", "--val-shards", "no.h5"], 1, "error: no shards match 'no.h5'"),
        (["--shards", "TINY", "--val-shards", "TINY"], 1, "is in --shards and in --val-shards: leave it out"),
        (
            ["--shards", "TINY", "--out", "OUT", "--targets", "motion-square"],
            2,
            "'motion-square' is not one of",
        ),
        (
            ["--shards", "TINY", "--out", "OUT", "--backbone", "s3d", "--width", "0.5", "--batch-size", "4"],
            1,
            "error: width 0.5 requested",
        ),
        (["--shards", "TINY", "--val-steps", "3"], 2, "it does nothing without --holdout or --val-shards"),
        (["--shards", "TINY", "--probe-clips", "3"], 2, "it does nothing without --probe-shards"),
        (["--shards", "TINY", "--shuffle-window", "3"], 2, "it does nothing without --shuffle window"),
        (["--shards", "TINY", "--out", "OUT", "--resume"], 1, "error: nothing to resume in"),
        (
            ["--shards", "TINY", "--out", "OUT", "--width", "0.001", "--batch-size", "4"],
            1,
            "error: width must",
        ),
    ],
)
def test_wrong_options_are_refused_in_one_line_before_work(
    args: list[str], status: int, message: str, tiny_shards: list[Path], tmp_path: Path, capsys
) -> None:
    out = tmp_path / "run"
    given = [{"OUT": str(out), "TINY": str(tiny_shards[0].parent)}.get(arg, arg) for arg in args]
    found, _, err = run(capsys, *given)
    assert found == status and message in err and not out.exists()
    if status == 1:
        assert err.count("\n") == 1


def test_an_output_folder_that_cannot_be_written_is_reported_in_one_line(
    tiny_shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    status, _, err = run(capsys, "--shards", *tiny_shards, "--out", tmp_path / "file" / "run", *SMALL_NETWORK)
    assert status == 1 and err.startswith("error: cannot write to") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("pretrain", "--shards a.h5 --out run"),
        ("finetune", "--shards a.h5 --init run --out tuned"),
        ("evaluate", "accuracy --checkpoint run --shards a.h5"),
        ("evaluate", "probe --checkpoint run --shards a.h5"),
        ("export", "."),
        ("embed", "videos --weights run --out features.npz"),
        ("predict", "videos --weights run"),
        ("reproduce", "pilots --root . --dry-run"),
        ("reproduce", "small --root ."),
    ],
)
def test_missing_torch_is_reported_in_one_line(module: str, command: str) -> None:
    code = f"import sys; sys.modules['torch'] = None; from mas_train.cli.{module} import main; main()"
    args = [sys.executable, "-c", code, *command.split()]
    result = subprocess.run(args, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == (
        'error: training needs torch, which is not installed: pip install "mas-video[train]"\n'
    )
