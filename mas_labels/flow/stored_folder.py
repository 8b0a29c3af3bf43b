"""Checks the stored flow of a data set before labels are made from it: one bound, and one flow a video."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mas_labels.errors import ConfigError, VideoError
from mas_labels.flow.flow_layouts import (
    NO_FLOW,
    OTHER_STEP,
    STEP_REMEDY,
    describe_layouts,
    find_flow,
    possible_names,
)
from mas_labels.flow.grey import BOUND
from mas_labels.flow.places import read_record
from mas_labels.flow.stored_flow import describe_flow, open_flow, read_bound


def find_bound(folder: Path, videos: Sequence[str], bound: float | None = None) -> float:
    """Find the bound of a data set's flow, from the first video whose flow can be opened.

    Parameters
    ----------
    folder
        Folder of the flow.
    videos
        Paths of the videos, relative to the data set's root.
    bound
        Bound of the pictures, pixels per frame; None: that in their ``bound.txt``, or else that in the record
        of `mas-labels flow`, or else the usual one.

    Returns
    -------
    The bound; 0 if the flow is numbers.

    Raises
    ------
    ConfigError
        If no video's flow can be opened, or the first one has another bound or is of another step.
    """
    if not folder.is_dir():
        raise ConfigError(f"--flow-from: expected a folder of flow at {folder}, found none: check the path")
    problem = ""
    record = read_record(folder) or {}
    if record.get("step", 1) != 1 or record.get("fps"):
        made = f"step {record.get('step')}, fps {record.get('fps') or 'of each video'}"
        raise ConfigError(f"--flow-from: {folder} is of {made}: {STEP_REMEDY}")
    _check_names(folder, videos)
    for video in videos:
        try:
            found = read_bound(find_flow(folder, video), record.get("bound") or bound or BOUND)
            flow = open_flow(folder, video, found)
        except VideoError as error:
            if error.code == OTHER_STEP:
                raise ConfigError(f"--flow-from: {error}") from error
            if error.code != NO_FLOW:
                problem = problem or f"{video!r}: {error}"
            continue
        if bound not in (None, found):
            raise ConfigError(
                f"--flow-bound {bound:g}: found {describe_flow(found)} in {flow.files.path}: leave it out"
            )
        return found
    raise ConfigError(
        f"--flow-from: expected flow of {len(videos)} videos in {folder}, such as "
        f"{describe_layouts(videos[0])}; found {problem or 'none'}: give the folder that these paths begin in"
    )


def _check_names(folder: Path, videos: Sequence[str]) -> None:
    """Check that no two videos of a data set have one flow, since class folders may be missing in its folder.

    Raises
    ------
    ConfigError
        If two videos of one name in several folders would be given the same flow.
    """
    by_name = defaultdict(list)
    for video in videos:
        by_name[possible_names(video)[-1].casefold()].append(video)
    owners: dict[Path, str] = {}
    for video in itertools.chain.from_iterable(group for group in by_name.values() if len(group) > 1):
        try:
            path = find_flow(folder, video).path
        except VideoError:  # of its own, which is a failure of this video alone
            continue
        if (owner := owners.setdefault(path, video)) != video:
            raise ConfigError(
                f"--flow-from: {path} would be the flow of {owner!r} and of {video!r}: put the flow of each "
                "class into a folder of its name"
            )
