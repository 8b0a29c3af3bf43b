"""Version of this package, and versions of the dependencies that decide the bytes of a shard."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any, Final

__version__: Final = "0.2.0"
RESUMABLE: Final = ("0.1.0",)
"""Earlier versions whose unfinished work is resumed: their frames, flow, labels and features go with ours."""


def versions() -> dict[str, str]:
    """Return the versions that decide a shard's bytes, by name.

    On other processors than x86-64, FFmpeg's names the processor: its frames differ there by a few grey
    levels, since it decodes and converts with other instructions.
    """
    import av
    import cv2
    import numpy as np

    processor = platform.machine()
    return {
        "mas_labels": __version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pyav": av.__version__,
        "ffmpeg": av.ffmpeg_version_info + ("" if processor == "x86_64" else f" on {processor}"),
    }


def resumable(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored versions of a run that is to be resumed, as they are compared with those of now.

    An earlier version of this package counts as this one if it is `RESUMABLE`; 0.1.0 called itself "not
    installed" in the runs of a checkout.
    """
    earlier = (*RESUMABLE, "not installed")
    own = [name for name in ("mas_labels", "mas-video") if stored.get(name) in earlier]
    return {**stored, **dict.fromkeys(own, __version__)}
