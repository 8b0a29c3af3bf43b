"""Several processes train as one process; an error or a signal to one reaches all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mas_train.recipe import make_recipe
from mas_train.training.metrics import read_metrics
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain
from mas_train.weights.checkpoint import checkpoint_path, list_checkpoints, load_checkpoint

ROOT = Path(__file__).parents[2]
SMALL = "--width 0.03125 --fc-width 16 --batch-size 5 --device cpu --threads 1 --log-steps 1 --no-curves"


def start(shards: list[Path], out: Path, *more: str) -> subprocess.Popen[str]:
    """Train with two processes of `torchrun` on a free port; SIGUSR1 is ignored, as in docs/cluster.md."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    options = ["--shards", *map(str, shards), "--out", str(out), "--workers", "0", *SMALL.split(), *more]
    return subprocess.Popen(
        ["sh", "-c", "trap '' USR1; exec \"$@\"", "", sys.executable, *launch, "-m", "mas_train", *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


def curve(run: Path) -> list[list[float]]:
    return [[row[name] for name in ("step", "loss", "grad_norm")] for row in read_metrics(run)]


def error_lines(err: str) -> list[str]:
    """Return the error lines of mas-train among those of torchrun."""
    return [line for line in err.splitlines() if line.startswith("error:")]


def test_two_processes_train_as_one(tiny_shards: list[Path], tmp_path: Path) -> None:
    """12 clips in batches of 5, 5 and 2; two processes stop after 4 steps and resume; one probes."""
    probe = ["--probe-shards", str(tiny_shards[1])]
    for more in (["--max-steps", "4"], ["--max-steps", "6", "--resume"]):
        status, out, err = finish(start(tiny_shards, tmp_path / "two", *more, *probe))
        assert status == 0, err
        assert out.count("steps done") == 1 and out.count("2 processes, 5 clips per step in all") == 1
    recipe = make_recipe("ucf101", width=1 / 32, fc_width=16, batch_size=5)
    settings = TrainingOptions(
        *(tiny_shards, tmp_path / "one", "cpu"),
        workers=0,
        threads=1,
        max_steps=6,
        log_steps=1,
        probe_shards=tiny_shards[1:],
    )
    pretrain(recipe, replace(settings, curves=False))
    assert len(curve(tmp_path / "one")) == 6
    for alone, together in zip(curve(tmp_path / "one"), curve(tmp_path / "two"), strict=True):
        assert together == pytest.approx(alone, rel=1e-4)
    assert curve(tmp_path / "two")[0] == pytest.approx(curve(tmp_path / "one")[0], rel=1e-5)
    probed = [
        [row["step"] for row in read_metrics(tmp_path / name) if row["probe_accuracy"] >= 0]
        for name in ("one", "two")
    ]
    assert probed == [[3, 6], [3, 4, 6]]
    one, two = (load_checkpoint(checkpoint_path(tmp_path / name, 6)) for name in ("one", "two"))
    for name, weight in one["model"].items():
        # rounding grows with each step where a ReLU input is near 0, as with --accumulate
        torch.testing.assert_close(two["model"][name], weight, rtol=0, atol=0.03 * weight.std().item() + 1e-5)
    assert len(two["generators"]) == 2 and not torch.equal(*(g["cpu"] for g in two["generators"]))


def test_an_error_of_all_processes_is_reported_once(tiny_shards: list[Path], tmp_path: Path) -> None:
    status, _, err = finish(start(tiny_shards, tmp_path, "--batch-size", "13"))
    (error,) = error_lines(err)
    assert status == 1 and error.startswith("error: a batch of 13 is larger than the data (12 clips)")


def test_an_error_of_one_process_ends_all_with_one_line(tiny_shards: list[Path], tmp_path: Path) -> None:
    """Frames of one clip are damaged: one process reads them, the other would wait for its gradients."""
    import h5py
    import numpy as np

    copies = [tmp_path / path.name for path in tiny_shards]
    for copy, path in zip(copies, tiny_shards, strict=True):
        copy.write_bytes(path.read_bytes())
    with h5py.File(copies[0], "r+") as file:
        ends = file["frames/offsets"][16:33].astype(int)
        file["frames/jpeg"][ends[0] : ends[-1]] = np.zeros(ends[-1] - ends[0], np.uint8)
    status, _, err = finish(start(copies, tmp_path / "run"))
    assert status == 1 and len(error_lines(err)) == 1
    assert "a frame of clip 1 is no JPEG" in error_lines(err)[0] and "Traceback" not in err.split("error:")[0]


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_after_a_checkpoint(
    tiny_shards: list[Path], tmp_path: Path
) -> None:
    process = start(tiny_shards, tmp_path, "--epochs", "10000")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("this system does not list a process's children")

    def wait_for_steps(count: int) -> None:
        deadline = time.monotonic() + 60
        while not (tmp_path / "metrics.csv").exists() or len(curve(tmp_path)) < count:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)

    wait_for_steps(2)
    ranks = [int(child) for child in children.read_text().split()]
    os.kill(process.pid, signal.SIGUSR1)  # ignored
    os.kill(ranks[-1], signal.SIGUSR1)
    wait_for_steps(len(curve(tmp_path)) + 3)
    os.kill(ranks[-1], signal.SIGTERM)
    _, out, err = finish(process)
    steps = load_checkpoint(list_checkpoints(tmp_path)[-1])["step"]
    assert f"{steps} of 30000 steps done" in out and error_lines(err) == []
    assert err.count("checkpoint saved on SIGUSR1") == 1


def test_one_process_of_several_exits_without_finalising_the_interpreter() -> None:
    """Threads of torch.distributed that still hold tensors may abort the interpreter while it finalises."""
    code = """
import atexit, click
from mas_labels.system.command_line import run_command

class Finalised:
    def __del__(self):
        print("finalised", flush=True)

kept = Finalised()
atexit.register(print, "exit function")

@click.command()
def command():
    return 3

run_command(command, "command", [], "")
"""
    for size, expected in (("1", "exit function\nfinalised\n"), ("2", "exit function\n")):
        environment = {**os.environ, "WORLD_SIZE": size}
        shown = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert (shown.returncode, shown.stdout) == (3, expected), shown.stderr
