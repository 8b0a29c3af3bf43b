"""Options of a run: limit, dry run, retries, the failure rate; plans of very many videos."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from helpers.processes import contents
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video

from mas_labels.cli.main import main
from mas_labels.config import LabelConfig, RunOptions, canonical_json
from mas_labels.datasets.find_videos import find_videos, list_videos
from mas_labels.datasets.folder import FolderContents
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import ConfigError, OptionsDifferError
from mas_labels.pipeline.resume import finished_shards
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards

DIS = LabelConfig(flow="dis", view_stride_pixels=59)


def plan_of(root, videos_per_shard=5, limit=None):
    return plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), root), "all", videos_per_shard, limit)


def make(root, out, *options):
    command = ["make", "--manifest", FOLDER_MANIFEST, "--root", root, "--out", out, "--flow", "dis"]
    return CliRunner().invoke(main, list(map(str, [*command, "--workers", 1, "--view-stride", 59, *options])))


@pytest.fixture
def with_broken(tmp_path):
    """Three shards of one video each: a good one, one that is too short, one that is not a video."""
    root = tmp_path / "videos"
    write_video(root / "a.avi", moving_texture(20, 120, 160, 1, 0))
    write_video(root / "b.avi", moving_texture(9, 120, 160, 1, 0))
    (root / "c.avi").write_text("no video")
    return root


def replace_broken(root):
    write_video(root / "b.avi", moving_texture(40, 120, 160, 0, 1))
    write_video(root / "c.avi", moving_texture(20, 120, 160, 2, 0))


def test_a_limit_takes_the_first_videos_and_is_part_of_the_plan(tiny_videos, tiny_shards):
    whole, limited = plan_of(tiny_videos), plan_of(tiny_videos, limit=7)
    assert (
        sorted(video.path for shard in limited for video in shard.videos)
        == sorted(video.path for shard in whole for video in shard.videos)[:7]
    )
    assert [shard.as_dict().get("limit") for shard in (*whole, *limited)] == [None, None, 7, 7]
    assert [*plan_of(tiny_videos, limit=9)] == [*plan_of(tiny_videos, limit=1000)] == [*whole]
    with pytest.raises(OptionsDifferError, match="--limit was not given, is now 7"):
        run(limited, LabelConfig(flow="dis"), tiny_videos, tiny_shards[0].parent)


def test_a_dry_run_shows_plan_and_cost_and_writes_nothing(tiny_videos, tmp_path):
    shown = make(tiny_videos, tmp_path / "out", "--dry-run", "--videos-per-shard", 5)
    assert shown.exit_code == 0, shown.output
    assert "2 shards of 9 videos in 2 classes" in shown.output
    assert "measured on 12 clips of 9 videos (3 failed)" in shown.output
    assert "about 12 clips" in shown.output
    shown = make(tiny_videos, tmp_path / "out", "--dry-run", "--frame-step", 1000)
    assert "sampled videos gave a clip (too_short: " in shown.output
    assert "a clip needs 15001): no estimate" in shown.output
    assert list(tmp_path.iterdir()) == []


def test_failed_shards_are_made_again_others_kept(with_broken, tmp_path, capsys):
    plan, out = plan_of(with_broken, 1), tmp_path / "out"
    assert sum(result.failures for result in run(plan, DIS, with_broken, out)) == 2
    kept = (out / plan[0].name).stat().st_ino
    replace_broken(with_broken)
    again = run(plan, DIS, with_broken, out)
    assert sum(result.failures for result in again) == 2  # without the option they stay as they are
    assert (
        "3 of 3 shards were finished before and are kept: 1 clips, 2 failed videos" in capsys.readouterr().err
    )
    results = run(plan, DIS, with_broken, out, options=RunOptions(retry_failed=True))
    assert [result.failures for result in results] == [0, 0, 0]
    assert (out / plan[0].name).stat().st_ino == kept
    run(plan, DIS, with_broken, tmp_path / "afresh")
    assert contents(out) == contents(tmp_path / "afresh")


def test_a_failed_shard_gives_way_only_when_the_new_one_is_complete(with_broken, tmp_path, monkeypatch):
    plan, out = plan_of(with_broken, 3), tmp_path / "out"
    run(plan, DIS, with_broken, out)
    before = contents(out)
    replace_broken(with_broken)
    with monkeypatch.context() as patch:
        patch.setattr("mas_labels.shards.writer.ShardWriter.publish", lambda self: 1 / 0)
        (broken,) = run(plan, DIS, with_broken, out, options=RunOptions(retry_failed=True))
    assert "ZeroDivisionError" in broken.error
    assert contents(out) == before
    (result,) = run(plan, DIS, with_broken, out, options=RunOptions(retry_failed=True))
    assert (result.videos, result.clips, result.failures) == (3, 4, 0)


def test_a_changed_video_is_refused_also_with_retry_failed(with_broken, tmp_path):
    """Only a video that failed may have another size."""
    plan, out = plan_of(with_broken, 3), tmp_path / "out"
    shutil.copy(with_broken / "a.avi", with_broken / "c.avi")
    run(plan, DIS, with_broken, out)
    with (with_broken / "a.avi").open("ab") as file:
        file.write(b"more")
    with pytest.raises(OptionsDifferError, match="another data set"):
        run(plan, DIS, with_broken, out, options=RunOptions(retry_failed=True))


@pytest.mark.parametrize(("rate", "status"), [("0.7", 3), ("0.66", 4), ("0.3", 4)])
def test_too_many_failures_have_a_status_of_their_own(with_broken, tmp_path, rate, status):
    shown = make(with_broken, tmp_path / "out", "--videos-per-shard", 1, "--max-failure-rate", rate)
    assert shown.exit_code == status, shown.output
    if status == 4:
        assert f"of 3 videos failed, more than --max-failure-rate {rate} allows" in shown.output
    again = make(with_broken, tmp_path / "out", "--videos-per-shard", 1, "--max-failure-rate", rate)
    assert again.exit_code == status, again.output


def test_a_run_stops_as_soon_as_the_rate_cannot_be_met(with_broken, tmp_path):
    (with_broken / "0.avi").write_text("no video")
    shown = make(with_broken, tmp_path / "out", "--videos-per-shard", 1, "--max-failure-rate", 0)
    assert shown.exit_code == 4
    assert len(list((tmp_path / "out").glob("*.h5"))) == 1


def test_the_last_line_of_a_run_reports_failures(with_broken, tmp_path):
    lines = make(with_broken, tmp_path / "out").output.strip().splitlines()
    assert lines[-1] == "2 videos failed, of 3; once they are fixed, --retry-failed tries them again"
    reasons = [line.strip().split(":")[:2] for line in lines[-3:-1]]
    assert sorted(reasons) == [["'b.avi'", " clips/too_short"], ["'c.avi'", " open/cannot_open"]]


@pytest.mark.parametrize(
    "options",
    [
        {"video_timeout_seconds": 0},
        {"video_timeout_seconds": float("nan")},
        {"max_failure_rate": 1.5},
        {"rank": 2, "world_size": 2},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        RunOptions(**options)


def test_help_is_quick():
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "mas_labels", "--help"], check=True, capture_output=True)
    assert time.monotonic() - start < 5  # 0.3 s on a machine that does nothing else; this one may


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A listing of 300,000 videos in 400 classes that do not exist, and how long it took."""
    root = tmp_path_factory.mktemp("many")
    names = tuple(f"class {n % 400:03d}/video {n:06d}.mp4" for n in range(300_000))
    start = time.process_time()
    listing = list_videos(load_manifest(FOLDER_MANIFEST), FolderContents(names, {}, ()), root)
    return listing, time.process_time() - start


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_300_000_videos_are_planned_in_seconds(many):
    listing, listed = many
    start, resident = time.process_time(), resident_bytes()
    plan = plan_shards(listing, "all", 16)
    assert len(plan) == 18_750
    assert len({video.path for shard in plan for video in shard.videos}) == 300_000
    assert listed + time.process_time() - start < 30  # 3 s of a quiet core
    assert resident_bytes() - resident < 2**29


def test_messages_to_a_worker_do_not_grow_with_the_plan(many):
    large, small = plan_shards(many[0], "all", 16), plan_shards(many[0], "all", 16, limit=800)
    assert len(pickle.dumps(large[7])) < 1.2 * len(pickle.dumps(small[7])) < 20_000


def test_finished_shards_are_checked_in_milliseconds_each(with_broken, tmp_path):
    """500 copies of a shard, each with its own index in its plan."""
    config = replace(DIS, store_boundaries=False)
    listing = find_videos(load_manifest(FOLDER_MANIFEST), with_broken)
    many = replace(listing, videos=listing.videos * 500)
    (result,) = run(plan_shards(listing, "all", 3), config, with_broken, tmp_path / "out")
    plan, folder = plan_shards(many, "all", 3), tmp_path / "many"
    folder.mkdir()
    for shard in plan:
        shutil.copy(tmp_path / "out" / result.name, folder / shard.name)
        with h5py.File(folder / shard.name, "r+") as file:
            file.attrs["plan"] = np.bytes_(canonical_json(shard.as_dict()))
    start = time.process_time()
    finished = finished_shards(folder, plan, config, with_broken, RunOptions())
    assert time.process_time() - start < 500 * 0.020  # 1.5 s of a quiet core
    assert len(finished) == 500
    assert sum(found.failures for found in finished.values()) == 1000
