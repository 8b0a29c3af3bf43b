"""Shards that a folder, a file, a pattern or a list names, whatever lies beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mas_labels.shards.opening import find_shards
from mas_labels.shards.shard_set import open_shards


@pytest.fixture
def folder(tiny_shards: list[Path], tmp_path: Path) -> Path:
    """A folder of two shards, with a name that is a pattern, and what macOS leaves beside its files."""
    folder = tmp_path / "labels[1]"
    folder.mkdir()
    for path in tiny_shards:
        shutil.copyfile(path, folder / path.name)
        (folder / f"._{path.name}").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    return folder


def test_hidden_files_are_no_shards_and_a_folder_may_be_named_like_a_pattern(folder: Path) -> None:
    expected = sorted(folder.glob("[!.]*"))
    assert find_shards(folder) == find_shards(f"{folder}/*.h5") == expected
    assert find_shards(f"{folder}/*-00001-*.h5") == expected[1:]
    shards = open_shards(folder)
    assert len(shards.paths) == 2 and shards.incomplete == ()


def test_a_shard_counts_once_and_is_found_from_another_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    paths = [folder.name, folder, *sorted(folder.glob("[!.]*"))]
    shards = open_shards(paths)
    assert [str(path.parent) for path in shards.paths] == [folder.name] * 2  # as they were named first
    monkeypatch.chdir("/")
    assert shards[0].frames.shape == (16, 128, 171, 3) and len(shards.columns()["video"]) == len(shards)
