"""Whole experiments as tests run them: commands as processes, data sets laid out like the originals."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from mas_train.evaluation.results import Result, read_results

ROOT = Path(__file__).parents[2]
COMPUTE = ["--device", "cpu", "--threads", "1", "--workers", "0"]
PRETRAIN, FINETUNE, EVALUATE = "mas_train", "mas_train.cli.finetune", "mas_train.cli.evaluate"


def run(module: str, *args: object, status: int = 0) -> str:
    """Run a command as a process; return its output."""
    command = [sys.executable, "-m", module, *map(str, args)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def make(manifest: str, root: Path, out: Path, *options: object, status: int = 0) -> Path:
    run("mas_labels", "make", "--manifest", manifest, "--root", root, "--out", out, *options, status=status)
    return out


def result(folder: Path) -> Result:
    (only_result,) = read_results([folder])
    return only_result


def numbered_copies(videos: list[Path], folder: Path) -> list[int]:
    """Copy videos under ASLAN's names; return the class of each."""
    folder.mkdir()
    for number, path in enumerate(videos, 1):
        shutil.copy(path, folder / f"{number:04}{path.suffix}")
    names = sorted({path.parent.name for path in videos})
    return [names.index(path.parent.name) for path in videos]


def write_pairs(classes: list[int], path: Path) -> None:
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    first, second = rng.integers(0, len(classes), (2, 24, 10))
    labels = np.array(classes)
    table = np.stack(
        [first + 1, second + 1, labels[first] == labels[second], labels[first], labels[second]], axis=1
    )
    savemat(path, {"action_splits_pairs": table.astype(float)})
