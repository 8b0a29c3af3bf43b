"""Version of this package, and versions of the dependencies that decide the bytes of a shard."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"


def versions() -> dict[str, str]:
    """Return the versions that decide a shard's bytes, by name."""
    import av
    import cv2
    import numpy as np

    return {
        "mas_labels": __version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pyav": av.__version__,
        "ffmpeg": av.ffmpeg_version_info,
    }
