"""The flow estimators by name. A new one is one line here; importing this table loads no OpenCV."""

from __future__ import annotations

from typing import Final

from mas_labels.errors import ConfigError

METHODS: Final[dict[str, str]] = {
    "tvl1": "mas_labels.flow.tvl1:tvl1_flow",
    "tvl1-opencv": "mas_labels.flow.opencv_estimators:tvl1",
    "brox": "mas_labels.flow.opencv_estimators:brox",
    "dis": "mas_labels.flow.opencv_estimators:dis",
    "farneback": "mas_labels.flow.opencv_estimators:farneback",
}
"""Module and function of each: grey (T, H, W) uint8 -> (T - 1, H, W, 2) float32, in pixels per frame."""
STORED: Final = "stored"
"""Stands for no estimator in the options of labels: their flow was read from files."""
MIN_SIDE: Final = 16
"""Rows and columns below which some estimators fail."""
MAX_SIDE: Final = 16384
"""Rows and columns above which some estimators fail."""


def check_method(name: str) -> None:
    """Raise `ConfigError` if there is no estimator of this name."""
    if name not in METHODS:
        raise ConfigError(f"no flow method {name!r}: choose one of {', '.join(METHODS)}")
