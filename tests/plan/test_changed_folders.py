"""Resuming where the options, the data set or the plan files have changed: refused, or resumed as planned."""

from __future__ import annotations

import json
import shutil

import pytest
from helpers.added_videos import FIRST, add, label
from helpers.processes import contents

from mas_labels.errors import ConfigError, OptionsDifferError
from mas_labels.plan.plan import shard_counts
from mas_labels.plan.plan_file import read_plan_file
from mas_labels.shards.reader import Shard
from mas_labels.shards.tables import read_failures


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
def test_a_plan_of_other_options_may_be_removed_only_if_no_shard_was_made(root, tmp_path, made):
    out = tmp_path / "out"
    label(root, out)
    for path in [] if made else out.glob("*.h5"):
        path.unlink()
    with pytest.raises(OptionsDifferError, match=r"number of shards, .* was 2, is now 3") as refused:
        label(root, out, videos_per_shard=1)
    assert ("or remove" in str(refused.value)) is not made


def test_small_data_sets_have_small_shards_and_large_ones_as_before():
    counts = {videos: shard_counts(videos, None) for videos in (1, 16, 80, 400, 2048, 13320)}
    assert counts == {1: (1,), 16: (8, 1), 80: (40, 5), 400: (134, 25), 2048: (128,), 13320: (833,)}
    assert shard_counts(80, 16) == (5,)


@pytest.mark.parametrize("has_plan_file", [True, False])
def test_a_folder_of_an_older_version_is_finished_with_its_larger_shards(clips, tmp_path, has_plan_file):
    root, out = tmp_path / "videos", tmp_path / "out"
    for number in range(17):
        add(root, f"{number:02d}.avi", clips[0])
    label(root, out, videos_per_shard=16)  # as older versions did unless told otherwise
    whole = contents(out)
    first, last = sorted(out.glob("*.h5"))
    last.unlink()
    if not has_plan_file:
        (out / "folder-all.plan.json").unlink()
    made = first.stat().st_mtime_ns
    assert [result.planned for result in label(root, out, videos_per_shard=None)] == [9, 8]
    assert (contents(out), first.stat().st_mtime_ns) == (whole, made)
    new = label(root, tmp_path / "new", videos_per_shard=None)
    assert [result.planned for result in new] == [2] * 8 + [1]


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


def test_shards_under_other_names_are_refused_with_their_names(root, tmp_path):
    out = tmp_path / "out"
    names = [result.name for result in label(root, out)]
    first, second = (out / name for name in names[:2])
    copy = out / f"{first.stem} (1).h5"
    shutil.copyfile(first, copy)
    with pytest.raises(ConfigError, match=rf"\(1\)\.h5 is {names[0]} under another name: .* a copy, move it"):
        label(root, out)
    copy.unlink()
    for other in (out / "mine.h5", first):
        second.replace(other)
        with pytest.raises(
            ConfigError, match=rf"{other.name} is {names[1]} under another name: rename it or"
        ):
            label(root, out)
        other.rename(second)


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


def test_a_folder_from_before_plan_files_is_resumed(root, clips, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    (root / "d" / "1.avi").write_text("no video")  # a shard does not know its class
    label(root, old)
    shutil.copytree(old, new)
    without_plan_files(old)
    add(root, "a/3.avi", clips[3])
    label(root, old)
    label(root, new)
    plans = [json.loads((out / "folder-all.plan.json").read_text()) for out in (old, new)]
    mine, other = contents(old), contents(new)
    del mine["folder-all.plan.json"], other["folder-all.plan.json"]
    assert mine == other
    assert plans[0]["videos"] == plans[1]["videos"]  # the notes from then are lost


def test_a_folder_from_before_plan_files_whose_failed_video_was_deleted(root, clips, tmp_path):
    """Its record is lost, so the batch is read from the shards each time."""
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


def test_an_unfinished_folder_from_before_plan_files_needs_the_same_videos(root, clips, tmp_path):
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


def test_a_batch_without_the_one_before_is_refused(root, clips, tmp_path):
    out = tmp_path / "out"
    label(root, out)
    add(root, "a/3.avi", clips[3])
    label(root, out)
    (out / "folder-all.plan.json").unlink()
    (out / FIRST[0]).unlink()
    with pytest.raises(ConfigError, match=r"after folder-all.plan.json, which is missing: put it back"):
        label(root, out)
