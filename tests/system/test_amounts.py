"""Amounts as people read them."""

from __future__ import annotations

import pytest

from mas_labels.system.amounts import format_bytes, format_time


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1 kB"), (1536, "1.54 kB"), (2.19e6, "2.19 MB"), (4e15, "4 PB")],
)
def test_bytes(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (15.1, "15 seconds"),
        (99.7, "1.7 minutes"),
        (5000, "83 minutes"),
        (7200, "2 hours"),
        (300 * 3600, "300 hours"),
        (1e7, "2,778 hours"),
    ],
)
def test_times(seconds, text):
    assert format_time(seconds) == text
