"""Regenerates the golden files of the tests: `make golden`. Review the difference before you commit it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mas_labels import LABEL_NAMES, compute_labels

GOLDEN = Path(__file__).parents[1] / "golden"
VIEWS = [(8, 29, 0), (8, 29, 1), (0, 0, 0), (16, 59, 1), (3, 41, 0), (3, 41, 1)]


def golden_clip() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return frames (16, 128, 171, 3) and flow (15, 128, 171, 2) that are equal on every machine."""
    time, row, col = np.indices((16, 128, 171))
    inside = (abs(row - 40 - 2 * time) < 20) & (abs(col - 50 - 4 * time) < 25)
    red = np.where(inside, 200 + time, (row // 9 * 37) % 256)
    green = np.where(inside, (row * col // 50) % 256, (col // 7 * 53 + time) % 256)
    blue = np.where(inside, 30, (row + col) % 256)
    frames = np.stack([red, green, blue], axis=-1).astype(np.uint8)
    still = ((row[1:] * 31 + col[1:] * 17 + time[1:] * 7) % 11 - 5) / 16
    u = np.where(inside[1:], 4 + (row[1:] - 60) / 32, still)
    v = np.where(inside[1:], 2 - (col[1:] - 80) / 32, still[:, ::-1])
    return frames, np.stack([u, v], axis=-1).astype(np.float32)


def golden_labels() -> dict[str, list[dict[str, int]]]:
    """Return the labels of the golden clip by convention, view and name."""
    frames, flow = golden_clip()
    return {
        convention: [
            dict(zip(LABEL_NAMES, labels.tolist(), strict=True))
            for labels in compute_labels(frames, flow, VIEWS, convention)
        ]
        for convention in ("paper", "authors")
    }


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "labels.json").write_text(json.dumps(golden_labels(), indent=1) + "\n")
