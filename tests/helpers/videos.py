"""Synthetic videos, and the folder of real footage where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mas_labels.datasets.manifest import packaged_manifests

SHARED = Path(os.environ.get("MAS_SHARED", Path(__file__).parents[3] / "shared"))
"""Real footage, official split files and small files that were once read wrongly; not part of the project."""
FOLDER_MANIFEST = packaged_manifests()["folder"]
needs_opencv_5 = pytest.mark.skipif(
    int(cv2.__version__.partition(".")[0]) < 5,
    reason="OpenCV 4 warps in steps of 1/32 pixel and decodes otherwise",
)


def moving_texture(frames: int, rows: int, cols: int, u: float, v: float, seed: int = 0) -> NDArray[np.uint8]:
    """Return (frames, rows, cols, 3) uint8 of a smooth random texture that moves by (u, v) per frame."""
    margin = int(np.ceil(frames * max(abs(u), abs(v)))) + 2
    rng = np.random.default_rng(seed)
    size = (rows + 2 * margin, cols + 2 * margin, 3)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, size).astype(np.float32), (0, 0), 2.0)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    pictures = []
    for index in range(frames):
        shift = np.float32([[1, 0, index * u - margin], [0, 1, index * v - margin]])
        pictures.append(cv2.warpAffine(texture, shift, (cols, rows), flags=cv2.INTER_CUBIC))
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


def large_scene(
    seed: int, frames: int = 16, rows: int = 128, cols: int = 171, speed: float = 2.0
) -> NDArray[np.uint8]:
    """Return (frames, rows, cols, 3) uint8 of a texture of large squares that moves right; rounded to 8."""
    small = moving_texture(frames, rows // 8, cols // 8, speed / 8, 0, seed)
    return small.repeat(8, axis=1).repeat(8, axis=2)


def write_video(path: Path, frames: NDArray[np.uint8], codec: str = "MJPG", fps: float = 25.0) -> Path:
    """Write (T, H, W, 3) RGB frames through OpenCV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, frames.shape[2:0:-1])
    assert writer.isOpened(), codec
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path
