"""Fixtures of the tests of data sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import layouts


@pytest.fixture
def grow(tmp_path: Path) -> layouts.Grow:
    """Return a function that makes empty files under a root."""
    return lambda *paths, root="data": layouts.grow(tmp_path / root, *paths)
