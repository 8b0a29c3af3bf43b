"""The usual script for flow, which bench_flow_tool.py compares with: OpenCV's TV-L1 in a Python loop.

    python benchmarks/opencv_flow.py OUT VIDEO [VIDEO ...]

writes ``OUT/NAME/flow_x_00000.jpg`` and ``flow_y_00000.jpg``: the range -20 to 20 pixels as 8 bits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

BOUND = 20.0


def write_flow(video: Path, folder: Path) -> None:
    """Write the pictures of one video."""
    folder.mkdir(parents=True)
    estimator = cv2.optflow.DualTVL1OpticalFlow_create()
    capture = cv2.VideoCapture(str(video))
    previous, count = None, 0
    while True:
        success, frame = capture.read()
        if not success:
            break
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if previous is not None:
            flow = estimator.calc(previous, grey, None)
            pictures = np.clip((flow + BOUND) * (255 / (2 * BOUND)), 0, 255).astype(np.uint8)
            for index, axis in enumerate("xy"):
                cv2.imwrite(str(folder / f"flow_{axis}_{count:05d}.jpg"), pictures[..., index])
            count += 1
        previous = grey


if __name__ == "__main__":
    cv2.setNumThreads(1)
    for path in map(Path, sys.argv[2:]):
        write_flow(path, Path(sys.argv[1]) / path.stem)
