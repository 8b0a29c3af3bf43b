"""Videos that come and go after a folder was labelled: plan files, batches, and what stays as it was."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner
from helpers.processes import contents, wait_until
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video

from mas_labels.cli.main import main
from mas_labels.config import LabelConfig, RunOptions
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import ConfigError, OptionsDifferError, StorageError
from mas_labels.pipeline.run import run
from mas_labels.plan.heartbeat import remove_leftovers
from mas_labels.plan.plan import Batch, plan_shards
from mas_labels.plan.plan_file import read_plan_file, write_plan_file
from mas_labels.shards.reader import Shard
from mas_labels.shards.tables import read_failures, read_videos

FRAMES = LabelConfig(frames_only=True, store_boundaries=False)
FIRST = ("folder-all-00000-of-00002.h5", "folder-all-00001-of-00002.h5")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Six short videos, each of its own content."""
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / f"{number}.avi" for number in range(6)]
    for number, path in enumerate(paths):
        write_video(path, moving_texture(16 + number, 40, 60, 1, 0, seed=number))
    return paths


@pytest.fixture
def root(clips, tmp_path):
    """Three of them in the classes `b` and `d`: two shards of two videos at most."""
    for number, name in enumerate(("b/0.avi", "d/1.avi", "d/2.avi")):
        add(tmp_path / "videos", name, clips[number])
    return tmp_path / "videos"


def add(root, name, video):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(video, root / name)


def label(root, out, videos_per_shard=2, limit=None, split="all", manifest=FOLDER_MANIFEST, **options):
    listing = find_videos(load_manifest(manifest), root)
    plan = plan_shards(listing, split, videos_per_shard, limit)
    results = run(plan, FRAMES, root, out, options=RunOptions(**options))
    assert [result.error for result in results] == [None] * len(results)
    return results


def command(root, out, *options):
    words = ["make", "--manifest", FOLDER_MANIFEST, "--root", root, "--out", out, "--frames-only"]
    return [str(word) for word in (*words, "--workers", 1, "--videos-per-shard", 2, *options)]


def make(root, out, *options):
    return CliRunner().invoke(main, command(root, out, *options))


def shard_names(out):
    return sorted(path.name for path in out.glob("*.h5"))


def videos_of(out, name):
    with Shard(out / name) as shard:
        return [(video.path, video.class_name, video.class_index) for video in read_videos(shard)]


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
    """Else the numbers of clips would change with the tenth time."""
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


def test_removed_videos_are_told_and_their_labels_stay(root, clips, tmp_path):
    out = tmp_path / "out"
    label(root, out)
    before = contents(out)
    (root / "d" / "1.avi").unlink()
    shown = make(root, out)
    assert shown.exit_code == 0, shown.output
    assert "1 videos that were planned before are not in the data set any more" in shown.output
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
    assert "1 of their videos are not under" in capsys.readouterr().err
    assert contents(out) == before
    (tmp_path / "kept.avi").rename(root / "b" / "0.avi")
    assert [result.failures for result in label(root, out, retry_failed=True)] == [0, 0]


def test_a_batch_is_finished_as_planned_whatever_became_of_the_folder(root, clips, tmp_path):
    """A run that ended before its first shard; then one video came, one went."""
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


def test_the_limit_counts_all_batches(root, clips, tmp_path):
    out = tmp_path / "out"
    label(root, out, limit=4)
    for number in (3, 4, 5):
        add(root, f"a/{number}.avi", clips[number])
    assert [result.planned for result in label(root, out, limit=4)] == [2, 1, 1]
    assert read_plan_file(out / "folder-all-added0001.plan.json").limit == 4
    assert len(label(root, out, limit=4)) == 3
    with pytest.raises(OptionsDifferError, match="--limit was 4, is now not given"):
        label(root, out)
    with pytest.raises(OptionsDifferError, match="--limit was not given, is now 2"):
        label(root, out, limit=2)


@pytest.mark.parametrize("made", [True, False])
def test_a_plan_of_other_options_can_be_given_up_only_where_nothing_was_made(root, tmp_path, made):
    out = tmp_path / "out"
    label(root, out)
    for path in [] if made else out.glob("*.h5"):
        path.unlink()
    with pytest.raises(OptionsDifferError, match=r"number of shards, .* was 2, is now 3") as refused:
        label(root, out, videos_per_shard=1)
    assert ("or remove" in str(refused.value)) is not made


LISTS = """
name: lists
description: a folder with lists
extensions: [.avi]
path: "(?P<class>[^/]+)/[^/]+"
videos_per_shard: 2
splits: [{by: lists, files: {train: train.txt, test: test.txt}}]
"""


def test_a_video_whose_split_or_class_changed_is_refused_by_name(root, clips, tmp_path):
    manifest, out = tmp_path / "lists.yaml", tmp_path / "out"
    manifest.write_text(LISTS)
    (root / "test.txt").write_text("d/2.avi\n")
    (root / "train.txt").write_text("b/0.avi\nd/1.avi\n")
    label(root, out, manifest=manifest, split="train")
    (root / "train.txt").write_text("b/0.avi\n")
    (root / "test.txt").write_text("d/1.avi\nd/2.avi\n")
    with pytest.raises(OptionsDifferError, match=r"splits train of 'd/1.avi', which now has .*splits test"):
        label(root, out, manifest=manifest, split="train")
    with pytest.raises(
        OptionsDifferError, match="plans split 'train' of lists, this run is for split 'test'"
    ):
        label(root, out, manifest=manifest, split="test")


def test_another_data_set_is_not_taken_for_added_videos(root, clips, tmp_path):
    out = tmp_path / "out"
    label(root, out)
    add(tmp_path / "other", "b/9.avi", clips[4])
    before = contents(out)
    with pytest.raises(OptionsDifferError, match=r"none of the 3 videos that .* check the root, or choose"):
        label(tmp_path / "other", out)
    assert contents(out) == before
    add(tmp_path / "other", "d/1.avi", clips[1])
    assert len(label(tmp_path / "other", out)) == 3


def test_a_file_whose_bytes_changed_is_refused_also_with_new_videos(root, clips, tmp_path):
    out = tmp_path / "out"
    label(root, out)
    before = contents(out)
    add(root, "a/3.avi", clips[3])
    shutil.copy(clips[4], root / "b" / "0.avi")
    with pytest.raises(OptionsDifferError, match=r"'b/0.avi' of \d+ bytes"):
        label(root, out)
    assert contents(out) == before  # no plan of what is not made


def without_plan_files(out):
    for path in out.glob("*.plan.json"):
        path.unlink()


def test_a_folder_from_before_plan_files_goes_on(root, clips, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    (root / "d" / "1.avi").write_text("no video")  # a shard does not know its class
    label(root, old)
    shutil.copytree(old, new)
    without_plan_files(old)
    add(root, "a/3.avi", clips[3])
    label(root, old)
    label(root, new)
    mine, other = contents(old), contents(new)
    plans = [json.loads(one.pop("folder-all.plan.json")) for one in (mine, other)]
    assert mine == other
    assert plans[0]["videos"] == plans[1]["videos"]  # the notes of that time are not known any more


def test_a_folder_from_before_plan_files_whose_failed_video_was_thrown_away(root, clips, tmp_path):
    """Its record cannot be known any more, so the shards keep speaking for themselves."""
    out = tmp_path / "out"
    (root / "d" / "1.avi").write_text("no video")
    label(root, out)
    before = {name: (out / name).read_bytes() for name in FIRST}
    without_plan_files(out)
    (root / "d" / "1.avi").unlink()
    add(root, "a/3.avi", clips[3])
    for _ in range(2):
        assert [result.planned for result in label(root, out)] == [2, 1, 1]
    assert {name: (out / name).read_bytes() for name in FIRST} == before
    assert sorted(path.name for path in out.glob("*.json")) == ["folder-all-added0001.plan.json"]
    assert [result.failures for result in label(root, out, retry_failed=True)] == [0, 1, 0]
    with Shard(out / FIRST[1]) as shard:  # the file is not there now, else it is the same shard
        assert [failure.video for failure in read_failures(shard)] == ["d/1.avi"]
    assert (out / FIRST[0]).read_bytes() == before[FIRST[0]]


def test_an_unfinished_folder_from_before_plan_files_is_as_it_was(root, clips, tmp_path):
    out = tmp_path / "out"
    label(root, out)
    before = contents(out)
    without_plan_files(out)
    (out / FIRST[1]).unlink()
    add(root, "a/3.avi", clips[3])
    add(root, "a/4.avi", clips[4])
    with pytest.raises(
        OptionsDifferError, match=r"number of shards, .* was 2, is now 3.* If videos were added or"
    ):
        label(root, out)
    assert set(contents(out)) == {FIRST[0]}
    shutil.rmtree(root / "a")
    label(root, out)
    assert contents(out) == before


def batch(*videos, **changes):
    return replace(Batch("folder", "all", 0, 1, tuple(videos), ("b",)), **changes)


def test_a_plan_file_gives_back_what_was_planned(root, tmp_path):
    (root / os.fsdecode(b"b/\xff\x01 \"'.avi")).write_text("no UTF-8, no video")
    for made in plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), root), "all", 2).batches:
        assert write_plan_file(tmp_path, made)
        assert read_plan_file(tmp_path / "folder-all.plan.json") == made
        assert write_plan_file(tmp_path, made)
        assert not write_plan_file(tmp_path, replace(made, notes=("others",)))
        assert read_plan_file(tmp_path / "folder-all.plan.json") == made


def spoil(content, **changes):
    return json.dumps({**json.loads(content), **changes}).encode()


ROW = ["b/0.avi", 0, [], None]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"[" * 100_000,
        lambda content: b"\xff\xfe",
        lambda content: b"null",
        lambda content: spoil(content, format="other"),
        lambda content: spoil(content, version=2),
        lambda content: spoil(content, split="../x"),
        lambda content: spoil(content, batch=1),
        lambda content: spoil(content, batch=True),
        lambda content: spoil(content, shards=10**9),
        lambda content: spoil(content, shards=1.0),
        lambda content: spoil(content, limit=0),
        lambda content: spoil(content, notes="text"),
        lambda content: spoil(content, classes=["b", "b"]),
        lambda content: spoil(content, videos=[ROW, ROW]),
        lambda content: spoil(content, videos=[]),
        lambda content: spoil(content, videos=[["../0.avi", 0, [], None]]),
        lambda content: spoil(content, videos=[["/etc/0.avi", 0, [], None]]),
        lambda content: spoil(content, videos=[["b/0.avi", 7, [], None]]),
        lambda content: spoil(content, videos=[["b/0.avi", 0, "ab", None]]),
        lambda content: spoil(content, videos=[["b/0.avi", 0, [], 7]]),
        lambda content: spoil(content, videos=[["b/0.avi", 0]]),
    ],
)
def test_a_damaged_or_foreign_plan_file_is_refused_with_a_remedy(root, tmp_path, change):
    out = tmp_path / "out"
    out.mkdir()
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), root), "all", 2)
    write_plan_file(out, plan.batches[0])
    path = out / "folder-all.plan.json"
    path.write_bytes(change(path.read_bytes()))
    before = contents(out)
    for words in (command(root, out), command(root, out, "--dry-run"), ["status", str(out)]):
        shown = CliRunner().invoke(main, words)
        assert shown.exit_code == 1, shown.output
        assert "folder-all.plan.json is not a plan file of mas-labels, or is corrupt" in shown.output
        assert "put back the right one" in shown.output
    assert contents(out) == before


def test_a_batch_without_the_one_before_is_refused(root, clips, tmp_path):
    out = tmp_path / "out"
    label(root, out)
    add(root, "a/3.avi", clips[3])
    label(root, out)
    (out / "folder-all.plan.json").unlink()
    (out / FIRST[0]).unlink()
    with pytest.raises(ConfigError, match=r"after folder-all.plan.json, which is not there: put it back"):
        label(root, out)


def write_many(out, number, barrier, wins):
    import mas_labels.plan.plan_file as plan_file

    plan_file.WAIT_SECONDS = 60.0
    if number % 2:
        plan_file.os.link = refuse_link
    from mas_labels.datasets.listing import VideoRecord

    for round_number in range(20):
        mine = batch(VideoRecord(f"b/{number}.avi", "b", 0, (), None), split=f"s{round_number}")
        barrier.wait()
        if write_plan_file(out, mine):
            wins.put((round_number, number))


def refuse_link(*args, **kwargs):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("ways", [(0, 2, 4), (1, 3, 5)])
def test_of_many_writers_one_wins_with_links_and_without(tmp_path, ways):
    context = multiprocessing.get_context("spawn")
    barrier, wins = context.Barrier(len(ways), timeout=60), context.Queue()
    writers = [context.Process(target=write_many, args=(tmp_path, way, barrier, wins)) for way in ways]
    for writer in writers:
        writer.start()
    won = dict(wins.get(timeout=60) for _ in range(20))
    for writer in writers:
        writer.join(timeout=60)
        assert writer.exitcode == 0
    assert len(won) == 20 and wins.empty()
    for round_number, number in won.items():
        found = read_plan_file(tmp_path / f"folder-s{round_number}.plan.json")
        assert [video.path for video in found.videos] == [f"b/{number}.avi"]
    assert len(list(tmp_path.iterdir())) == 20  # nothing hidden is left


@pytest.mark.parametrize("name", ["os.link", "sync"])
def test_a_full_disk_leaves_no_plan_file(root, tmp_path, monkeypatch, name):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"mas_labels.plan.plan_file.{name}", full)
    monkeypatch.setattr("pathlib.Path.rename", full)
    with pytest.raises(StorageError, match=r"cannot write .*folder-all.plan.json: No space left on device"):
        label(root, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_claim_of_a_dead_process_is_told(root, tmp_path, monkeypatch):
    monkeypatch.setattr("mas_labels.plan.plan_file.os.link", refuse_link)
    monkeypatch.setattr("mas_labels.plan.plan_file.WAIT_SECONDS", 0.0)
    (tmp_path / ".folder-all.plan.json.claim").touch()
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), root), "all", 2)
    with pytest.raises(StorageError, match=r"remove .*\.claim and run again"):
        write_plan_file(tmp_path, plan.batches[0])


def test_what_a_killed_writer_of_a_plan_file_left_is_removed(tmp_path):
    (tmp_path / ".folder-all.plan.json.77-1234567").write_text("{")
    (tmp_path / "folder-all.plan.json").write_text("{")
    assert remove_leftovers(tmp_path) == 0  # no shard
    assert [path.name for path in tmp_path.iterdir()] == ["folder-all.plan.json"]


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
    said = [rank.communicate(timeout=100)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0, 0], said
    assert "rank 1 of 3, from --rank" in said[1]
    assert contents(together) == contents(alone)
    for number in (3, 4, 5):
        add(root, f"a/{number}.avi", clips[number])
    label(root, alone)
    ranks = [start(root, together, "--rank", rank, "--world-size", 3) for rank in range(3)]
    wait_until((together / "folder-all-added0001.plan.json").exists)
    ranks[2].kill()
    said = [rank.communicate(timeout=100)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks[:2]] == [0, 0], said
    ended = start(root, together)
    assert ended.communicate(timeout=100)[0] is not None and ended.returncode == 0
    assert contents(together) == contents(alone)


def test_status_tells_what_is_planned_and_the_notes_of_the_folder(root, clips, tmp_path):
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
