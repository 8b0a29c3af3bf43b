"""Videos that are added and removed after a folder was labelled: new batches, unchanged shards."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from click.testing import CliRunner
from helpers.added_videos import FIRST, add, command, label, make, shard_names, videos_of
from helpers.processes import contents, wait_until

from mas_labels.cli.main import main
from mas_labels.plan.plan import Batch
from mas_labels.shards.reader import Shard


def test_added_videos_make_new_shards_and_leave_the_old_ones(root, clips, tmp_path):
    out = tmp_path / "out"
    label(root, out)
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in out.iterdir()}
    assert shard_names(out) == list(FIRST)
    for name, clip in (("a/3.avi", clips[3]), ("b/4.avi", clips[4]), ("d/00.avi", clips[5])):
        add(root, name, clip)
    dry = make(root, out, "--dry-run")
    assert "3 videos were added to the data set since: 2 more shards, folder-all-added0001-*.h5" in dry.output
    assert "2 shards of 3 videos in 3 classes, 2 are finished" in dry.output
    assert {path.name for path in out.iterdir()} == set(before)
    shown = make(root, out)
    assert shown.exit_code == 0, shown.output
    assert (
        "3 videos were added to the data set since: 2 more shards, folder-all-added0001-*.h5" in shown.output
    )
    assert {name: ((out / name).stat().st_ino, (out / name).read_bytes()) for name in before} == before
    added = ["folder-all-added0001-00000-of-00002.h5", "folder-all-added0001-00001-of-00002.h5"]
    assert shard_names(out) == [*FIRST, *added]
    # classes keep their numbers, new ones follow
    assert videos_of(out, FIRST[0]) == [("b/0.avi", "b", 0), ("d/2.avi", "d", 1)]
    assert videos_of(out, added[0]) == [("a/3.avi", "a", 2), ("d/00.avi", "d", 1)]
    assert videos_of(out, added[1]) == [("b/4.avi", "b", 0)]
    with Shard(out / added[0]) as shard, Shard(out / FIRST[0]) as first:
        assert shard.plan["batch"] == 1 and "batch" not in first.plan
        assert shard.read_texts("classes") == ["b", "d", "a"]
    assert make(root, out).exit_code == 0
    assert shard_names(out) == [*FIRST, *added]
    verified = CliRunner().invoke(main, ["verify", "--deep", str(out)])
    assert verified.exit_code == 0, verified.output


def test_sorted_names_are_in_the_order_in_which_videos_were_added():
    """Otherwise the numbers of clips would change with the tenth batch."""
    batches = [Batch("folder", "all", number, 1, (), ()) for number in range(120)]
    names = [shard.name for batch in batches for shard in batch.shards()]
    assert sorted(names) == names


def test_bytes_follow_from_the_videos_and_the_order_in_which_they_were_added(root, clips, tmp_path):
    def in_order(out, names):
        videos = tmp_path / f"videos of {out}"
        shutil.copytree(root, videos)
        label(videos, tmp_path / out)
        for name, clip in names:
            add(videos, name, clip)
            label(videos, tmp_path / out)
        return contents(tmp_path / out)

    one, other = ("b/3.avi", clips[3]), ("e/4.avi", clips[4])
    first = in_order("first", [one, other])
    assert in_order("again", [one, other]) == first
    assert len(first) == 2 + 1 + 1 + 3  # shards of three batches, plan files
    turned = in_order("turned", [other, one])
    assert {name for name in first if first[name] == turned[name]} == {*FIRST, "folder-all.plan.json"}


def test_a_dry_run_measures_batches_of_different_classes(root, clips, tmp_path):
    out = tmp_path / "out"
    label(root, out)
    for path in out.glob("*.h5"):
        path.unlink()
    add(root, "a/3.avi", clips[3])
    dry = make(root, out, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "3 shards of 4 videos in 3 classes" in dry.output
    assert "measured on 4 clips of 4 videos (0 failed)" in dry.output


def test_removed_videos_are_reported_and_their_labels_stay(root, clips, tmp_path):
    out = tmp_path / "out"
    label(root, out)
    before = contents(out)
    (root / "d" / "1.avi").unlink()
    shown = make(root, out)
    assert shown.exit_code == 0, shown.output
    assert "1 videos that were planned before are no longer in the data set" in shown.output
    assert "their labels stay: d/1.avi" in shown.output
    assert contents(out) == before
    add(root, "d/9.avi", clips[3])
    assert "d/1.avi" in make(root, out).output
    assert videos_of(out, "folder-all-added0001-00000-of-00001.h5") == [("d/9.avi", "d", 1)]


def test_retrying_failures_loses_no_labels_of_videos_that_are_gone(root, clips, tmp_path, capsys):
    out = tmp_path / "out"
    (root / "d" / "2.avi").write_text("no video")  # in the shard of b/0.avi
    label(root, out)
    before = contents(out)
    (root / "b" / "0.avi").rename(tmp_path / "kept.avi")
    shutil.copy(clips[2], root / "d" / "2.avi")
    label(root, out, retry_failed=True)
    assert "1 of their videos are no longer under" in capsys.readouterr().err
    assert contents(out) == before
    (tmp_path / "kept.avi").rename(root / "b" / "0.avi")
    assert [result.failures for result in label(root, out, retry_failed=True)] == [0, 0]


def test_a_batch_is_finished_as_planned_though_the_folder_has_changed(root, clips, tmp_path):
    """A run ended before its first shard; then one video was added, one removed."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    label(root, whole)
    out.mkdir()
    shutil.copy(whole / "folder-all.plan.json", out)
    add(root, "a/3.avi", clips[3])
    (root / "d" / "1.avi").unlink()
    results = label(root, out)
    assert [result.name for result in results] == [*FIRST, "folder-all-added0001-00000-of-00001.h5"]
    assert [result.failures for result in results] == [0, 1, 0]  # gone before it was labelled
    assert (out / FIRST[0]).read_bytes() == (whole / FIRST[0]).read_bytes()


def start(root, out, *options):
    words = ["mas_labels", *command(root, out, *options)]
    return subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_ranks_at_once_add_the_same_videos(root, clips, tmp_path):
    """Three real processes at once plan the first batch, then the added one; one is killed in between."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    label(root, alone)
    ranks = [start(root, together, "--rank", rank, "--world-size", 3) for rank in range(3)]
    outputs = [rank.communicate(timeout=100)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0, 0], outputs
    assert "rank 1 of 3, from --rank" in outputs[1]
    assert contents(together) == contents(alone)
    for number in (3, 4, 5):
        add(root, f"a/{number}.avi", clips[number])
    label(root, alone)
    ranks = [start(root, together, "--rank", rank, "--world-size", 3) for rank in range(3)]
    wait_until((together / "folder-all-added0001.plan.json").exists)
    ranks[2].kill()
    outputs = [rank.communicate(timeout=100)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks[:2]] == [0, 0], outputs
    ended = start(root, together)
    assert ended.communicate(timeout=100)[0] is not None and ended.returncode == 0
    assert contents(together) == contents(alone)


def test_status_shows_planned_shards_and_the_notes_of_the_folder(root, clips, tmp_path):
    out = tmp_path / "out"
    (root / "b" / "link").symlink_to("/nowhere")
    label(root, out)
    add(root, "a/3.avi", clips[3])
    label(root, out)
    (out / "folder-all-added0001-00000-of-00001.h5").unlink()
    shown = CliRunner().invoke(main, ["status", str(out)]).output
    assert "2 of 3 shards done, 0 running, 1 left" in shown
    assert "folder-all: 2 of 2 shards\nfolder-all-added0001: 0 of 1 shards" in shown
    assert "\nnote: 1 symbolic links lead to no file" in shown
    assert shown.count("note:") == 1, shown
    found = json.loads(CliRunner().invoke(main, ["status", "--json", str(out)]).output)
    assert found["batches"] == {"folder-all": [2, 2], "folder-all-added0001": [0, 1]}
    for path in out.glob("*.h5"):
        path.unlink()
    assert "0 of 3 shards done" in CliRunner().invoke(main, ["status", str(out)]).output
