"""Measures the errors of the rule for shot cuts on real videos, and on clips that are made of them.

    python benchmarks/shot_cuts.py --videos DIR [DIR ...] [--out benchmarks]

prints the tables and writes them to ``OUT/shot_cuts.md``. Every clip of 16 frames is judged. From one clip of
every video others are made: joined to another one, with a flash, dissolved, faded, panned over. Thresholds
are compared on one half of the videos, errors stated for the other; videos of one group of UCF101, which
are parts of one recording, are in the same half.
"""

from __future__ import annotations

import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from common import machine, table_parser, write_table
from joblib import Parallel, delayed
from made_up_cuts import made_up_clips

from mas_labels.config import LabelConfig
from mas_labels.errors import VideoError
from mas_labels.pipeline.label_video import label_clip, views_of
from mas_labels.video.clips import cut_clips
from mas_labels.video.open_video import open_video
from mas_labels.video.shot_cut import MIN_DISTANCE, MIN_RATIO, has_cut, shot_cuts

Clips = dict[int, np.ndarray]
Thresholds = tuple[float, float]
GRID: list[Thresholds] = list(product((0.15, 0.2, 0.25), (2.0, 3.0, 4.0)))
CHOSEN = (MIN_DISTANCE, MIN_RATIO)

SEEN = {
    "cut": {
        "SOX5yA1l24A": (138, 219, 292),
        "TrumanShow_wave_f_nm_np1_fr_med_26": (19,),
        "v_CliffDiving_g02_c03": (92,),
        "v_Diving_g20_c04": (150,),
        "v_HorseRace_g06_c06": (1,),
        "v_HorseRace_g16_c01": (111,),
        "v_HorseRace_g16_c05": (184,),
        "v_HorseRace_g20_c03": (244,),
        "v_HorseRace_g21_c02": (281,),
    },
    "jump": {
        "v_HorseRace_g12_c01": (185, 299, 315),
        "v_HorseRace_g12_c03": (135,),
        "v_LongJump_g01_c04": (60,),
        "v_Punch_g01_c04": (22,),
        "v_YoYo_g14_c03": (12,),
        "eli_run": (49,),
        "eli_walk": (72,),
        "lena_run": (28,),
        "lena_skip": (56,),
        "lena_walk": (73,),
        "moshe_run": (41,),
        "moshe_skip": (54,),
        "moshe_walk": (78,),
        "shahar_run": (45,),
        "shahar_skip": (45,),
        "shahar_walk": (83,),
    },
    "dissolve": {"v_HorseRace_g12_c02": (178,), "v_HorseRace_g13_c05": (148,), "v_Punch_g05_c07": (285,)},
}
"""Cuts and dissolves seen in real videos: name -> first frames of the new shot, or the middle of a dissolve.

A jump is a gap in time that the camera does not move in: dropped frames, or runs of an actor joined. Looked
at were all alarms, near-misses, and the 465 pairs of frames with the largest differences by five measures
(mean difference, difference after block matching, correlation, histograms, ratio to the neighbours).
"""


@dataclass
class Judged:
    """Verdicts on the clips of one video: the thresholds under which each has a cut."""

    path: Path
    real: dict[int, set[Thresholds]] = field(default_factory=dict)
    made_up: list[tuple[str, set[Thresholds]]] = field(default_factory=list)

    @property
    def is_reported(self) -> bool:
        """True in the half that errors are stated for."""
        parts = self.path.stem.split("_")
        recording = "_".join(parts[1:3]) if parts[0] == "v" else self.path.stem
        return zlib.crc32(recording.encode()) % 2 == 1


def seen_in(path: Path, start: int) -> str:
    """Return what was seen in a clip: ``"cut"``, ``"jump"``, ``"dissolve"`` or ``"one shot"``."""
    for kind, videos in SEEN.items():
        if any(start < frame < start + 16 for frame in videos.get(path.stem, ())):
            return kind
    return "one shot"


def read_clips(path: Path, limit: int | None = None) -> Clips:
    """Decode the clips of a video by their first frames; of a damaged one those before the damage."""
    clips: Clips = {}
    try:
        for start, frames in cut_clips(open_video(path)):
            clips[start] = frames
            if limit and len(clips) == limit:
                break
    except VideoError:
        pass
    return clips


def verdicts(frames: np.ndarray) -> set[Thresholds]:
    """Return the thresholds of `GRID` under which a clip has a cut; under the lowest, whenever under any."""
    if not shot_cuts(frames, *GRID[0]):
        return set()
    return {thresholds for thresholds in GRID if shot_cuts(frames, *thresholds)}


def judge(path: Path, other: Path) -> Judged:
    """Judge the clips of a video, and those made of one of them and a clip of another video."""
    clips, judged = read_clips(path), Judged(path)
    judged.real = {start: verdicts(frames) for start, frames in clips.items()}
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    whole = [frames for start, frames in clips.items() if seen_in(path, start) == "one shot"]
    others = list(read_clips(other, 3).values())
    if whole and others:
        made = made_up_clips(whole, others[int(rng.integers(len(others)))], rng)
        judged.made_up = [(kind, verdicts(frames)) for kind, frames in made]
    return judged


def interval(count: int, total: int) -> str:
    """Return a share in per cent with its 95 % interval (Wilson's)."""
    if not total:
        return "-"
    z, share = 1.96, count / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    low, high = 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)
    return f"{100 * share:.2f} % ({low:.2f} to {high:.2f})"


def real_counts(judged: list[Judged], thresholds: Thresholds) -> dict[str, list[int]]:
    """Return for each kind of real clip how many are flagged, and how many there are."""
    counts: dict[str, list[int]] = {}
    for video in judged:
        for start, flagged in video.real.items():
            row = counts.setdefault(seen_in(video.path, start), [0, 0])
            row[0] += thresholds in flagged
            row[1] += 1
    return counts


def made_up_counts(judged: list[Judged], thresholds: Thresholds) -> dict[str, list[int]]:
    """Return the same for each kind of clip that was made."""
    counts: dict[str, list[int]] = {}
    for kind, flagged in (item for video in judged for item in video.made_up):
        row = counts.setdefault(kind, [0, 0])
        row[0] += thresholds in flagged
        row[1] += 1
    return counts


def grid_rows(judged: list[Judged]) -> Iterator[str]:
    """Yield the table of thresholds."""
    yield "| distance above | ratio above | real clips of one shot, flagged | joined videos, missed |"
    yield "|---|---|---|---|"
    for thresholds in GRID:
        alarms, clips = real_counts(judged, thresholds)["one shot"]
        found, joined = made_up_counts(judged, thresholds)["joined to another video"]
        mark = " (chosen)" if thresholds == CHOSEN else ""
        errors = f"{alarms} of {clips} | {joined - found} of {joined}"
        yield f"| {thresholds[0]} | {thresholds[1]}{mark} | {errors} |"


def real_rows(judged: list[Judged]) -> Iterator[str]:
    """Yield the table of real clips, by folder."""
    yield "| folder | videos | clips of one shot | flagged | share of them | cuts found | jumps | dissolves |"
    yield "|---|---|---|---|---|---|---|---|"
    folders: dict[str, list[Judged]] = {}
    for video in judged:
        folders.setdefault(folder_of(video.path), []).append(video)
    for name, videos in [*folders.items(), ("all", judged)]:
        counts = real_counts(videos, CHOSEN)
        flagged, clips = counts["one shot"]
        others = (counts.get(kind, [0, 0]) for kind in SEEN)
        cells = " | ".join(f"{found} of {there}" if there else "-" for found, there in others)
        yield f"| {name} | {len(videos)} | {clips} | {flagged} | {interval(flagged, clips)} | {cells} |"


def folder_of(path: Path) -> str:
    """Return the name of the data set that a video of `--videos` is in."""
    return next(part for part in path.parts if part in FOLDERS)


def made_up_rows(judged: list[Judged]) -> Iterator[str]:
    """Yield the table of clips that were made."""
    yield "| made of a real clip | clips | flagged | share |\n|---|---|---|---|"
    for kind, (flagged, clips) in made_up_counts(judged, CHOSEN).items():
        yield f"| {kind} | {clips} | {flagged} | {interval(flagged, clips)} |"


def alarms(judged: list[Judged]) -> str:
    """Return the false alarms by video and clip number."""
    found = Counter(
        f"{video.path.stem} {start // 16}"
        for video in judged
        for start, flagged in video.real.items()
        if CHOSEN in flagged and seen_in(video.path, start) == "one shot"
    )
    return ", ".join(sorted(found))


def cost(paths: list[Path]) -> str:
    """Return the median CPU time of the rule and of flow and labels, in turn on two clips of each video."""
    config, times = LabelConfig(), []
    cv2.setNumThreads(1)  # as in labelling
    for frames in (frames for path in paths for frames in read_clips(path, 2).values()):
        begin = time.process_time()
        has_cut(frames)
        middle = time.process_time()
        label_clip(frames, config, views_of(config))
        times.append((middle - begin, time.process_time() - middle))
    rule, labels = 1000 * np.median(times[1:], axis=0)  # the first one loads the libraries
    share = f"{100 * rule / labels:.2f} % of the {labels:.0f} ms of flow and labels"
    return f"{len(times) - 1} clips: the rule takes {rule:.2f} ms of CPU time a clip, {share}. {machine()}."


TIMED_VIDEOS = 20
FOLDERS: list[str] = []


def main() -> None:
    """Parse the options, measure, print and write."""
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=Path, nargs="+", required=True, help="folders of videos")
    parser.add_argument("--workers", type=int, default=2, help="number of processes")
    parser.add_argument("--time", action="store_true", help="measure the time of the rule alone")
    options = parser.parse_args()
    FOLDERS.extend(folder.name for folder in options.videos)
    paths = sorted(p for folder in options.videos for p in folder.rglob("*") if p.suffix in (".avi", ".mp4"))
    if options.time:
        print(cost(paths[:: max(1, len(paths) // TIMED_VIDEOS)]))
        return
    partners = [paths[(number + len(paths) // 2) % len(paths)] for number in range(len(paths))]
    judged = Parallel(options.workers)(map(delayed(judge), paths, partners))
    chosen_on = [video for video in judged if not video.is_reported]
    reported = [video for video in judged if video.is_reported]
    command = " ".join(FOLDERS)
    text = "\n\n".join(
        [
            f"{len(judged)} videos; {machine()}.",
            f"`python benchmarks/shot_cuts.py --videos {command}`",
            f"## Thresholds, on one half of the videos\n\n{chr(10).join(grid_rows(chosen_on))}",
            f"## Real clips, the other half\n\n{chr(10).join(real_rows(reported))}",
            f"## Clips made of real ones, the other half\n\n{chr(10).join(made_up_rows(reported))}",
            f"## Both halves\n\n{chr(10).join(real_rows(judged))}",
            f"False alarms, by video and clip number: {alarms(judged)}.\n",
        ]
    )
    write_table(options.out / "shot_cuts.md", text)


if __name__ == "__main__":
    main()
