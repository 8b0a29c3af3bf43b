"""Fixtures of the tests of inference."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.coloured import label_frames

from mas_labels.shards import ShardSet


@pytest.fixture(scope="session")
def raw_shards(tiny_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Shards of the raw frames of `tiny_videos`."""
    return label_frames(tiny_videos, tmp_path_factory.mktemp("raw"), frames="raw")
