"""Clips to measure on, a description of the machine, and tables, for all benchmarks."""

from __future__ import annotations

import argparse
import datetime
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.shards import spread_evenly
from mas_labels.system.linux import processor_name

Clip = NDArray[np.uint8]


def read_clip(path: Path, rows: int, cols: int) -> Clip | None:
    """Read the first 16 frames as (16, rows, cols, 3) RGB, or None where there are fewer."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while len(frames) < DEFAULT_GEOMETRY.clip_frames:
        success, frame = capture.read()
        if not success:
            return None
        frames.append(cv2.cvtColor(cv2.resize(frame, (cols, rows)), cv2.COLOR_BGR2RGB))
    return np.stack(frames)


def choose_videos(root: Path, count: int) -> list[Path]:
    """Choose `count` videos, evenly spread over the sorted ones below `root`."""
    paths = sorted(path for path in root.rglob("*") if path.suffix in (".avi", ".mp4"))
    if not paths:
        raise SystemExit(f"error: no .avi or .mp4 below {root}")
    return [paths[index] for index in spread_evenly(len(paths), count)]


def choose_clips(root: Path, count: int, rows: int, cols: int) -> list[tuple[str, Clip]]:
    """Return name and first clip of each of `choose_videos` that has 16 frames or more."""
    clips = ((path.name, read_clip(path, rows, cols)) for path in choose_videos(root, count))
    return [(name, clip) for name, clip in clips if clip is not None]


def machine() -> str:
    """Describe the processor, the date of measuring, the load and the libraries."""
    today = datetime.datetime.now(datetime.UTC).date()
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return f"{processor_name()}; {today}; {load}; OpenCV {cv2.__version__}, NumPy {np.__version__}"


def table_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of a benchmark's options, with --out."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the tables")
    return parser


def write_table(path: Path, text: str) -> None:
    """Print a page of tables, and write it."""
    print(text)
    path.write_text(text)
