"""Names of devices and memory formats, for the command line: importing them does not load torch."""

from __future__ import annotations

from typing import Final

DEVICES: Final = ("auto", "cpu", "cuda", "mps")
MEMORY_FORMAT_NAMES: Final = {"channels_last_3d": "channels_last_3d", "contiguous": "contiguous_format"}
"""torch's name of each memory format."""
