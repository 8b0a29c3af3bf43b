"""Made the kept shards of schema version 2, in `tests/golden/version2`, with the code of commit 37dc558.

Later code writes later versions, so running this again makes other files. It is kept to say what they hold:
two videos of a blob that moves a little, and one that is too short, labelled three ways. They are compressed,
because an HDF5 chunk is stored whole.
"""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from helpers.videos import FOLDER_MANIFEST, write_video
from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards

VERSION2 = Path(__file__).parents[1] / "golden" / "version2"
KINDS = {
    "labels": LabelConfig(flow="dis", view_stride_pixels=30, jpeg_quality=20, store_boundaries=False),
    "flow": LabelConfig(
        flow="farneback",
        convention="authors",
        clip_stride_frames=24,
        view_stride_pixels=59,
        view_mirrored=False,
        jpeg_quality=20,
        store_flow=True,
        fps="24",
    ),
    "frames": LabelConfig(frames_only=True, store_boundaries=False, jpeg_quality=20),
}


def moving_blob(frames: int, u: float, v: float) -> NDArray[np.uint8]:
    """Return (frames, 96, 128, 3) uint8 of a smooth blob on black: from frame 4, three moves of (u, v)."""
    row, col = np.indices((96, 128))
    pictures = []
    for moves in np.clip(np.arange(frames) - 4, 0, 3):
        distance = np.hypot(row - 40 - v * moves, col - 40 - u * moves)
        brightness = np.clip(1.5 - distance / 8, 0, 1)[..., None]
        pictures.append(np.rint(brightness * (250, 120, 60)))
    return np.array(pictures, np.uint8)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "videos"
        write_video(videos / "pan" / "right.avi", moving_blob(33, 1.5, 0))
        write_video(videos / "drop" / "döwn.avi", moving_blob(48, 0, 0.75))
        write_video(videos / "drop" / "short.avi", moving_blob(9, 0, 1))
        for name, config in KINDS.items():
            plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), videos), "all", 9)
            run(plan, config, videos, Path(folder) / name, workers=1)
            (made,) = (Path(folder) / name).glob("*.h5")
            VERSION2.mkdir(parents=True, exist_ok=True)
            (VERSION2 / f"{name}.h5.gz").write_bytes(gzip.compress(made.read_bytes(), mtime=0))
