"""Experiments as plans: their steps, how they run and resume, and their pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mas_labels.datasets.demo import make_demo
from mas_labels.errors import ConfigError
from mas_train.evaluation.intervals import Interval
from mas_train.reproduce.full import REHEARSAL_SCALE, kinetics_plan, ucf101_plan, with_seeds
from mas_train.reproduce.measure import Cell, compare
from mas_train.reproduce.page import BEGIN_MARK, END_MARK, format_cell
from mas_train.reproduce.pilots import PILOTS, pilot_plan, with_options, write_pilots
from mas_train.reproduce.plan import Step, check_plan, resolve_command
from mas_train.reproduce.run import StepError, read_mark, run_plan, write_mark
from mas_train.reproduce.small import CONDITIONS, Experiment, small_plan
from mas_train.weights.backbone_weights import load_classifier, load_weights

ROOT = Path(__file__).parents[2]
ALL = ("$UCF101", "$HMDB51", "$ASLAN", "$VIEW2", "$YUPENN", "$KINETICS400")


def version_step(name: str, *after: str) -> Step:
    return Step(name, ("mas-labels", "--help"), after)


@pytest.mark.parametrize(
    "steps",
    [
        small_plan(Experiment()),
        pilot_plan(Experiment()),
        ucf101_plan(ALL),
        kinetics_plan(ALL),
        with_seeds(ucf101_plan(ALL, coding="recoded"), 3),
        kinetics_plan(ALL, coding="dense"),
        ucf101_plan(("$UCF101",), REHEARSAL_SCALE),
    ],
)
def test_plans_can_be_run(steps: list[Step]) -> None:
    check_plan(steps)
    outs = [step.command[step.command.index("--out") + 1] for step in steps]
    assert not [out for out in outs if out.startswith("/")]
    written = {out for step, out in zip(steps, outs, strict=True) if step.command[0] != "mas-eval"}
    for step in steps:  # every input in the work folder is the output of another step
        read = {word for word in step.command if re.match(r"(labels|runs|finetuned)/", word)}
        assert read <= written


def test_the_small_plan_has_every_condition_and_seed() -> None:
    names = {step.name for step in small_plan(Experiment())}
    for condition in CONDITIONS:
        for seed in (0, 1, 2):
            assert {
                f"pretrain-split1-{condition}-seed{seed}",
                f"probe-split1-{condition}-seed{seed}",
            } <= names
    assert "finetune-few-split1-motion-seed2" in names
    assert "probe-split2-joint-seed2" in names
    assert "probe-split1-pixels" in names


def test_pilots_change_one_choice_of_the_recipe_and_share_its_networks() -> None:
    plain = ("--lr", "0.01", "--epochs", "5")
    assert with_options(plain, {"--epochs": "2", "--dropout": "0.5"}) == (
        *("--lr", "0.01", "--epochs", "2"),
        *("--dropout", "0.5"),
    )
    small = {step.name: step for step in small_plan(Experiment())}
    pilots = {step.name: step for step in pilot_plan(Experiment())}
    for name in ("label-ucf101-train1", "pretrain-split1-joint-seed0", "probe-split1-raw-seed0"):
        assert pilots[name] == small[name]  # so that its results in the work folder are used
    recipe, faster = (pilots[f"pretrain-{name}"].command for name in ("split1-joint-seed0", "pilot-lr-0.03"))
    assert [(a, b) for a, b in zip(recipe, faster, strict=True) if a != b] == [
        ("runs/split1-joint-seed0", "runs/pilot-lr-0.03"),
        ("0.01", "0.03"),
    ]


def test_pilots_that_are_not_done_are_listed(tmp_path: Path) -> None:
    page = write_pilots(Experiment(), pilot_plan(Experiment()), tmp_path / "work", tmp_path / "page")
    rows = [line for line in page.read_text().splitlines() if "not done" in line]
    assert len(rows) == len(PILOTS)


@pytest.mark.slow
def test_rehearsal_of_the_pilots(tmp_path: Path) -> None:
    make_demo(tmp_path / "videos")
    args = ("--root", tmp_path / "videos", "--work", tmp_path / "work", "--out", tmp_path)
    run_to_end("pilots", "--rehearsal", *args)
    page = (tmp_path / "pilots.md").read_text()
    assert page.count("| length |") == 2 and "not done" not in page


def test_bad_plans_are_refused() -> None:
    with pytest.raises(ConfigError, match="two steps are called 'a'"):
        check_plan([version_step("a"), version_step("a")])
    with pytest.raises(ConfigError, match="comes before 'b'"):
        check_plan([version_step("a", "b"), version_step("b")])
    with pytest.raises(ConfigError, match="runs 'rm'"):
        check_plan([Step("a", ("rm", "-r"))])
    with pytest.raises(ConfigError, match=r"needs \$ROOT: give --root"):
        resolve_command(Step("a", ("mas-labels", "$ROOT")), {}, Path(), "python")


def test_places_are_filled_in_and_interrupted_steps_resumed(tmp_path: Path) -> None:
    step = Step("a", ("mas-train", "--shards", "$ROOT/x"), resumes_from="runs/a/*.pt")
    arguments = resolve_command(step, {"$ROOT": Path("/data")}, tmp_path, "python")
    assert arguments == ["python", "-m", "mas_train", "--shards", "/data/x"]
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "last.pt").touch()
    assert resolve_command(step, {"$ROOT": Path("/data")}, tmp_path, "python")[-1] == "--resume"


def test_a_run_keeps_done_steps_and_reports_failed_ones(tmp_path: Path) -> None:
    good, bad = version_step("good"), Step("bad", ("mas-labels", "nothing-of-this-name"), ("good",))
    never = version_step("never", "bad")
    with pytest.raises(StepError, match=r"step bad ended with status 2(.|\n)*nothing-of-this-name"):
        run_plan([good, bad, never], tmp_path, {})
    assert read_mark(tmp_path, good) is not None
    assert read_mark(tmp_path, bad) is None
    (tmp_path / "logs" / "good.log").unlink()
    messages: list[str] = []
    run_plan([good], tmp_path, {}, report=messages.append)
    assert messages == ["1 steps, 1 of them done"]
    assert not (tmp_path / "logs" / "good.log").exists()


def test_marks_of_another_plan_are_refused(tmp_path: Path) -> None:
    write_mark(tmp_path, version_step("a"), 1.0, 0)
    with pytest.raises(ConfigError, match="left by another plan"):
        run_plan([Step("a", ("mas-labels", "--version"))], tmp_path, {})


def cell(condition: str, *values: float, split: str = "1") -> Cell:
    return Cell(split, condition, "probe", values, 3, 50)


def test_rows_have_intervals_where_outcomes_of_videos_were_kept() -> None:
    joint, random = cell("joint", 0.7, 0.8, 0.9), cell("random", 0.6, 0.6, 0.9)
    assert joint.mean == pytest.approx(0.8) and joint.spread == pytest.approx(0.1)
    ((ours, theirs, unknown),) = compare([joint, random, cell("random", 0.1, split="2")], "joint", "random")
    assert (ours, theirs, unknown) == (joint, random, None)
    assert format_cell(joint) == "80.0 ± 10.0" and joint.entries["low"] is None
    groups = tuple(np.arange(50) // 2)
    right = np.arange(50) < np.array([[35], [40], [45]])
    joint, random = (replace(row, right=right[: len(row.values)], groups=groups) for row in (joint, random))
    ((_, _, shown),) = compare([joint, replace(random, right=right - 0.0)], "joint", "random")
    assert shown == Interval(0, 0, 0, 3, 25)  # paired: network by network the same
    ((_, _, shown),) = compare(
        [joint, replace(random, right=right[:2], values=(0.6, 0.6))], "joint", "random"
    )
    assert shown is not None and shown.networks == 2 and shown.low < 0.05 < shown.high
    assert re.fullmatch(r"80\.0 \[\d+\.\d, \d+\.\d\]", format_cell(joint))
    assert joint.entries["low"] < 0.8 < joint.entries["high"] and "right" not in joint.entries


def start_command(*args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mas_train.cli.reproduce", *map(str, args)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def run_to_end(*args: object) -> str:
    process = start_command(*args)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return output


def test_small_reproduction_stops_and_resumes(tmp_path: Path) -> None:
    make_demo(tmp_path / "videos")
    work, readme = tmp_path / "work", tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN_MARK}\nold\n{END_MARK}\nafter\n")
    args = ["small", "--rehearsal", "--root", tmp_path / "videos", "--work", work, "--out", tmp_path / "page"]
    process = start_command(*args)
    while not list(work.glob("done/label-*.json")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGHUP)
    assert "stopped by SIGHUP" in process.communicate()[0]
    assert process.returncode == 129
    marks = {path: path.stat().st_mtime_ns for path in work.glob("done/*.json")}
    assert marks and not (tmp_path / "page").exists()

    output = run_to_end(*args, "--readme", readme)
    assert f"{len(marks)} of them done" in output
    assert marks == {path: path.stat().st_mtime_ns for path in marks}
    results = json.loads((tmp_path / "page" / "results.json").read_text())
    assert results["steps"]["done"] == results["steps"]["planned"]
    values = {(c["condition"], c["measure"]): c["values"] for c in results["cells"]}
    assert all(0 <= value <= 1 for cells in values.values() for value in cells)
    assert len(values["joint", "probe, all labels"]) == 1
    assert {fit["label"] for fit in results["labels"]} >= {"grid_ul", "C", "motion"}
    text = readme.read_text()
    assert (
        text.startswith("before\n") and text.endswith("after\n") and "| joint |" in text and "old" not in text
    )
    texts = [path for path in (tmp_path / "page").rglob("*") if path.suffix in (".md", ".json", ".txt")]
    assert str(tmp_path) not in "".join(path.read_text() for path in texts)
    joint, tuned = (tmp_path / "page" / "weights" / name for name in ("joint", "joint-finetuned"))
    assert load_weights(joint).kind == "self-supervised"
    assert load_classifier(load_weights(tuned)).eval()
    card = (joint / "README.md").read_text()
    assert "The first of the 1 networks of its row" in card and "| its row, % |" in card


def ucf_layout(videos: Path, root: Path) -> None:
    """Lay out demo videos like UCF101: two classes, groups of the training and the test part."""
    for name in ("move_left", "grow"):
        (root / name).mkdir(parents=True)
        for number, path in enumerate(sorted((videos / "train" / name).iterdir())[:4]):
            shutil.copy(path, root / name / f"v_{name}_g{(8, 9, 1, 2)[number]:02}_c01.avi")


def hmdb_layout(videos: Path, root: Path) -> None:
    """Lay out demo videos like HMDB51: two classes, and the lists of split 1."""
    for name in ("move_left", "grow"):
        (root / name).mkdir(parents=True)
        files = sorted((videos / "train" / name).iterdir())[:4]
        for path in files:
            shutil.copy(path, root / name / f"{path.stem}.avi")
        lines = [f"{path.stem}.avi {1 + number // 2}\n" for number, path in enumerate(files)]
        (root / f"{name}_test_split1.txt").write_text("".join(lines))


@pytest.mark.slow
def test_rehearsal_of_the_full_plans(tmp_path: Path) -> None:
    from helpers.rehearsing import numbered_copies, write_pairs

    videos = tmp_path / "videos"
    make_demo(videos)
    ucf_layout(videos, tmp_path / "ucf")
    hmdb_layout(videos, tmp_path / "hmdb")
    write_pairs(
        numbered_copies(sorted((videos / "test").rglob("*.*")), tmp_path / "aslan"), tmp_path / "V.mat"
    )
    shutil.copytree(tmp_path / "ucf", tmp_path / "yupenn")
    for number, path in enumerate(sorted((videos / "train" / "grow").iterdir())):
        place = tmp_path / "k400" / "train" / "growing" / f"abcdefghij{number}_000000_000010.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    others = ["--hmdb51", tmp_path / "hmdb", "--aslan", tmp_path / "aslan", "--view2", tmp_path / "V.mat"]
    others += ["--yupenn", tmp_path / "yupenn", "--rehearsal", "--jobs", 2]
    output = tmp_path / "u"
    run_to_end("ucf101", "--root", tmp_path / "ucf", "--work", tmp_path / "uw", "--out", output, *others)
    tables = (output / "tables.md").read_text()
    for row in ("Motion pattern 1", "Motion global", "Appearance", "MAS, pre-trained on UCF101"):
        assert re.search(rf"^\| {re.escape(row)} \|.*\(\d", tables, re.MULTILINE), row
    args = ["--root", tmp_path / "k400", "--ucf101", tmp_path / "ucf", "--work", tmp_path / "kw"]
    run_to_end("kinetics", *args, "--out", tmp_path / "k", *others)
    assert re.search(r"Kinetics-400 \|.*\(\d", (tmp_path / "k" / "tables.md").read_text())
