"""Writes extracted frames, as numbered pictures in a folder or an archive."""

from __future__ import annotations

import tarfile
import zipfile

import cv2
import numpy as np


def write_frames(folder, frames, name="img_{:05d}.jpg", first=1):
    """Write (T, H, W, 3) RGB frames as numbered pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, first):
        assert cv2.imwrite(str(folder / name.format(number)), frame[..., ::-1])
    return folder


def greys(count, rows=48, cols=64):
    """Return frames of which number n has the grey value 10 n."""
    return np.stack([np.full((rows, cols, 3), 10 * n, np.uint8) for n in range(count)])


def pack(folder, path):
    """Pack a folder of frames into an archive, last frame first."""
    files = sorted(folder.iterdir(), reverse=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, f"{folder.name}/{file.name}")
            archive.writestr(f"__MACOSX/{folder.name}/._img_00001.jpg", b"no picture")
    else:
        with tarfile.open(path, "w:" if path.suffix == ".tar" else "w:gz") as archive:
            for file in files:
                archive.add(file, f"./{folder.name}/{file.name}")
    return path
