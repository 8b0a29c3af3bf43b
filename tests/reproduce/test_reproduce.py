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
from pathlib import Path

import pytest

from mas_labels.datasets.demo import make_demo
from mas_labels.errors import ConfigError
from mas_train.reproduce.estimate import estimate_small
from mas_train.reproduce.full import REHEARSAL_SCALE, kinetics_plan, ucf101_plan, with_seeds
from mas_train.reproduce.page import BEGIN_MARK, END_MARK
from mas_train.reproduce.pilots import PILOTS, pilot_plan, with_options, write_pilots
from mas_train.reproduce.plan import Step, check_plan, resolve_command
from mas_train.reproduce.run import StepError, read_mark, run_plan, write_mark
from mas_train.reproduce.small import ROWS, Experiment, refuse_earlier, small_plan
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


def test_the_small_plan_has_every_row_and_seed_and_labels_each_video_once() -> None:
    steps = {step.name: step for step in small_plan(Experiment())}
    for row in ROWS:
        for split in (2, 3):
            names = {
                f"{step}-split{split}-{row}-seed{seed}" for step in ("pretrain", "probe") for seed in range(6)
            }
            assert names <= steps.keys()
    assert {
        "finetune-few-split3-best-seed5",
        "probe-split2-pixels",
        "weizmann-split3-pace-seed0",
    } <= steps.keys()
    roots = [
        step.command[step.command.index("--root") + 1] for step in steps.values() if "--root" in step.command
    ]
    assert roots == [
        *(f"videos/{part}" for part in ("test1", "test2", "test3", "rest", "others")),
        "$WEIZMANN",
    ]
    train = steps["pretrain-split2-joint-seed0"].command
    read = train[train.index("--shards") + 1 : train.index("--out")]
    assert read == ("labels/test1", "labels/test3", "labels/rest", "labels/others")
    tuned = steps["finetune-few-split2-best-seed0"].command
    assert "labels/others" not in tuned and tuned.count("labels/test2") == 1


def test_pilots_see_one_split_and_share_the_labels_of_the_experiment() -> None:
    assert with_options(("--lr", "1", "--epochs", "5"), ("--epochs", "2", "--width", "3")) == (
        *("--lr", "1", "--epochs", "2"),
        *("--width", "3"),
    )
    small = {step.name: step for step in small_plan(Experiment())}
    pilots = {step.name: step for step in pilot_plan(Experiment())}
    for name in ("label-test1", "label-others"):
        assert pilots[name] == small[name]  # so that its results in the work folder are used
    tested = {
        step.command[i + 1]
        for step in pilots.values()
        for i, word in enumerate(step.command)
        if word in ("--val-shards", "--test-shards") or (word == "--shards" and step.command[0] == "mas-eval")
    }
    assert tested == {"labels/test1"}
    number, axis = (pilots[f"pretrain-pilot-{name}-seed0"].command for name in ("number", "axis"))
    assert [b for a, b in zip(number, axis, strict=True) if a != b] == ["runs/pilot-axis-seed0", "axis"]


def test_pilots_that_are_not_done_are_listed(tmp_path: Path) -> None:
    page = write_pilots(Experiment(), pilot_plan(Experiment()), tmp_path / "work", tmp_path / "page")
    text = page.read_text()
    assert len([line for line in text.splitlines() if "not done" in line]) == len(PILOTS)
    assert "nothing yet" in text


@pytest.mark.slow
def test_rehearsal_of_the_pilots(tmp_path: Path) -> None:
    make_demo(tmp_path / "videos")
    args = ("--root", tmp_path / "videos", "--work", tmp_path / "work", "--out", tmp_path)
    run_to_end("pilots", "--rehearsal", *args)
    page = (tmp_path / "pilots.md").read_text()
    assert "not done" not in page and "- coding: `" in page and "- optimiser: `" in page


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


def test_a_folder_of_the_earlier_experiment_is_refused(tmp_path: Path) -> None:
    write_mark(tmp_path, version_step("label-ucf101-train1"), 1.0, 0)
    with pytest.raises(ConfigError, match="holds an earlier version of this experiment: give another --work"):
        refuse_earlier(tmp_path)


def test_minutes_of_the_small_experiment_by_hand() -> None:
    steps = {step.name: step for step in small_plan(Experiment())}
    train = steps["pretrain-split2-joint-seed0"]
    clips, tested = 680 + 761 + 427 + 626, 775
    minutes = (4.5 + 3 * clips * 0.015 + tested * 0.0085) / 60
    assert estimate_small([train] * 60, 2).startswith(f"about {30 * minutes:.0f} minutes, 2 steps at a time")
    random = steps["pretrain-split2-random-seed0"]
    assert f"mas-train {4.5 + tested * 0.0085:.0f}" in estimate_small([random] * 60, 1)
    few = steps["finetune-few-split2-best-seed0"]
    seconds = 4.5 + 30 * 0.1 * (680 + 761 + 427) * 0.015 + tested * 0.0085
    assert f"mas-finetune {seconds:.0f}" in estimate_small([few] * 60, 1)
    assert float(estimate_small(list(steps.values()), 2).split()[1]) < 180


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
    values = {(c["row"], c["measure"]): c["values"] for c in results["cells"]}
    assert all(0 <= value <= 1 for cells in values.values() for value in cells)
    assert len(values["best", "probe, all labels"]) == 1
    assert {fit["label"] for fit in results["labels"]} >= {"grid_um", "grid_co", "motion"}
    text = readme.read_text()
    assert (
        text.startswith("before\n") and text.endswith("after\n") and "| joint, " in text and "old" not in text
    )
    texts = [path for path in (tmp_path / "page").rglob("*") if path.suffix in (".md", ".json", ".txt")]
    assert str(tmp_path) not in "".join(path.read_text() for path in texts)
    joint, tuned = (tmp_path / "page" / "weights" / name for name in ("joint-best", "joint-finetuned"))
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
