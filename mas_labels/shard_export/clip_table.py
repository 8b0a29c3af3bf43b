"""The clips of an export, one row each, under the names of `ShardSet.table`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mas_labels.shards.selection import ClipSelection
from mas_labels.shards.shard_set import ShardSet


def clip_columns(selection: ClipSelection, kept: ShardSet) -> dict[str, NDArray[Any]]:
    """Return the columns of `ShardSet.columns`, without the labels, and four of the clip's video.

    Parameters
    ----------
    selection
        The clips.
    kept
        The same, as a set of shards.

    Returns
    -------
    ``clip`` (the number in the whole set), ``video``, ``class_name``, ``start_frame``, ``cut`` and ``motion``
    as `ShardSet.columns` has them, then ``class_index`` (row of the set's classes, -1 without one), ``group``
    (None without one), ``splits`` (texts, tuples) and ``fps`` (of the video's frames, 0 without).
    """
    stored = selection.columns()
    names = ("video", "class_name", "start_frame", "cut", "motion")
    videos, rows = kept.videos, kept.clip_videos()
    columns = {"clip": stored["index"], **{name: stored[name] for name in names}}
    of_video = {"class_index": np.int32, "group": object, "splits": object, "fps": np.float64}
    for name, dtype in of_video.items():
        values = np.empty(len(videos), dtype)
        for number, video in enumerate(videos):
            values[number] = getattr(video, name)
        columns[name] = values[rows]
    return columns
