"""The commands of `mas-labels`: counts, exit statuses, and errors in one line."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from helpers.commands import mas
from helpers.videos import FOLDER_MANIFEST

import mas_labels
from mas_labels.cli.common import list_failures
from mas_labels.errors import explain_import_error


def test_list_shows_the_videos_that_the_manifest_finds(tiny_videos):
    shown = mas("list", "--manifest", FOLDER_MANIFEST, "--root", tiny_videos)
    assert shown.exit_code == 0
    assert "9 videos, 2 classes" in shown.output


def test_make_counts_failures_and_exits_with_status_3(tiny_videos, tmp_path):
    out = tmp_path / "labels"
    shown = mas(
        "make",
        "--manifest",
        FOLDER_MANIFEST,
        "--root",
        tiny_videos,
        "--out",
        out,
        "--workers",
        1,
        "--flow",
        "dis",
    )
    assert shown.exit_code == 3, shown.output
    assert "5 shards in" in shown.output
    assert "12 clips of 6 videos" in shown.output
    assert "3 videos failed" in shown.output
    assert "'pan/short.avi': clips/too_short: 9 frames decoded, a clip needs 16" in shown.output
    assert mas_labels.open_shards(out).config["store_boundaries"] is True


@pytest.mark.parametrize(("count", "shown"), [(20, 20), (21, 21), (30, 21)])
def test_more_than_twenty_failures_end_in_dots(count, shown, capsys):
    list_failures([("a.avi", "decode", "timeout", "no frame")] * count)
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[0]) == (shown, "  'a.avi': decode/timeout: no frame")
    assert (lines[-1] == "  ...") == (count > 20)


def test_make_of_good_videos_exits_with_status_0(tiny_videos, tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    (root / "a.avi").write_bytes((tiny_videos / "pan" / "right.avi").read_bytes())
    options = [
        "--flow",
        "dis",
        "--no-store-boundaries",
        "--store-flow",
        "--frames",
        "raw",
        "--view-stride",
        59,
    ]
    shown = mas(
        "make",
        "--manifest",
        FOLDER_MANIFEST,
        "--root",
        root,
        "--out",
        tmp_path / "out",
        "--workers",
        1,
        *options,
    )
    assert shown.exit_code == 0, shown.output
    clip = mas_labels.open_shards(tmp_path / "out")[0]
    assert clip.motion_boundaries is None
    assert clip.flow.shape == (15, 128, 171, 2)
    assert len(clip.views) == 6


def test_flow_writes_the_flow_of_a_video(tiny_videos, tmp_path):
    video = tiny_videos / "pan" / "right.avi"
    shown = mas("flow", video, "--out", tmp_path / "flow.npz", "--size", 64, 80)
    assert shown.exit_code == 0, shown.output
    assert "wrote 32 flow fields" in shown.output
    written = np.load(tmp_path / "flow.npz")["flow"]
    assert (written.shape, written.dtype) == ((32, 64, 80, 2), np.float16)
    assert np.median(written[..., 0]) == pytest.approx(1.0, abs=0.1)  # 2 pixels per frame at half the size
    assert mas("flow", tiny_videos / "zoom out/text.avi", "--out", tmp_path / "a.npz").exit_code == 1


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--root", "nowhere"], 1, "error: expected a folder of videos at nowhere"),
        (["--split", "train1"], 1, "has no split 'train1'"),
        (["--manifest", "none.yaml"], 1, "cannot read the manifest none.yaml"),
        (["--flow", "lucas"], 2, "'lucas' is not one of"),
        (["--view-stride", "60"], 1, "view_stride_pixels: expected 1 to 59"),
    ],
)
def test_wrong_options_are_reported_in_one_line_before_any_work(
    tiny_videos, tmp_path, options, status, message
):
    base = ["make", "--manifest", FOLDER_MANIFEST, "--root", tiny_videos, "--out", tmp_path / "out"]
    shown = mas(*base, *options)
    assert shown.exit_code == status
    assert message in shown.output
    assert "Traceback" not in shown.output
    assert not (tmp_path / "out").exists()


def test_a_missing_system_library_is_reported_with_its_remedy(tiny_videos, tmp_path):
    """An OpenCV that cannot load libGL, as its wheel does on a machine without a display."""
    message = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({message!r}, name='cv2')\n")
    command = [sys.executable, "-m", "mas_labels", "make", "--manifest", str(FOLDER_MANIFEST)]
    shown = subprocess.run(
        [*command, "--root", str(tiny_videos), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{tmp_path}:{FOLDER_MANIFEST.parents[2]}", "PATH": ""},
    )
    assert shown.returncode == 1
    assert shown.stderr.startswith("error: OpenCV needs a system library")
    assert "make install-headless" in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_a_library_that_another_package_lacks_is_not_opencvs():
    problem = "libavcodec.so.62: cannot open shared object file: No such file or directory"
    error = ImportError(problem, name="_core", path="av/_core.abi3.so")  # as Python raises it
    assert (
        str(explain_import_error(error))
        == f"{problem}, needed by av/_core.abi3.so: install that package again"
    )
