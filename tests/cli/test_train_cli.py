"""The command line: globs, errors in one line, signals and exit statuses."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from mas_labels.system.command_line import repeat_option, run_command
from mas_labels.system.process import begin_process
from mas_labels.system.signals import Interrupted, raise_on_signals
from mas_train.cli.pretrain import main
from mas_train.runtime.signals import Request, SignalRequests
from mas_train.weights.checkpoint import checkpoint_path, list_checkpoints, load_checkpoint

ROOT = Path(__file__).parents[2]
SMALL = ["--width", "0.03125", "--fc-width", "16", "--batch-size", "4", "--device", "cpu", "--threads", "1"]


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--shards a b c --out o", "--shards a --shards b --shards c --out o"),
        ("--shards a --out o", "--shards a --out o"),
        ("--out o --resume --shards a b", "--out o --resume --shards a --shards b"),
        ("--shards=a b --seed 1 c", "--shards=a --shards b --seed 1 c"),
        ("--shards a b --shards c d", "--shards a --shards b --shards c --shards d"),
        ("", ""),
    ],
)
def test_many_paths_after_one_option(given: str, expected: str) -> None:
    assert repeat_option("--shards", given.split()) == expected.split()


def test_a_run_from_the_shells_glob_and_from_a_quoted_one(
    tiny_shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = tiny_shards[0].parent / "*.h5"
    for name, shards in (("globbed", tiny_shards), ("quoted", [pattern])):
        args = ("--shards", *shards, "--out", tmp_path / name, "--max-steps", 1, "--workers", 0, *SMALL)
        status, out, _ = run(capsys, *args)
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
    chosen = (
        "targets",
        "orientation",
        "target_scale",
        "initialisation",
        "backbone",
        "holdout",
        "motion_weight",
    )
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
def test_print_config(args: list[str], preset: str, rate: float, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--preset", preset, "--print-config", *args)
    recipe = json.loads(out)
    assert status == 0 and recipe["preset"] == preset and recipe["learning_rate"] == rate


def test_every_option_has_help() -> None:
    from mas_train.cli.pretrain import command

    assert [option.name for option in command.params if not getattr(option, "help", None)] == []


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
            "error: width 0.5 asked",
        ),
        (["--shards", "TINY", "--out", "OUT", "--resume"], 1, "error: nothing to resume in"),
        (
            ["--shards", "TINY", "--out", "OUT", "--width", "0.001", "--batch-size", "4"],
            1,
            "error: width must",
        ),
    ],
)
def test_a_newcomers_errors_stop_before_work_with_one_line(
    args: list[str], status: int, message: str, tiny_shards: list[Path], tmp_path: Path, capsys
) -> None:
    out = tmp_path / "run"
    given = [{"OUT": str(out), "TINY": str(tiny_shards[0].parent)}.get(arg, arg) for arg in args]
    found, _, err = run(capsys, *given)
    assert found == status and message in err and not out.exists()
    if status == 1:
        assert err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_one_line(
    tiny_shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    status, _, err = run(capsys, "--shards", *tiny_shards, "--out", tmp_path / "file" / "run", *SMALL)
    assert status == 1 and err.startswith("error: cannot write to") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("pretrain", "--shards a.h5 --out run"),
        ("finetune", "--shards a.h5 --init run --out tuned"),
        ("evaluate", "accuracy --checkpoint run --shards a.h5"),
        ("evaluate", "probe --checkpoint run --shards a.h5"),
        ("export", "."),
        ("reproduce", "pilots --root . --dry-run"),
        ("reproduce", "small --root ."),
    ],
)
def test_torch_missing_is_one_line(module: str, command: str) -> None:
    code = f"import sys; sys.modules['torch'] = None; from mas_train.cli.{module} import main; main()"
    args = [sys.executable, "-c", code, *command.split()]
    result = subprocess.run(args, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == (
        'error: training needs torch, which is not installed: pip install "mas-video[train]"\n'
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_an_import_waits_for_its_end(
    number: signal.Signals, tmp_path: Path, monkeypatch
) -> None:
    """C code that imports, such as torch's, drops what is raised in it: the run would never end."""
    name = f"sends_{number.name}"
    (tmp_path / f"{name}.py").write_text(
        f"import os\ntry:\n    os.kill(os.getpid(), {number:d})\n    [None for _ in range(1000)]\n"
        "except BaseException:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Interrupted), raise_on_signals():
        importlib.import_module(name)
        time.sleep(30)


def test_what_has_nothing_to_save_takes_no_notice_of_sigusr1() -> None:
    with raise_on_signals():
        subprocess.run(
            [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGUSR1)"], check=True
        )
        os.kill(os.getpid(), signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_a_signal_during_a_destructor_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    class Destroyed:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            [None for _ in range(1000)]

    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back what `begin_process` changes
    begin_process()
    with pytest.raises(Interrupted), raise_on_signals():
        Destroyed()
        time.sleep(30)


def test_a_signal_that_somebody_dropped_stops_the_training() -> None:
    with raise_on_signals():
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        with SignalRequests() as requests:
            assert (requests.take(), requests.signal_number) == (Request.STOP, signal.SIGTERM)
    with raise_on_signals(), SignalRequests() as requests:
        assert requests.take() == Request.NOTHING


def count_lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def running(tiny_shards: list[Path], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of its own process group, in `tmp_path`, with one worker and some steps done."""
    args = ["--shards", *map(str, tiny_shards), "--out", str(tmp_path), "--epochs", "10000", "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "mas_train", *args, *SMALL, "--log-steps", "1"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_until(lambda: count_lines(tmp_path / "metrics.csv") > 2, process)
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_to_the_group_ends_the_run_after_a_checkpoint(
    number: signal.Signals, status: int, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    os.killpg(running.pid, number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == status and "Traceback" not in err
    newest = load_checkpoint(list_checkpoints(tmp_path)[-1])
    assert newest["step"] >= 2 and f"{newest['step']} of 30000 steps done" in out


def test_sigusr1_to_the_group_saves_a_checkpoint_and_the_run_goes_on(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    before = count_lines(tmp_path / "metrics.csv")
    os.killpg(running.pid, signal.SIGUSR1)  # as Slurm does: the process that reads clips gets it, too
    wait_until(lambda: count_lines(tmp_path / "metrics.csv") > before + 2, running)
    os.killpg(running.pid, signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 143 and "Traceback" not in err
    (step,) = (
        line.split(":")[0] for line in err.splitlines() if "checkpoint saved, as SIGUSR1 asked" in line
    )
    assert checkpoint_path(tmp_path, int(step.removeprefix("step "))).exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_before_or_beside_training_ends_a_command_with_one_line(
    number: signal.Signals, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)

    @click.command()
    def command() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)  # nothing to save, and nothing ends
        os.kill(os.getpid(), number)
        time.sleep(60)

    with pytest.raises(SystemExit) as caught:
        run_command(command, "mas-eval", [], "what was finished is kept")
    assert caught.value.code == status and signal.getsignal(number) is before
    assert capsys.readouterr().err == f"stopped by {number.name}; what was finished is kept\n"


def test_under_nohup_a_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it
    try:
        with raise_on_signals(), SignalRequests() as requests:
            os.kill(os.getpid(), signal.SIGHUP)
            assert requests.take() == Request.NOTHING
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_worker_that_is_killed_ends_the_run_with_one_line(running: subprocess.Popen[str]) -> None:
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    if not children.exists():
        pytest.skip("this system does not list a process's children")
    workers = [
        int(child)
        for child in children.read_text().split()
        if b"multiprocessing.spawn" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    assert len(workers) == 1
    os.kill(workers[0], signal.SIGKILL)  # what the system does to whoever takes too much memory
    _, err = running.communicate(timeout=60)
    assert running.returncode == 1 and "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: a process that reads clips died")
