"""Damaged videos through the command line: no crash, no hang, and every shard verifies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.mutations import mutate
from helpers.videos import FOLDER_MANIFEST, SHARED, moving_texture, write_video

import mas_labels

RUN_SECONDS = 120
"""A batch takes a few seconds; one that takes this long hangs."""
BATCH = 50
CODECS = {"avi": "MJPG", "mp4": "mp4v", "mkv": "XVID", "mov": "mp4v"}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Intact videos to damage: four containers, and other codecs if there are shared videos."""
    folder = tmp_path_factory.mktemp("seeds")
    made = [
        write_video(folder / f"a.{ending}", moving_texture(20, 48, 64, 1, 0.5), codec)
        for ending, codec in CODECS.items()
    ]
    real = sorted((SHARED / "videos" / "odd").glob("*")) if SHARED.is_dir() else []
    return made + [path for path in real if 10_000 < path.stat().st_size < 100_000]


def run_on_mutants(seeds, folder, seed, count):
    """Damage `count` videos, label them, verify the shards and that there are clips; return the failures."""
    rng = np.random.default_rng(seed)
    videos = folder / "videos"
    videos.mkdir(parents=True)
    for number in range(count):
        one, other = (seeds[at] for at in rng.integers(0, len(seeds), 2))
        changed = mutate(one.read_bytes(), rng, other.read_bytes())
        (videos / f"{number:05d}{one.suffix}").write_bytes(changed)
    make = ["make", "--manifest", FOLDER_MANIFEST, "--root", videos, "--out", folder / "out", "--flow", "dis"]
    made = mas(*make, "--view-stride", 59, "--videos-per-shard", 25, "--workers", 2)
    assert made.returncode in (0, 3), (seed, made.stderr[-2000:])
    verified = mas("verify", folder / "out", "--deep")
    assert verified.returncode == 0, (seed, verified.stdout)
    assert len(mas_labels.open_shards(folder / "out")), "none gave a clip: nothing was tried"
    result = mas("failures", folder / "out", "--json")
    return json.loads(result.stdout)["failures"]


def mas(*arguments):
    command = [sys.executable, "-m", "mas_labels", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        cwd=Path(__file__).parents[2],
        check=False,
    )


def check(failures):
    """Most damaged videos are failures, also those with clips, if the decoder reported the damage."""
    assert failures, "none failed: nothing was tried"
    assert all(row["stage"] and row["code"] and row["message"] for row in failures)


def test_damaged_videos_end_as_clips_or_as_failures(seeds, tmp_path):
    check(run_on_mutants(seeds, tmp_path, 0, 24))


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(100))
def test_5000_damaged_videos_end_as_clips_or_as_failures(seeds, tmp_path, batch):
    check(run_on_mutants(seeds, tmp_path, 1 + batch, BATCH))
