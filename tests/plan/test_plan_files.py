"""Plan files: written once, atomically, by one of many processes; validated when they are read."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from dataclasses import replace

import pytest
from click.testing import CliRunner
from helpers.added_videos import command, label
from helpers.processes import contents
from helpers.videos import FOLDER_MANIFEST

from mas_labels.cli.main import main
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import StorageError
from mas_labels.plan.heartbeat import remove_leftovers
from mas_labels.plan.plan import Batch, plan_shards
from mas_labels.plan.plan_file import read_plan_file, write_plan_file


def batch(*videos, **changes):
    return replace(Batch("folder", "all", 0, 1, tuple(videos), ("b",)), **changes)


def test_a_plan_file_reads_back_as_it_was_written(root, tmp_path):
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
def test_a_corrupt_or_foreign_plan_file_is_refused_with_a_remedy(root, tmp_path, change):
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


def write_many(out, number, barrier, wins):
    from mas_labels.system import files

    files.PUBLISH_SECONDS = 60.0
    if number % 2:
        files.os.link = refuse_link
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

    monkeypatch.setattr(f"mas_labels.system.files.{name}", full)
    monkeypatch.setattr("pathlib.Path.rename", full)
    with pytest.raises(StorageError, match=r"cannot write .*folder-all.plan.json: No space left on device"):
        label(root, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_claim_of_a_dead_process_is_reported(root, tmp_path, monkeypatch):
    monkeypatch.setattr("mas_labels.system.files.os.link", refuse_link)
    monkeypatch.setattr("mas_labels.system.files.PUBLISH_SECONDS", 0.0)
    (tmp_path / ".folder-all.plan.json.claim").touch()
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), root), "all", 2)
    with pytest.raises(StorageError, match=r"remove .*\.claim and run again"):
        write_plan_file(tmp_path, plan.batches[0])


def test_leftovers_of_a_killed_writer_of_a_plan_file_are_removed(tmp_path):
    (tmp_path / ".folder-all.plan.json.77-1234567").write_text("{")
    (tmp_path / "folder-all.plan.json").write_text("{")
    assert remove_leftovers(tmp_path) == 0  # no shard
    assert [path.name for path in tmp_path.iterdir()] == ["folder-all.plan.json"]
