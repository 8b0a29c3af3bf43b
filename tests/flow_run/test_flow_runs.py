"""Runs of flow as users start them: workers, ranks, resuming, kills, failures."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from helpers.commands import mas
from helpers.flow_files import tree
from helpers.frames import greys, write_frames
from helpers.processes import wait_until
from helpers.videos import moving_texture, write_video

from mas_labels.flow.options import FlowOptions
from mas_labels.flow_run.run import plan_flow
from mas_labels.pipeline.supervisor import borrowed_process
from mas_labels.stream import find_inputs

SMALL = ("--flow", "dis", "--size", "64", "80")
FAILED = {"pan/short.avi", "zoom out/empty.mp4", "zoom out/text.avi"}


def command(root, out, *more):
    return [sys.executable, "-m", "mas_labels", "flow", str(root), "--out", str(out), *SMALL, *more]


@pytest.fixture(scope="module")
def videos(tiny_videos, tmp_path_factory):
    """The videos of `tiny_videos`, of which the short one has one frame."""
    root = tmp_path_factory.mktemp("flow") / "videos"
    shutil.copytree(tiny_videos, root)
    write_video(root / "pan/short.avi", moving_texture(1, 120, 160, 1, 0))
    return root


@pytest.fixture(scope="module")
def whole(videos):
    """The flow of all videos by one worker, and what was shown."""
    out = videos.parent / "whole"
    shown = mas("flow", videos, "--out", out, "--workers", 1, *SMALL)
    assert shown.exit_code == 3, shown.output
    return out, shown.output


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_video_has_its_flow_or_a_row(whole, videos):
    out, shown = whole
    folders = {str(path.parent.relative_to(out)) for path in out.rglob("flow_x_00001.jpg")}
    assert folders == {
        *("pan/right", "pan/down", "pan/slow"),
        *("zoom out/a b", "zoom out/#[é]", "zoom out/still"),
    }
    assert len(list((out / "pan/right").glob("flow_[xy]_*.jpg"))) == 2 * 32
    failures = rows(out / "failures.csv")
    assert [row["path"] for row in failures] == sorted(str(videos / name) for name in FAILED)
    assert {(row["stage"], row["code"]) for row in failures} == {
        ("flow", "too_short"),
        ("open", "cannot_open"),
    }
    assert f"6 videos in {out}: 207 pairs were computed now" in shown
    assert f"3 videos failed, of 9: {out}/failures.csv; the same command tries them again" in shown
    assert not list(out.rglob(".*"))


def test_ranks_and_workers_give_the_bytes_of_one(whole, videos, tmp_path):
    for rank, workers, status in ((1, 1, 0), (0, 2, 3)):  # rank 0 has the videos that fail
        share = ("--rank", rank, "--world-size", 2, "--workers", workers)
        assert mas("flow", videos, "--out", tmp_path, *SMALL, *share).exit_code == status
    expected, found = tree(whole[0]), tree(tmp_path)
    found["failures.csv"] = found.pop("failures-0-of-2.csv")
    assert found == expected
    assert mas("flow", videos, "--out", tmp_path, *SMALL, "--workers", 1).exit_code == 3
    assert tree(tmp_path) == expected  # the table of a rank would be out of date from now on


def test_a_killed_run_started_again_gives_the_same_bytes(whole, videos, tmp_path):
    process = subprocess.Popen(
        command(videos, tmp_path, "--workers", "2"), start_new_session=True, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: list(tmp_path.rglob(".tmp.*")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("flow_x_00001.jpg")}
    for path in before:  # a folder with a final name is whole
        name = path.parent.relative_to(tmp_path)
        if not path.parent.name.startswith("."):
            assert tree(path.parent) == tree(whole[0] / name)
    shown = mas("flow", videos, "--out", tmp_path, "--workers", 1, *SMALL)
    assert shown.exit_code == 3, shown.output
    assert tree(tmp_path) == tree(whole[0])
    for path, changed in before.items():
        if not path.parent.name.startswith("."):
            assert path.stat().st_mtime_ns == changed


def test_an_interrupted_run_says_so_and_leaves_nothing_half_written(videos, tmp_path):
    process = subprocess.Popen(
        command(videos, tmp_path, "--workers", "2"), start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: list(tmp_path.rglob(".tmp.*")), process)
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "the same command resumes" in errors and "Traceback" not in errors
    assert not list(tmp_path.rglob(".*"))


def test_finished_videos_are_kept_and_repaired_ones_are_tried_again(whole, videos, tmp_path):
    shutil.copytree(videos, tmp_path / "videos")
    shutil.copytree(whole[0], tmp_path / "out")
    marked = tmp_path / "out" / "pan" / "right" / "bound.txt"
    marked.write_text("kept")
    for name in FAILED:
        shutil.copy(videos / "pan/down.avi", tmp_path / "videos" / name)
    shown = mas("flow", tmp_path / "videos", "--out", tmp_path / "out", "--workers", 1, *SMALL)
    assert shown.exit_code == 0, shown.output
    assert "6 of 9 videos were finished before and are kept" in shown.output
    assert marked.read_text() == "kept"
    assert not (tmp_path / "out" / "failures.csv").exists()
    assert tree(tmp_path / "out" / "pan/short") == tree(whole[0] / "pan/down")


@pytest.mark.parametrize("workers", [1, 2])
def test_relative_paths_begin_at_the_folder_of_the_run(whole, videos, tmp_path, monkeypatch, workers):
    """Workers and their processes of earlier runs in this process are used again; their folder is another."""
    with borrowed_process(lambda: None):  # stays for the next run
        pass
    for name in ("one", "two"):
        shutil.copytree(videos / "pan", tmp_path / name / "pan", ignore=shutil.ignore_patterns("short.avi"))
        monkeypatch.chdir(tmp_path / name)
        shown = mas("flow", ".", "--out", "flow", "--workers", workers, *SMALL)
        assert shown.exit_code == 0, shown.output
        assert tree(tmp_path / name / "flow/pan") == tree(whole[0] / "pan")


def test_other_options_stop_a_run_before_work(whole, videos):
    out, before = whole[0], tree(whole[0])
    for more in ([], ["--dry-run"]):
        shown = mas("flow", videos, "--out", out, *SMALL, "--bound", 15, *more)
        assert shown.exit_code == 1
        assert "holds flow made with other options (bound 20.0, not 15.0): give those, or" in shown.output
    assert tree(out) == before


def test_a_bound_that_clips_more_than_one_per_cent_is_told(videos, tmp_path):
    shown = mas("flow", videos / "pan", "--out", tmp_path, *SMALL, "--bound", 0.75, "--workers", 1)
    assert "clipped: 1 videos have more than 1% of their vectors beyond the bound of 0.75 pix" in shown.output
    assert "pan/right.avi. A larger --bound keeps them" in shown.output


def test_a_dry_run_measures_and_writes_nothing(videos, tmp_path):
    shown = mas("flow", videos / "pan", "--out", tmp_path / "out", *SMALL, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "measured on 93 pairs of 4 videos (1 failed)" in shown.output
    assert "about 99 pairs" in shown.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("more", "place"), [([], ""), (["--dry-run"], "to the temporary folder")])
def test_a_full_disk_is_one_line_and_leaves_nothing(videos, tmp_path, more, place):
    """A limit on the size of files stands for the disk."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**17, 2**17));"
        "from mas_labels.cli.main import main; main(prog_name='mas-labels')"
    )
    arguments = command(videos, tmp_path, "--format", "npz", "--workers", "1", *more)[3:]
    shown = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 1, shown.stderr
    assert f"error: cannot write {place}" in shown.stderr
    assert ("TMPDIR" if more else "Finished videos are kept") in shown.stderr
    assert "Traceback" not in shown.stderr
    assert not list(tmp_path.rglob(".*")) and not list(tmp_path.rglob("*.npz"))


def test_names_of_all_kinds(videos, tmp_path):
    """As long as a file system takes, with a line break, bytes that are not UTF-8, a dot, braces."""
    for name in (b"\xe9\n,", b"n" * 251, b"a.b", b"{video}"):
        folder = tmp_path / "videos" / os.fsdecode(name)[:100]
        folder.mkdir(parents=True)
        shutil.copy(videos / "pan/right.avi", folder / os.fsdecode(name + b".avi"))
    (folder / "\udcff.avi").touch()
    options = (*SMALL, "--format", "npz", "--workers", 1)
    shown = mas("flow", tmp_path / "videos", "--out", tmp_path / "out", *options)
    assert shown.exit_code == 3, shown.output
    assert f"4 videos in {tmp_path / 'out'}: 128 pairs" in shown.output
    found = {path.name for path in (tmp_path / "out").glob("*/*")}
    names = ("\udce9\n,", "n" * 251, "a.b", "{video}")
    assert found == {f"{name}.npz" for name in names}
    table = (tmp_path / "out/failures.csv").read_bytes()
    assert os.fsencode(folder / "\udcff.avi") in table


def test_one_video_is_its_own_file(videos, tmp_path):
    shown = mas("flow", videos / "pan/right.avi", "--out", tmp_path / "a.h5", *SMALL, "--video-timeout", 60)
    assert (shown.exit_code, shown.output) == (0, f"wrote 32 flow fields to {tmp_path / 'a.h5'}\n")
    broken = mas("flow", videos / "zoom out/text.avi", "--out", tmp_path / "b.h5", *SMALL)
    assert broken.exit_code == 1
    assert f"error: {videos / 'zoom out/text.avi'}: open/cannot_open: " in broken.output
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    for more in ([], ["--dry-run"]):
        shown = mas("flow", videos / "pan/right.avi", "--out", tmp_path / "a.h5", *SMALL, *more)
        assert (shown.exit_code, "a.h5 exists already: remove it, or" in shown.output) == (1, True)


def test_flow_is_never_where_the_frames_are(tmp_path):
    frame = tmp_path / "pan/one/img_00001.jpg"
    frame.parent.mkdir(parents=True)
    frame.touch()
    one = frame.parent
    inside, among = "would be in the folder of its frames", "the frames are there"
    for paths, error in (
        ((one, one.with_suffix(".h5"), "--frames"), inside),
        ((one, one), inside),
        ((tmp_path, tmp_path), among),
        ((tmp_path, tmp_path, "--format", "uv"), among),
    ):
        shown = mas("flow", paths[0], "--out", *paths[1:], *SMALL)
        assert (shown.exit_code, error in shown.output) == (1, True), shown.output
    assert list(tree(tmp_path)) == ["pan/one/img_00001.jpg"]


@pytest.mark.parametrize("options", [("--frames",), ("--format", "uv")])
def test_what_a_run_wrote_among_its_videos_is_no_video(tmp_path, options):
    write_frames(tmp_path / "pan/one", greys(3))
    found = find_inputs([tmp_path]).videos
    for kept in ("", "1 of 1 videos were finished"):
        shown = mas("flow", tmp_path, "--out", tmp_path / "flow", *SMALL, *options, "--workers", 1)
        assert (shown.exit_code, kept in shown.output) == (0, True), shown.output
        assert find_inputs([tmp_path]).videos == found
    assert "written by `mas-labels flow`, so pictures in them were left out: flow" in shown.output
    if "--frames" in options:  # given itself, such a folder has videos
        assert list(find_inputs([tmp_path / "flow"]).videos) == ["pan/one"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected PATHS or --manifest, found neither: give one"),
        (["--manifest", "folder"], "--manifest needs --root"),
        (["a.avi", "--manifest", "folder"], "expected PATHS or --manifest, found both: leave one out"),
        (["a.avi", "--split", "test"], "--split and --splits belong to --manifest"),
    ],
)
def test_a_wrong_command_line_is_refused(options, message, tmp_path):
    shown = mas("flow", *options, "--out", tmp_path / "out")
    assert (shown.exit_code, message in shown.output) == (2, True), shown.output


def test_heartbeats_have_the_same_names_on_every_machine(videos, tmp_path):
    found = find_inputs([videos]).videos
    here, there = (plan_flow(found, tmp_path / name, FlowOptions()) for name in ("a", "b"))
    assert [task.name for task in here] == [task.name for task in there]
    assert len({task.name for task in here}) == len(found) == 9
    assert np.all([len(task.name) < 60 for task in here])
