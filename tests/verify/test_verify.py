"""Verification of shards: damage, contradictions, and differences from the videos."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import h5py
import numpy as np
import pytest
from helpers.commands import mas
from helpers.processes import children
from helpers.shards import write_shard
from helpers.videos import FOLDER_MANIFEST

from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import UnavailableError
from mas_labels.labels.conventions import get_convention
from mas_labels.pipeline.run import run
from mas_labels.pipeline.supervisor import borrowed_process, close_idle_processes
from mas_labels.plan.plan import plan_shards
from mas_labels.schema import LABEL_NAMES
from mas_labels.shards.reader import Shard
from mas_labels.verify.consistency import find_contradictions, wrong_motion_labels
from mas_labels.verify.recompute import find_differences, sample_clips
from mas_labels.verify.run import Checks, verify_shard, verify_shards


@pytest.fixture
def copy(tiny_shards, tmp_path):
    """A copy of a shard that the test may change."""
    return shutil.copy(tiny_shards[0], tmp_path / tiny_shards[0].name)


@pytest.fixture(scope="module")
def authors_shard(tiny_videos, tmp_path_factory):
    out = tmp_path_factory.mktemp("authors")
    (tmp_path := out / "videos").mkdir()
    for name in ("pan/down.avi", "zoom out/still.avi"):
        shutil.copy(tiny_videos / name, tmp_path)
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), tmp_path), "all", 5)
    config = LabelConfig(
        flow="dis", convention="authors", view_stride_pixels=30, frames="raw", store_flow=True
    )
    run(plan, config, tmp_path, out)
    return out / plan[0].name


def test_sound_shards_pass_and_a_sample_is_recomputed(tiny_shards, tiny_videos):
    shown = mas("verify", *tiny_shards, "--deep", "--recompute", "30%", "--root", tiny_videos, "--workers", 2)
    assert shown.exit_code == 0, shown.output
    assert "2 of 2 shards are sound; 5 clips labelled again" in shown.output


def test_no_thread_is_left_after_the_last_report(tiny_shards):
    before = threading.active_count()
    assert all(report.is_sound for report in verify_shards([tiny_shards[0]], Checks()))
    assert threading.active_count() == before


def test_the_authors_convention_is_verified_too(authors_shard):
    root = authors_shard.parent / "videos"
    report = verify_shard(authors_shard, Checks(deep=True, recompute=0.5, root=root))
    assert (report.problems, report.recomputed, report.clips) == ((), 2, 4)


def test_damage_is_reported_by_shard_with_an_exit_status(tiny_shards, copy, tmp_path):
    damaged = bytearray(copy.read_bytes())
    damaged[5000] ^= 1
    copy.write_bytes(damaged)
    shown = mas("verify", copy, tiny_shards[1], "--json")
    assert shown.exit_code == 5
    result = json.loads(shown.output)
    assert [shard["sound"] for shard in result["shards"]] == [False, True]
    assert "do not match its file digest" in result["shards"][0]["problems"][0]["message"]
    shown = mas("verify", tmp_path, tiny_shards[1])
    assert shown.exit_code == 5
    assert "1 of 2 shards are sound" in shown.output


def test_exit_statuses_of_nothing_to_verify_and_wrong_usage(tmp_path, tiny_shards):
    assert mas("verify", tmp_path / "none.h5").exit_code == 1
    assert mas("verify", *tiny_shards, "--recompute", "1%").exit_code == 2
    assert mas("verify", *tiny_shards, "--recompute", "much", "--root", tmp_path).exit_code == 2
    assert mas("verify", *tiny_shards, "--recompute", "101%", "--root", tmp_path).exit_code == 2


def test_a_shard_that_crashes_its_reader_is_one_problem(tiny_shards, tmp_path, monkeypatch):
    """The child process aborts when it opens a file of a certain name."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, sys, builtins, io\n"
        "import pathlib\n"
        "real = pathlib.Path.open\n"
        "def deadly(self, *a, **k):\n"
        "    if self.name == 'deadly.h5': os.abort()\n"
        "    return real(self, *a, **k)\n"
        "pathlib.Path.open = deadly\n"
    )
    shutil.copy(tiny_shards[0], tmp_path / "deadly.h5")
    shutil.copy(tiny_shards[1], tmp_path / "sound.h5")
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    reports = list(verify_shards([tmp_path / "deadly.h5", tmp_path / "sound.h5"], Checks(), 2))
    assert [bool(report.problems) for report in reports] == [True, False]
    assert "crashed the process that read it" in str(reports[0].problems[0])


def change(path, column, row, value):
    with h5py.File(path, "a") as file:
        file[column][row] = value


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("clips/start_frame", 1, 17, "is 17, expected 16"),
        ("clips/cut", 1, 2, "clips/cut, clip 1: is not 0 or 1"),
        ("videos/clips", 0, 3, "does not follow the numbers of clips"),
        ("videos/frames", 0, 64, "has 2 clips of 64 frames, expected 4"),
        ("videos/fps", 0, np.nan, "is not a number of frames per second"),
        ("views", 3, (1, 1, 0), "is not the table that follows from the options"),
        ("classes", 0, b"pam", "are not the classes of the plan"),
        ("clips/motion", 0, np.inf, "clips/motion, clip 0: is not finite"),
        ("clips/mu", 1, np.inf, "clips/mu, clip 1: is not finite"),
        ("clips/labels", (0, 0, 0), 99, "out of range"),
        ("clips/labels", (0, 0, 26), 0, "out of range"),
        ("frames/jpeg", slice(2, 30), 0, "frames, clip 0: "),
    ],
)
def test_contradictions_are_named(copy, column, row, value, message):
    with Shard(copy) as shard:
        assert list(find_contradictions(shard)) == []
    change(copy, column, row, value)
    with Shard(copy) as shard:
        assert any(message in str(problem) for problem in find_contradictions(shard))


def test_labels_that_do_not_follow_from_the_boundaries_are_named(copy):
    """Each location moved to the block of least motion, each orientation turned by half a turn."""
    with Shard(copy) as shard:
        views, labels, paper = shard.views, shard.read("clips/labels", 0), get_convention("paper")
        for component, (letter, column) in enumerate((("u", "clips/mu"), ("v", "clips/mv"))):
            boundary = shard.read(column, 0).astype(np.float32)
            assert wrong_motion_labels(boundary, component, letter, labels, views, paper) == []
            for name in (f"grid_{letter}l", f"rings_{letter}l", f"triangles_{letter}o", f"grid_{letter}o"):
                index, wrong = LABEL_NAMES.index(name), labels.copy()
                half = 2 if name.startswith("rings") else 4
                wrong[:, index] = 1 + (labels[:, index] - 1 + half) % (2 * half)
                named = wrong_motion_labels(boundary, component, letter, wrong, views, paper)
                assert name in named, name
            mirrored_without_negation = wrong_motion_labels(
                boundary, 1 - component, letter, labels, views, paper
            )
            assert mirrored_without_negation, "mirroring with the wrong sign must show"


def test_recomputing_names_the_column_and_the_clip(copy, tiny_videos):
    change(copy, "clips/labels", (3, 7, 26), 1)
    change(copy, "clips/labels", (3, 8, 26), 2)
    with Shard(copy) as shard:
        problems = list(find_differences(shard, tiny_videos, [2, 3]))
    assert [(problem.column, problem.clip) for problem in problems] == [("clips/labels", 3)]
    assert "values differ now" in problems[0].message


def test_recomputing_counts_what_was_labelled_and_blames_no_shard_for_its_video(copy, tiny_videos, tmp_path):
    """A video lacks its end by its header, which versions before 0.2.0 did not notice; another is gone."""
    root, labelled = tmp_path / "videos", []
    shutil.copytree(tiny_videos, root)
    with Shard(copy) as shard:
        names, videos = shard.read_texts("videos/path"), shard.read("clips/video").tolist()
        row = next(number for number, name in enumerate(names) if name.endswith(".avi"))
        gone = 1 - row
        data = bytearray((root / names[row]).read_bytes())
        data[4:8] = (len(data) + 4096).to_bytes(4, "little")
        (root / names[row]).write_bytes(data)
        (root / names[gone]).unlink()
        clips = [clip for clip, video in enumerate(videos) if video in (row, gone)]
        with pytest.raises(UnavailableError, match="1 videos could not be read now"):
            assert list(find_differences(shard, root, clips, labelled=labelled)) == []
    assert labelled == [clip for clip in clips if videos[clip] == row] != []


def test_recomputing_detects_another_video(copy, tiny_videos, tmp_path):
    root = tmp_path / "videos"
    shutil.copytree(tiny_videos, root)
    with Shard(copy) as shard:
        names = shard.read_texts("videos/path")
        shutil.copy(root / names[1], root / names[0])
        (root / names[1]).unlink()
        problems = []
        with pytest.raises(UnavailableError, match=r"1 videos could not .* a regular file"):
            problems.extend(find_differences(shard, root, list(range(len(shard)))))
    columns = {problem.column for problem in problems if problem.clip in (0, 1, None)}
    assert {"clips/labels", "clips/mu", "frames/jpeg", "videos/bytes"} <= columns


def test_recomputing_a_video_that_hangs_its_decoder_ends_at_the_timeout(tiny_shards, tiny_videos):
    """The decoding process is stopped; the next video gets another process."""
    close_idle_processes()
    with borrowed_process(lambda: None):
        (pid,) = children(os.getpid(), "pipeline.child")
    os.kill(pid, signal.SIGSTOP)
    with Shard(tiny_shards[0]) as shard:
        problems = list(find_differences(shard, tiny_videos, [0, len(shard) - 1], timeout_seconds=1.0))
    close_idle_processes()
    assert [(problem.column, problem.clip) for problem in problems] == [("videos/path", 0)]
    assert "cannot be labelled again: no frame decoded and no clip finished in 1 s" in problems[0].message


def test_the_sample_is_the_same_for_the_same_seed(tiny_shards):
    with Shard(tiny_shards[0]) as shard:
        assert sample_clips(shard, 0.5, 3) == sample_clips(shard, 0.5, 3)
        assert sample_clips(shard, 0.01, 0), "one clip at least"
        assert sample_clips(shard, 1.0, 0) == list(range(len(shard)))
        assert len({tuple(sample_clips(shard, 0.5, seed)) for seed in range(9)}) > 1


def test_recomputing_does_not_leave_the_root(tmp_path, tiny_videos):
    shutil.copy(tiny_videos / "pan/right.avi", tmp_path / "right.avi")
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b é.avi").symlink_to(tmp_path / "right.avi")
    path = write_shard(tmp_path / "a.h5")
    with Shard(path) as shard:
        (problem,) = find_differences(shard, tmp_path / "root", [0, 1])
    assert "leads out of" in problem.message


def test_failures_are_printed_as_a_table_and_as_json(tiny_shards):
    shown = mas("failures", *tiny_shards)
    assert shown.exit_code == 0
    assert "'pan/short.avi': clips/too_short: 9 frames decoded, a clip needs 16 [" in shown.output
    assert "     2 open/cannot_open" in shown.output
    assert "     3 videos failed" in shown.output
    result = json.loads(mas("failures", *tiny_shards, "--json").output)
    assert result["counts"] == {"clips/too_short": 1, "open/cannot_open": 2}
    assert {row["video"] for row in result["failures"]} == {
        "pan/short.avi",
        "zoom out/text.avi",
        "zoom out/empty.mp4",
    }
    assert set(result["failures"][0]) == {"video", "stage", "code", "message", "shard"}
    assert mas("failures", tiny_shards[0].parent / "none.h5").exit_code == 1


def test_the_file_digest_can_be_checked_with_unix_tools(tiny_shards):
    """With the two commands that `mas_labels.shards.digests` names."""
    text = tiny_shards[0].read_bytes()[:512].decode("ascii")
    tail = subprocess.run(["tail", "-c", "+513", tiny_shards[0]], capture_output=True, check=True).stdout
    digest = subprocess.run(["sha256sum"], input=tail, capture_output=True, check=True).stdout.split()[0]
    assert f"sha256 of the HDF5: {digest.decode()}\n" in text
    with h5py.File(tiny_shards[0], locking=False) as file:
        assert file.userblock_size == 512


def test_the_real_command_verifies(tiny_shards):
    command = [sys.executable, "-m", "mas_labels", "verify", *map(str, tiny_shards)]
    run_once = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run_once.returncode, run_once.stderr) == (0, "")
