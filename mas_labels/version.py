"""TODO."""

from __future__ import annotations

import av
import cv2
import numpy as np

import mas_labels


def versions() -> dict[str, str]:
    """Return the versions that decide a shard's bytes."""
    return {
        "mas_labels": mas_labels.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pyav": av.__version__,
        "ffmpeg": av.ffmpeg_version_info,
    }
