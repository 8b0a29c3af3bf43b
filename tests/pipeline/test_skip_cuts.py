"""Clips across a shot cut: flagged, or left out on request, whatever happens to the process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import mas
from helpers.format_reader import FormatReader
from helpers.processes import children
from helpers.videos import large_scene, write_video

import mas_labels
from mas_labels.config import LabelConfig
from mas_labels.pipeline.label_video import LabelJob, SkippedClip
from mas_labels.pipeline.supervisor import VideoProcess
from mas_labels.shards.reader import Shard
from mas_labels.verify.consistency import find_contradictions
from mas_labels.video.reader import VideoFacts

VIDEOS = {"cuts.avi": (24, 56, 64, 100), "only.avi": (8, 24, 40), "plain.avi": (40,)}
"""Video -> frames that a shot ends before; the last one is its length."""
OPTIONS = ("--frames-only", "--workers", "1", "--manifest", "folder", "--videos-per-shard", "3")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joined")
    for name, ends in VIDEOS.items():
        shots = zip(range(9), (0, *ends), ends, strict=False)
        frames = [large_scene(seed, end - start, 120, 160) for seed, start, end in shots]
        write_video(folder / name, np.concatenate(frames))
    return folder


@pytest.fixture(scope="module")
def flagged(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of all clips."""
    out = tmp_path_factory.mktemp("flagged")
    made = mas("make", "--root", root, "--out", out, *OPTIONS)
    assert made.exit_code == 0, made.output
    assert "10 clips of 3 videos\n4 clips lie across a shot cut: the filter cut=false" in made.output
    return out


def clips_of(folder: Path) -> list[tuple[str, int, bool | None]]:
    return [(clip.video, clip.start_frame, clip.cut) for clip in mas_labels.open_shards(folder)]


def test_clips_are_flagged_and_chosen(flagged: Path) -> None:
    cuts = [(name, start) for name, start, cut in clips_of(flagged) if cut]
    assert cuts == [("cuts.avi", 16), ("cuts.avi", 48), ("only.avi", 0), ("only.avi", 16)]
    shards = mas_labels.open_shards(flagged)
    chosen = shards.where(cut=False)
    assert repr(chosen) == "6 of 10 clips: cut=False"
    assert shards.columns()["cut"].tolist() == [0, 1, 0, 1, 0, 0, 1, 1, 0, 0]
    part = shards.subset(chosen.indices)
    assert len(part.where(cut=True)) == 0 and len(part.where(cut=False)) == 6


def test_the_report_counts_and_shows_them(flagged: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = mas("report", flagged, "--out", tmp_path / "report.html")
    assert made.exit_code == 0, made.output
    section = (tmp_path / "report.html").read_text().partition("<h2>Shot cuts</h2>")[2].partition("<h2>")[0]
    assert "4 clips lie across a shot cut." in section and section.count("<img") == 4


def test_skipped_clips_leave_the_others_as_they_were(root: Path, tmp_path: Path) -> None:
    made = mas("make", "--root", root, "--out", tmp_path / "out", *OPTIONS, "--skip-cuts")
    assert made.exit_code == 3, made.output
    assert "6 clips of 2 videos\n2 clips across a shot cut were left out" in made.output
    assert "'only.avi': clips/only_cuts: each of its 2 clips lies across a shot cut" in made.output
    starts = [("cuts.avi", start) for start in (0, 32, 64, 80)] + [("plain.avi", 0), ("plain.avi", 16)]
    assert clips_of(tmp_path / "out") == [(*start, False) for start in starts]
    assert "\n0 clips across a shot cut, 2 left out" in mas("status", tmp_path / "out").output
    (path,) = (tmp_path / "out").glob("*.h5")
    FormatReader(str(path)).check_clips()
    with Shard(path) as shard:
        assert shard.read("videos/skipped_clips").tolist() == [2, 0]
        assert list(find_contradictions(shard)) == []
    verified = mas("verify", tmp_path / "out", "--recompute", "100%", "--root", root)
    assert verified.exit_code == 0 and "6 clips labelled again" in verified.output
    refused = mas("make", "--root", root, "--out", tmp_path / "out", *OPTIONS)
    assert refused.exit_code == 1 and "skip_cuts was True, is now not given" in refused.output


def test_the_estimate_of_a_dry_run_counts_the_clips_that_are_kept(root: Path, tmp_path: Path) -> None:
    shown = mas("make", "--root", root, "--out", tmp_path / "out", *OPTIONS, "--skip-cuts", "--dry-run")
    assert shown.exit_code == 0 and "measured on 3 clips of 3 videos" in shown.output, shown.output


@pytest.mark.parametrize("messages", [1, 2, 3, 4, 6])
def test_a_process_that_dies_shifts_no_clip(root: Path, messages: int) -> None:
    """The process is killed after some messages; the rest comes from another one."""
    config = LabelConfig(frames_only=True, store_boundaries=False, skip_cuts=True)
    process = VideoProcess()
    try:
        came = []
        for item in process.do(LabelJob(root / "cuts.avi", config), 60):
            came.append(item)
            if len(came) == messages:
                os.kill(children(os.getpid(), "pipeline.child")[0], signal.SIGKILL)
    finally:
        process.close()
    clips = [item for item in came if not isinstance(item, VideoFacts)]
    assert [clip.start_frame for clip in clips] == [0, 16, 32, 48, 64, 80]
    assert [clip.start_frame for clip in clips if isinstance(clip, SkippedClip)] == [16, 48]
