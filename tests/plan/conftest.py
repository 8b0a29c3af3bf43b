"""A data set to which videos can be added after it was labelled."""

from __future__ import annotations

import pytest
from helpers.added_videos import first_videos, write_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def root(clips, tmp_path):
    return first_videos(clips, tmp_path / "videos")
