"""Labels clips of a shard again from their videos, and compares the results bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from mas_labels.config import RunOptions
from mas_labels.datasets.folder import resolve_inside
from mas_labels.errors import MasError, UnavailableError, VideoError, WorkerError
from mas_labels.flow.flow_layouts import NO_FLOW
from mas_labels.flow.methods import STORED
from mas_labels.pipeline.label_video import LabelJob, LabelledClip, LabelMessage
from mas_labels.pipeline.supervisor import borrowed_process
from mas_labels.shards.reader import Shard
from mas_labels.shards.writer import clip_rows, encode_frames
from mas_labels.verify.consistency import Problem
from mas_labels.version import versions
from mas_labels.video.reader import DAMAGED, MACHINE_CODES, NO_FILE, VideoFacts

BEYOND_THE_END: Final = 2**63
"""Number of a clip that no video has: to look for it, a video is decoded to its end."""


def sample_clips(shard: Shard, share: float, seed: int) -> list[int]:
    """Choose a random sample of a shard's clips, the same for the same content and seed.

    Parameters
    ----------
    shard
        The shard.
    share
        Share of its clips, 0 to 1; at least one clip is chosen if it is not 0.
    seed
        Seed of the random choice.

    Returns
    -------
    list of int
        Rows of the clips, ascending.
    """
    count = math.ceil(share * len(shard))
    rng = np.random.default_rng([seed, int(shard.content_hash[:15], 16)])
    return sorted(rng.choice(len(shard), count, replace=False).tolist())


def find_differences(
    shard: Shard,
    root: Path,
    clips: list[int],
    timeout_seconds: float = RunOptions.video_timeout_seconds,
    follow_links: bool = False,
    flow_from: Path | None = None,
    labelled: list[int] | None = None,
) -> Iterator[Problem]:
    """Decode and label some clips again, in a process that can be killed, and yield the differences.

    Parameters
    ----------
    shard
        The shard.
    root
        Root folder of the data set that the shard was made from.
    clips
        Rows of the clips, ascending.
    timeout_seconds
        Longest time without a frame decoded or a clip finished; a video that takes longer is a problem.
    follow_links
        True: links in `root` may lead out of it.
    flow_from
        Folder of stored flow, for a shard whose labels were made from it.
    labelled
        Receives the rows of the clips that were labelled again; None: they are not wanted.

    Raises
    ------
    UnavailableError
        After the last clip, if videos were missing or could not be read, which says nothing about the shard;
        at once if its labels were made from stored flow and `flow_from` is None.
    """
    root = root.absolute()  # the process may have another working directory
    if shard.options.flow != STORED:
        flow_from = None
    elif flow_from is None:
        raise UnavailableError("its labels were made from stored flow: give the folder by --flow-from")
    else:
        flow_from = flow_from.absolute()
    videos, names = shard.read("clips/video"), shard.read_texts("videos/path")
    labelled = [] if labelled is None else labelled
    unavailable: list[str] = []
    for row, group in groupby(clips, key=lambda clip: int(videos[clip])):
        clip_at = {int(shard.read("clips/start_frame", clip)): clip for clip in group}
        try:
            path = resolve_inside(root, names[row], follow_links)
            numbers = [start // shard.options.clip_stride_frames for start in clip_at]
            numbers.append(BEYOND_THE_END)
            job = LabelJob(path, shard.options, numbers, flow_from=flow_from, name=names[row])
            with borrowed_process(lambda: None) as process:
                made = process.do(job, timeout_seconds)
                yield from _differences_of_video(shard, row, clip_at, made, labelled)
        except (UnavailableError, WorkerError) as error:
            unavailable.append(str(error))
        except MasError as error:
            if isinstance(error, VideoError) and error.code in (*MACHINE_CODES, NO_FILE, NO_FLOW):
                unavailable.append(f"{names[row]!r}: {error}")
                continue
            yield Problem("videos/path", min(clip_at.values()), f"cannot be labelled again: {error}")
    if unavailable:
        raise UnavailableError(f"{len(unavailable)} videos could not be read now: {unavailable[0]}")


def _differences_of_video(
    shard: Shard, row: int, clip_at: dict[int, int], made: Iterator[LabelMessage], labelled: list[int]
) -> Iterator[Problem]:
    """Compare the clips of one video with those `made` now; `clip_at` maps their start frames to rows."""
    name = shard.read_texts("videos/path")[row]
    missing, changed, facts = dict(clip_at), _changed_versions(shard), None
    try:
        for item in made:
            if isinstance(item, VideoFacts):
                facts = item
            elif isinstance(item, LabelledClip) and item.start_frame in missing:
                where = f"of {name!r} from frame {item.start_frame}{changed}"
                labelled.append(missing.pop(item.start_frame))
                yield from _compare(shard, labelled[-1], item, where)
    except VideoError as error:
        # that a file is damaged says nothing about the shard, and earlier versions noticed less of it
        if error.code != DAMAGED and name not in shard.read_texts("failures/path"):
            raise
    for start_frame, clip in missing.items():
        yield Problem("clips/start_frame", clip, f"{name!r} has no clip from frame {start_frame} now")
    if facts is not None:
        current = {"frames": facts.frames, "bytes": facts.file_bytes, "fps": facts.fps}
        for column, value in current.items():
            stored = shard.read(f"videos/{column}", row)
            if stored != value:
                yield Problem(f"videos/{column}", None, f"of {name!r} is {stored}, found {value} now")


def _compare(shard: Shard, clip: int, made: LabelledClip, where: str) -> Iterator[Problem]:
    """Yield the data sets in which a clip's row differs from the row made now, and by how much."""
    config = shard.options
    rows = clip_rows(config, made.frames, made.statistics, made.flow)
    if "clips/cut" not in shard:  # of schema version 2
        del rows["clips/cut"]
    for column, now in rows.items():
        stored = shard.read(column, clip)
        if stored.tobytes() != now.tobytes():
            differ = int((stored != now).sum())
            yield Problem(column, clip, f"{where}: {differ} of {now.size} values differ now")
    if config.frames == "jpeg":
        pairs = zip(shard.read_jpegs(clip), encode_frames(made.frames, config.jpeg_quality), strict=True)
        differ = sum(not np.array_equal(stored, now) for stored, now in pairs)
        if differ:
            message = f"{where}: {differ} of {len(made.frames)} frames differ now"
            yield Problem("frames/jpeg", clip, message)


def _changed_versions(shard: Shard) -> str:
    """Describe which of the versions that decide a shard's bytes have changed since; empty if none has."""
    then = shard.versions
    changed = [
        f"{name} {then.get(name)}, now {now}" for name, now in versions().items() if then.get(name) != now
    ]
    return f" (made with {'; '.join(changed)})" if changed else ""
