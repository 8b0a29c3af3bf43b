"""Measures what storing flow does to the labels: 8-bit pictures, half precision, another size.

    python benchmarks/stored_flow.py --videos DIR... [--count 150] [--out benchmarks]

prints tables and writes them to ``OUT/stored_flow.md``. For the first clip of each video, TV-L1 flow is
computed from frames of 128 x 171, as `mas-labels make` does, and from frames of the video's own size, as data
sets of flow hold it; each is stored and read back in several ways, with the functions that
`mas-labels make --flow-from` uses. Labels are those of all views of the default table; intervals are a
bootstrap over videos.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from common import choose_videos, machine, table_parser, write_table
from numpy.typing import NDArray

from mas_labels.errors import VideoError
from mas_labels.flow.estimators import compute_flow
from mas_labels.flow.grey import BOUND, flow_to_grey, grey_to_flow
from mas_labels.flow.stored_flow import resize_flow
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.labels.compute import clip_statistics
from mas_labels.labels.views import view_table
from mas_labels.schema import LABEL_NAMES, MOTION_NAMES
from mas_labels.video.clips import resize
from mas_labels.video.open_video import open_video

Flow = NDArray[np.float32]

ROWS, COLS = DEFAULT_GEOMETRY.frame_rows, DEFAULT_GEOMETRY.frame_cols
JPEG_QUALITIES = (95, 75)
RESAMPLES = 2000
KINDS = {
    "block": [name for name in MOTION_NAMES if name.endswith(("_ul", "_vl"))],
    "orientation": [name for name in MOTION_NAMES if name.endswith(("_uo", "_vo"))],
    "frame": ["ui", "vi"],
    "all 14 of motion": list(MOTION_NAMES),
    "all 27": list(LABEL_NAMES),
}


def through_picture(flow: Flow, extension: str, quality: int = 0) -> Flow:
    """Store flow as grey pictures, and read it back."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality] if quality else []
    read = np.empty_like(flow)
    for index in np.ndindex(len(flow), 2):
        grey = flow_to_grey(flow[index[0], ..., index[1]])
        data = cv2.imencode(extension, grey, settings)[1]
        read[index[0], ..., index[1]] = grey_to_flow(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))
    return read


STORES: dict[str, Callable[[Flow], Flow]] = {
    "float32": lambda flow: flow,
    "float16": lambda flow: flow.astype(np.float16).astype(np.float32),
    "PNG": lambda flow: through_picture(flow, ".png"),
    **{
        f"JPEG {quality}": lambda flow, quality=quality: through_picture(flow, ".jpg", quality)
        for quality in JPEG_QUALITIES
    },
}


class Measured(NamedTuple):
    """One clip, by the size of its flow and how that was stored."""

    changed: dict[tuple[str, str], NDArray[np.float64]]
    """Share of the views in which each of the 27 labels differs."""
    distance: dict[tuple[str, str], float]
    """Mean distance between the vectors, pixels."""
    motion: float
    """Mean magnitude of the motion boundaries, pixels: column ``clips/motion``."""
    clipped: float
    """Share of the vectors of the video's own size that pictures clip."""


def measure(path: Path) -> Measured | None:
    """Measure the first clip of a video; None if it has none."""
    try:
        whole = list(islice(open_video(path), DEFAULT_GEOMETRY.clip_frames))
    except VideoError:
        return None
    if len(whole) < DEFAULT_GEOMETRY.clip_frames:
        return None
    small = np.stack([cv2.cvtColor(resize(frame, ROWS, COLS), cv2.COLOR_BGR2RGB) for frame in whole])
    large = np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in whole])
    flows = {f"{ROWS} x {COLS}": compute_flow(small), "the video's own": compute_flow(large)}
    views = view_table(8)
    (reference, at_own_size) = flows.values()
    computed = clip_statistics(small, reference, views)
    changed, distance = {}, {}
    for size, flow in flows.items():
        for store, through in STORES.items():
            read = resize_flow(through(flow), ROWS, COLS)
            changed[size, store] = (clip_statistics(small, read, views).labels != computed.labels).mean(
                axis=0
            )
            distance[size, store] = float(np.linalg.norm(read - reference, axis=-1).mean())
    motion = float(computed.motion.mean())
    return Measured(changed, distance, motion, float((np.abs(at_own_size) > BOUND).any(axis=-1).mean()))


def interval(shares: NDArray[np.float64]) -> str:
    """Return the mean in per cent, and its 95 % interval by a bootstrap over videos."""
    rng = np.random.default_rng(0)
    means = shares[rng.integers(len(shares), size=(RESAMPLES, len(shares)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{100 * shares.mean():.2f} ({100 * low:.2f} to {100 * high:.2f})"


def table(clips: list[Measured]) -> str:
    """Format the share of labels that differ, by how the flow was stored and by kind of label."""
    lines = [f"| size of the flow | stored as | distance, px | {' | '.join(KINDS)} |", "|---" * 8 + "|"]
    for key in list(clips[0].changed)[1:]:  # the first one is the reference
        changed = np.stack([clip.changed[key] for clip in clips])
        cells = []
        for names in KINDS.values():
            rows = [LABEL_NAMES.index(name) for name in names]
            cells.append(interval(changed[:, rows].mean(axis=1)))
        distance = np.mean([clip.distance[key] for clip in clips])
        lines.append(f"| {key[0]} | {key[1]} | {distance:.4f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def motion_table(clips: list[Measured]) -> str:
    """Format the share of motion labels that differ in the quieter and in the livelier half of the clips."""
    order = np.argsort([clip.motion for clip in clips])
    halves = np.array_split(order, 2)
    border = clips[halves[1][0]].motion
    lines = [
        f"| size of the flow | stored as | motion below {border:.3f} px | motion from {border:.3f} px on |",
        "|---|---|---|---|",
    ]
    rows = [LABEL_NAMES.index(name) for name in MOTION_NAMES]
    for key in list(clips[0].changed)[1:]:
        shares = np.array([clip.changed[key][rows].mean() for clip in clips])
        lines.append(f"| {key[0]} | {key[1]} | {' | '.join(interval(shares[half]) for half in halves)} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the options, measure, print and write."""
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=Path, nargs="+", required=True, help="folders of videos")
    parser.add_argument("--count", type=int, default=150, help="videos of each folder, spread evenly")
    options = parser.parse_args()
    videos = dict.fromkeys(path for root in options.videos for path in choose_videos(root, options.count))
    clips = [measured for measured in map(measure, videos) if measured is not None]
    names = [root.name for root in options.videos]
    text = "\n\n".join(
        [
            f"The first clips of {len(clips)} videos of {', '.join(names)}; {machine()}.",
            f"`python benchmarks/stored_flow.py --videos {' '.join(names)} --count {options.count}`",
            f"Labels that differ from those of flow computed at {ROWS} x {COLS}, per cent (95 % intervals):",
            table(clips),
            "The 14 labels of motion, for the half of the clips with less motion and for the other half:",
            motion_table(clips),
            f"At the videos' own size {100 * np.mean([clip.clipped for clip in clips]):.3f} % of the vectors "
            f"have a component beyond the bound of {BOUND:g} pixels, which pictures clip.\n",
        ]
    )
    write_table(options.out / "stored_flow.md", text)


if __name__ == "__main__":
    main()
