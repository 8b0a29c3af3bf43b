"""The cache of facts and columns of many shards: read again from it, and ignored where it is not right."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mas_labels.errors import ShardError
from mas_labels.shards.cache import ShardIndex, cache_folder, index_entry
from mas_labels.shards.reader import Shard
from mas_labels.shards.shard_set import open_shards


@pytest.fixture
def many(tiny_shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of four shards, cached because sets of two or more shards are."""
    monkeypatch.setenv("MAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("mas_labels.shards.cache.MIN_SHARDS", 2)
    (tmp_path / "many").mkdir()
    for number in range(4):
        shutil.copy(tiny_shards[number % 2], tmp_path / "many" / f"{number}.h5")
    return tmp_path / "many"


def count_openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    opened: list[str] = []
    begin = Shard.__init__
    monkeypatch.setattr(
        Shard, "__init__", lambda self, path: (opened.append(Path(path).name), begin(self, path))[1]
    )
    return opened


def test_a_folder_is_opened_from_its_index(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_shards(many)
    opened = count_openings(monkeypatch)
    again = open_shards(many)
    assert opened == ["0.h5"]
    assert (again.lengths, again.content_hashes) == (first.lengths, first.content_hashes)
    frames = again[-1].frames
    assert opened == ["0.h5", "3.h5"]
    np.testing.assert_array_equal(frames, first[-1].frames)
    assert again.failure_count == first.failure_count == len(first.failures) > 0


def test_one_folder_of_many_shards_is_resolved_once(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[Path] = []
    resolve = Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda path: (resolved.append(path), resolve(path))[1])
    shards = open_shards(many)
    assert resolved == [many, many]  # for the index, and for the plan
    shards.where(video="pan/*")
    assert resolved == [many] * 3


def test_columns_of_a_folder_are_read_once_and_cached(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_shards(many)
    expected = {name: column.tolist() for name, column in first.clips.columns(view=3).items()}
    again = open_shards(many)
    opened = count_openings(monkeypatch)
    columns = again.where(video="pan/*", view=3, grid_ul=range(1, 17)).columns(view=3)
    assert opened == []
    chosen = [row for row, video in enumerate(expected["video"]) if video.startswith("pan/")]
    assert chosen and columns["index"].tolist() == chosen
    for name, column in columns.items():
        assert column.tolist() == [expected[name][row] for row in chosen], name


@pytest.mark.parametrize("harm", ["other shards", "cut", "text"])
def test_cached_columns_of_other_shards_are_ignored(many: Path, tmp_path: Path, harm: str) -> None:
    before = open_shards(many).clips.columns()["video"].tolist()
    (kept,) = (tmp_path / "cache").glob("columns-*.npz")
    if harm == "other shards":  # the last two change places
        (many / "2.h5").rename(many / "4.h5")
    else:
        kept.write_bytes(kept.read_bytes()[:-300] if harm == "cut" else b"no columns")
    again = open_shards(many)
    assert again.clips.columns()["video"].tolist() == [clip.video for clip in again]
    assert ([clip.video for clip in again] == before) == (harm != "other shards")


def test_a_changed_shard_is_opened_again(many: Path) -> None:
    open_shards(many)
    (many / "2.h5").write_bytes((many / "2.h5").read_bytes()[:20000])
    with pytest.raises(ShardError, match=r"2\.h5"):
        open_shards(many)


def test_a_shard_of_other_options_is_refused_from_the_index(many: Path, tmp_path: Path) -> None:
    open_shards(many)
    index = next((tmp_path / "cache").glob("index-*.json"))
    content = json.loads(index.read_text())
    content["shards"][str(many / "3.h5")][1][3] = "another digest"
    index.write_text(json.dumps(content))
    with pytest.raises(ShardError, match="different options"):
        open_shards(many)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"layout": [1, 2], "shards": {"a": 3}}', '{"layout": 7, "shards": {}}']
)
def test_a_damaged_index_is_ignored(many: Path, tmp_path: Path, text: str) -> None:
    lengths = open_shards(many).lengths
    next((tmp_path / "cache").glob("index-*.json")).write_text(text)
    assert open_shards(many).lengths == lengths


def test_all_works_without_a_cache_folder(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAS_CACHE", os.devnull)
    assert len(open_shards(many)) == 24


def test_a_user_without_a_home_has_the_cache_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "MAS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert cache_folder() == Path("/.cache/mas-video")
    monkeypatch.setenv("MAS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_small_sets_have_no_index(
    tiny_shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAS_CACHE", str(tmp_path / "cache"))
    open_shards(tiny_shards)
    assert not (tmp_path / "cache").exists()


def test_index_entries_agree_with_the_shard(tiny_shards: list[Path]) -> None:
    with Shard(tiny_shards[0]) as shard:
        entry = index_entry(shard)
        assert (entry.clips, entry.content_hash) == (len(shard), shard.content_hash)
    assert ShardIndex(tiny_shards).find(tiny_shards[0]) is None
