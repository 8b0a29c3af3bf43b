"""The compiled extensions, and what is lost without each; setup.py runs this file, which imports nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LOSSES: Final[Mapping[str, str]] = {
    "tvl1": "`tvl1` flow stops with a message",
    "labels": "labelling stops with a message; MAS_LABELS=numpy computes the same labels without it, slowly",
    "resize": "OpenCV resizes frames, several times more slowly",
    "checksum": "raw frames are read through HDF5 alone, at less than half the speed",
}
"""Folder of an extension's source in ``mas_labels/native`` -> what is lost without it, as a sentence."""
